package docsync_test

import (
	"compress/gzip"
	"encoding/json"
	"flag"
	"math/rand/v2"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/automerge/automerge-go"

	"atrium/collab/docsync"
)

var traceFile = flag.String("edits", "", "gzipped editing trace to replay; default: a synthetic one (-trace is go test's own)")

// splice is one transaction of a trace.
type splice struct {
	at, deleted int
	inserted    string
}

// readTrace returns the transactions of a sequential trace as published in the
// editing-traces collection: {txns: [{patches: [[position, deleted, inserted]…]}]}.
func readTrace(tb testing.TB, path string) [][]splice {
	f, err := os.Open(path)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		tb.Fatal(err)
	}
	var trace struct {
		Txns []struct{ Patches [][]any }
	}
	if err := json.NewDecoder(z).Decode(&trace); err != nil {
		tb.Fatal(err)
	}
	txns := make([][]splice, len(trace.Txns))
	for i, txn := range trace.Txns {
		for _, p := range txn.Patches {
			txns[i] = append(txns[i], splice{int(p[0].(float64)), int(p[1].(float64)), p[2].(string)})
		}
	}
	return txns
}

// syntheticTrace types n characters, a few of them taken back, with a cursor
// that jumps now and then.
func syntheticTrace(n int) [][]splice {
	rng := rand.New(rand.NewPCG(7, 7))
	txns := make([][]splice, n)
	length, at := 0, 0
	for i := range txns {
		if rng.IntN(40) == 0 {
			at = rng.IntN(length + 1)
		}
		if at > 0 && rng.IntN(5) == 0 {
			at--
			length--
			txns[i] = []splice{{at, 1, ""}}
			continue
		}
		txns[i] = []splice{{at, 0, string(rune('a' + rng.IntN(26)))}}
		at++
		length++
	}
	return txns
}

// typed is the trace as change chunks, one for each transaction, made by the
// reference implementation.
var typed = sync.OnceValues(func() ([][]byte, error) {
	txns := syntheticTrace(20_000)
	if *traceFile != "" {
		txns = readTrace(panicTB{}, *traceFile)
	}
	doc := automerge.New()
	if err := doc.Path("text").Set(automerge.NewText("")); err != nil {
		return nil, err
	}
	text := doc.Path("text").Text()
	at := time.Unix(0, 0)
	for _, txn := range txns {
		for _, s := range txn {
			if err := text.Splice(s.at, s.deleted, s.inserted); err != nil {
				return nil, err
			}
		}
		if _, err := doc.Commit("", automerge.CommitOptions{AllowEmpty: true, Time: &at}); err != nil {
			return nil, err
		}
	}
	changes, err := doc.Changes()
	if err != nil {
		return nil, err
	}
	chunks := make([][]byte, len(changes))
	for i, c := range changes {
		chunks[i] = c.Save()
	}
	return chunks, nil
})

// panicTB fails by panic where there is no test to fail.
type panicTB struct{ testing.TB }

func (panicTB) Fatal(args ...any) { panic(args) }

// run is chunks as rows of the store would hold them, n in each.
func runs(chunks [][]byte, n int) (runs [][]byte) {
	for len(chunks) > 0 {
		var run []byte
		for _, c := range chunks[:min(n, len(chunks))] {
			run = append(run, c...)
		}
		runs = append(runs, append([]byte(nil), run...))
		chunks = chunks[min(n, len(chunks)):]
	}
	return runs
}

// BenchmarkOpen measures bytes to a ready graph, beside the reference
// implementation's load of the same bytes.
func BenchmarkOpen(b *testing.B) {
	chunks, err := typed()
	if err != nil {
		b.Fatal(err)
	}
	b.Run("docsync", func(b *testing.B) {
		var before, after runtime.MemStats
		var doc *docsync.Document
		for b.Loop() {
			b.StopTimer()
			doc = nil
			runtime.GC()
			runtime.ReadMemStats(&before)
			rows := runs(chunks, 1000)
			b.StartTimer()
			doc = new(docsync.Document)
			for _, run := range rows {
				if _, err := doc.Extend(run); err != nil {
					b.Fatal(err)
				}
			}
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		if doc.Len() != len(chunks) {
			b.Fatalf("got %d changes, want %d", doc.Len(), len(chunks))
		}
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/1e6, "heap-MB")
		b.ReportMetric(float64(len(chunks)), "changes")
		runtime.KeepAlive(doc)
	})
	b.Run("automerge-go", func(b *testing.B) {
		all := runs(chunks, len(chunks))[0]
		for b.Loop() {
			doc := automerge.New()
			if err := doc.LoadIncremental(all); err != nil {
				b.Fatal(err)
			}
			if len(doc.Heads()) != 1 {
				b.Fatalf("got heads %v", doc.Heads())
			}
		}
	})
}
