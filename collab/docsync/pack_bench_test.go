package docsync_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"atrium/collab/change"
	"atrium/collab/docsync"
	"atrium/collab/pack"
)

// attributed is the trace as a log to which 40 users have added in turn.
func attributed(chunks [][]byte) []pack.Entry {
	entries := make([]pack.Entry, len(chunks))
	for i, c := range chunks {
		entries[i] = pack.Entry{Chunk: c, UserID: fmt.Sprint("user ", i/500%40), At: int64(i) * 150_000}
	}
	return entries
}

// unevenly is entries as clients send them, four to a row of the store, each row
// at a time that nothing foretells.
func unevenly(entries []pack.Entry) []pack.Entry {
	rng := rand.New(rand.NewPCG(1, 1))
	entries = slices.Clone(entries)
	at := int64(1.7e15)
	for i := range entries {
		if i%4 == 0 {
			at += rng.Int64N(1_200_000)
		}
		entries[i].At = at
	}
	return entries
}

// BenchmarkPack measures the trace as one pack: its size, and from that to a
// ready graph.
func BenchmarkPack(b *testing.B) {
	chunks, err := typed()
	if err != nil {
		b.Fatal(err)
	}
	entries := attributed(chunks)
	raw := 0
	for _, c := range chunks {
		raw += len(c)
	}
	var packed []byte
	b.Run("append", func(b *testing.B) {
		for b.Loop() {
			if packed, err = pack.Append(nil, entries, 0, nil); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(raw)/1e6, "raw-MB")
		b.ReportMetric(float64(len(packed))/1e6, "pack-MB")
		uneven, err := pack.Append(nil, unevenly(entries), 0, nil)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(len(uneven))/1e6, "uneven-MB")
	})
	b.Run("parse", func(b *testing.B) {
		for b.Loop() {
			n := 0
			err := pack.Parse(packed, 0, nil, func(pack.Entry, change.Hash) error { n++; return nil })
			if err != nil || n != len(chunks) {
				b.Fatalf("%d of %d changes came out: %v", n, len(chunks), err)
			}
		}
	})
	b.Run("open", func(b *testing.B) {
		var before, after runtime.MemStats
		var doc *docsync.Document
		for b.Loop() {
			b.StopTimer()
			doc = nil
			runtime.GC()
			runtime.ReadMemStats(&before)
			b.StartTimer()
			doc = new(docsync.Document)
			run, hashes, err := pack.Run(packed, 0, nil)
			if err == nil {
				_, err = doc.ExtendHashed(run, hashes)
			}
			if err != nil {
				b.Fatal(err)
			}
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		if doc.Len() != len(chunks) {
			b.Fatalf("got %d changes, want %d", doc.Len(), len(chunks))
		}
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/1e6, "heap-MB")
		runtime.KeepAlive(doc)
	})
}
