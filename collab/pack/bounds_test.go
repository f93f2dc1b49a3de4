package pack

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"atrium/collab/change"
	ct "atrium/collab/change/changetest"
)

// typing is a log of one author's keystrokes, each a change.
func typing(n int) (log []Entry) {
	rng := rand.New(rand.NewPCG(5, 5))
	actor := binary.BigEndian.AppendUint64(make([]byte, 8), rng.Uint64())
	text := ct.ID{Ctr: 1}
	c := ct.Change{Actor: actor, Ops: []ct.Op{ct.Make(ct.ID{}, "text", ct.MakeText)}}
	at := int64(1e15)
	for i := range n {
		log = append(log, Entry{c.Encode(), fmt.Sprint("user ", i/500%40), at})
		after := ct.ID{Ctr: uint64(i + 1)}
		if i == 0 {
			after = ct.ID{}
		}
		c = ct.Change{Actor: actor, Seq: uint64(i + 2), StartOp: uint64(i + 2), Deps: []change.Hash{c.Hash()},
			Ops: []ct.Op{ct.Insert(text, after, string('a'+rune(rng.IntN(26))))}}
		at += 1e5 + rng.Int64N(1e5)
	}
	return log
}

// TestSize: a keystroke of a hundred bytes takes ten, four of them for when it came
// if every time is another.
func TestSize(t *testing.T) {
	const n = 5000
	log := typing(n)
	packed, err := Append(nil, log, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	if raw := len(chunksOf(log)); raw < 90*n || len(packed) > 11*n {
		t.Errorf("%d changes of %d bytes take %d", n, raw, len(packed))
	}
}

// TestAllocations: how often memory is taken does not depend on the number of
// changes.
func TestAllocations(t *testing.T) {
	few, many := typing(1000), typing(8000)
	allocs := func(log []Entry) (write, read float64) {
		var packed []byte
		write = testing.AllocsPerRun(5, func() { packed, _ = Append(nil, log, 0, nil) })
		read = testing.AllocsPerRun(5, func() {
			if err := Parse(packed, 0, nil, func(Entry, change.Hash) error { return nil }); err != nil {
				t.Fatal(err)
			}
		})
		return write, read
	}
	fewWrite, fewRead := allocs(few)
	manyWrite, manyRead := allocs(many)
	if manyWrite > fewWrite+100 || manyRead > fewRead+50 {
		t.Errorf("1000 changes: %v and %v; 8000: %v and %v", fewWrite, fewRead, manyWrite, manyRead)
	}
}

func TestAppendRefuses(t *testing.T) {
	good := typing(1)[0].Chunk
	damaged := bytes.Clone(good)
	damaged[20] ^= 1
	compressed := bytes.Clone(good)
	compressed[typeOffset] = 2
	for name, tt := range map[string]struct {
		chunk []byte
		want  string
	}{
		"nothing":          {nil, "cut off"},
		"half a chunk":     {good[:20], "cut off"},
		"two chunks":       {append(bytes.Clone(good), good...), "after the end"},
		"damaged chunk":    {damaged, "checksum"},
		"compressed chunk": {compressed, "compressed"},
	} {
		if packed, err := Append(nil, []Entry{{Chunk: tt.chunk}}, 0, nil); err == nil || !strings.Contains(err.Error(), tt.want) || packed != nil {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
}

func TestEmpty(t *testing.T) {
	packed, err := Append(nil, nil, 7, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := Parse(packed, 7, nil, func(Entry, change.Hash) error { return errors.New("a change came out") }); err != nil {
		t.Error(err)
	}
}

// TestParseStops: an error of yield ends Parse and is returned.
func TestParseStops(t *testing.T) {
	packed, err := Append(nil, typing(3), 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	stop, n := errors.New("stop"), 0
	if err := Parse(packed, 0, nil, func(Entry, change.Hash) error { n++; return stop }); err != stop || n != 1 {
		t.Errorf("%v after %d", err, n)
	}
}

// TestOtherPast: a pack that was made for another place of a log, or behind
// other changes, is found out.
func TestOtherPast(t *testing.T) {
	log := typing(10)
	first, err := change.Parse(log[4].Chunk)
	if err != nil {
		t.Fatal(err)
	}
	packed, err := Append(nil, log[5:], 5, func(h change.Hash) (int, bool) { return 4, h == first.Hash })
	if err != nil {
		t.Fatal(err)
	}
	nothing := func(Entry, change.Hash) error { return nil }
	right := func(int) change.Hash { return first.Hash }
	if err := Parse(packed, 5, right, nothing); err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"other past":  Parse(packed, 5, func(int) change.Hash { return change.Hash{1} }, nothing),
		"no past":     Parse(packed, 5, nil, nothing),
		"at the head": Parse(packed, 0, right, nothing),
	} {
		if !errors.Is(err, errDamaged) {
			t.Errorf("%s: %v, want errDamaged", name, err)
		}
	}
}

// TestHostile: what a pack claims to hold is not allocated before it is seen to fit.
func TestHostile(t *testing.T) {
	streams := func(n uint64, streams ...[]byte) []byte {
		payload := change.AppendUleb(nil, n)
		for _, s := range streams {
			payload = append(change.AppendUleb(payload, uint64(len(s))), s...)
		}
		packed, err := compress(append([]byte{version}, make([]byte, 32)...), payload)
		if err != nil {
			t.Fatal(err)
		}
		return packed
	}
	const many = maxBytes/32 + 1
	who := []byte{1, 0, 1, 0, 0}
	frame := append([]byte{version}, make([]byte, 32)...)
	frame = append(frame, 0x28, 0xb5, 0x2f, 0xfd, 0xe0) // content size of 8 bytes follows
	for _, tt := range []struct {
		name   string
		packed []byte
		want   error
		most   uint64 // bytes allocated
	}{
		{"nothing", nil, errDamaged, 1 << 10},
		{"other version", make([]byte, 100), errVersion, 1 << 10},
		{"inflates to more than memory", binary.LittleEndian.AppendUint64(frame, 1<<50), errDamaged, 1 << 20},
		{"more changes than bytes", streams(1<<60, who, []byte{1}, []byte{0}, nil), errDamaged, 1 << 20},
		{"more dependencies than bytes", streams(1, who, change.AppendUleb(nil, 1<<60), []byte{0}, nil), errDamaged, 1 << 20},
		{"longer than its bodies", streams(1, who, []byte{1}, change.AppendUleb(nil, 1<<60), []byte{1, 2}), errDamaged, 1 << 20},
		{"bodies left", streams(1, who, []byte{1}, []byte{1}, []byte{1, 2}), errDamaged, 1 << 20},
		{"dependencies that take a GiB", streams(1, who, append(change.AppendUleb(nil, many+1), bytes.Repeat([]byte{1}, many)...), []byte{0}, nil), errLarge, 80 << 20},
		{"itself as dependency", streams(1, who, []byte{2, 0}, []byte{0}, nil), errDamaged, 1 << 20},
		{"a dependency before the log", streams(1, who, []byte{2, 1}, []byte{0}, nil), errDamaged, 1 << 20},
		{"verbatim what is no chunk", streams(1, who, []byte{0}, []byte{3}, []byte{1, 2, 3}), errDamaged, 1 << 20},
		{"unknown user", streams(1, []byte{1, 0, 1, 1, 0}, []byte{1}, []byte{0}, nil), errDamaged, 1 << 20},
		{"nobody", streams(1, []byte{0}, []byte{1}, []byte{0}, nil), errDamaged, 1 << 20},
		{"run of none", streams(1, []byte{1, 0, 0, 0, 0}, []byte{1}, []byte{0}, nil), errDamaged, 1 << 20},
		{"run of too many", streams(1, []byte{1, 0, 2, 0, 0}, []byte{1}, []byte{0}, nil), errDamaged, 1 << 20},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			err := Parse(tt.packed, 0, nil, func(Entry, change.Hash) error { return nil })
			runtime.ReadMemStats(&after)
			if !errors.Is(err, tt.want) {
				t.Errorf("%v, want %v", err, tt.want)
			}
			if took := after.TotalAlloc - before.TotalAlloc; took > tt.most {
				t.Errorf("it took %d bytes", took)
			}
		})
	}
}

func benchmarkLog(b *testing.B) ([]Entry, []byte) {
	log := typing(20_000)
	packed, err := Append(nil, log, 0, nil)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(chunksOf(log))))
	b.ReportAllocs()
	return log, packed
}

// BenchmarkAppend packs 20,000 keystrokes. Traces are packed in docsync's
// BenchmarkPack, as what they open to is docsync's.
func BenchmarkAppend(b *testing.B) {
	log, packed := benchmarkLog(b)
	for b.Loop() {
		if _, err := Append(nil, log, 0, nil); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(packed))/float64(len(log)), "B/change")
}

func BenchmarkParse(b *testing.B) {
	_, packed := benchmarkLog(b)
	for b.Loop() {
		if err := Parse(packed, 0, nil, func(Entry, change.Hash) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
}
