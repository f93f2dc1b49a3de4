package pack

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"atrium/collab/change"
	ct "atrium/collab/change/changetest"
)

// randomLog is a log of several actors who now and then have seen each other.
func randomLog(rng *rand.Rand, n int) (entries []Entry) {
	actors := make([][]byte, 1+rng.IntN(4))
	seqs, ops := make([]uint64, len(actors)), uint64(0)
	for i := range actors {
		actors[i] = binary.BigEndian.AppendUint64(make([]byte, 8), rng.Uint64())
	}
	var hashes []change.Hash
	at := int64(1e15)
	for range n {
		a := rng.IntN(len(actors))
		seqs[a]++
		ops++
		c := ct.Change{Actor: actors[a], Seq: seqs[a], StartOp: ops, Time: int64(rng.IntN(1e9)) - 5e8, Ops: []ct.Op{ct.Set(ct.ID{}, "k", int(ops))}}
		if rng.IntN(5) == 0 {
			c.Message = "because"
		}
		if rng.IntN(7) == 0 {
			c.Extra = []byte("more")
		}
		for range min(len(hashes), []int{0, 1, 1, 1, 2, 9}[rng.IntN(6)]) {
			c.Deps = append(c.Deps, hashes[rng.IntN(len(hashes))])
		}
		if len(c.Deps) == 1 && rng.IntN(3) > 0 {
			c.Deps[0] = hashes[len(hashes)-1]
		}
		hashes = append(hashes, c.Hash())
		if rng.IntN(3) == 0 {
			at += rng.Int64N(1e9) - 1e8
		}
		entries = append(entries, Entry{c.Encode(), []string{"alice", "bob", "", "api"}[rng.IntN(4)], at})
	}
	return entries
}

func chunksOf(log []Entry) (run []byte) {
	for _, e := range log {
		run = append(run, e.Chunk...)
	}
	return run
}

// TestRoundTrip: what comes out of packs is what went in, wherever the log was
// cut, and also where a dependency is nowhere to be found.
func TestRoundTrip(t *testing.T) {
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 1))
		log := randomLog(rng, 1+rng.IntN(300))
		positions := make(map[change.Hash]int)
		var hashes []change.Hash
		for i, e := range log {
			c, err := change.Parse(e.Chunk)
			if err != nil {
				t.Fatal(err)
			}
			hashes = append(hashes, c.Hash)
			if rng.IntN(100) > 0 {
				positions[c.Hash] = i
			}
		}
		for first := 0; first < len(log); {
			n := 1 + rng.IntN(len(log)-first)
			packed, err := Append([]byte("before"), log[first:first+n], first, func(h change.Hash) (int, bool) {
				p, ok := positions[h]
				return p, ok
			})
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			packed = bytes.TrimPrefix(packed, []byte("before"))
			at := first
			err = Parse(packed, first, func(p int) change.Hash { return hashes[p] }, func(e Entry, h change.Hash) error {
				want := log[at]
				if !bytes.Equal(e.Chunk, want.Chunk) || e.UserID != want.UserID || e.At != want.At || h != hashes[at] {
					t.Fatalf("seed %d: change %d came out as another", seed, at)
				}
				at++
				return nil
			})
			if err != nil || at != first+n {
				t.Fatalf("seed %d: %d of %d came out: %v", seed, at-first, n, err)
			}
			run, got, err := Run(packed, first, func(p int) change.Hash { return hashes[p] })
			if err != nil || !slices.Equal(got, hashes[first:at]) || !bytes.Equal(run, chunksOf(log[first:at])) {
				t.Fatalf("seed %d: Run returns something else: %v", seed, err)
			}
			first += n
		}
	}
}

// TestVersion1: packs are kept for years. This one holds changes 10 to 39 of a
// log, and was made without knowing where change 3 stands.
func TestVersion1(t *testing.T) {
	packed, err := os.ReadFile("testdata/v1.pack")
	if err != nil {
		t.Fatal(err)
	}
	log := randomLog(rand.New(rand.NewPCG(6, 6)), 40)
	hashes, positions := make([]change.Hash, 10), make(map[change.Hash]int)
	for i := range hashes {
		c, err := change.Parse(log[i].Chunk)
		if err != nil {
			t.Fatal(err)
		}
		hashes[i] = c.Hash
		if i != 3 {
			positions[c.Hash] = i
		}
	}
	log = log[10:]
	again, err := Append(nil, log, 10, func(h change.Hash) (int, bool) { p, ok := positions[h]; return p, ok })
	if err != nil {
		t.Fatal(err)
	}
	old, err := inflate(packed[33:])
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(old, []byte(magic)) {
		t.Error("no change depends on change 3")
	}
	if now, err := inflate(again[33:]); err != nil || !bytes.Equal(now, old) || !bytes.Equal(again[:33], packed[:33]) {
		t.Errorf("it is not packed like that any more: %v", err)
	}
	at := 0
	err = Parse(packed, 10, func(p int) change.Hash { return hashes[p] }, func(e Entry, _ change.Hash) error {
		if !bytes.Equal(e.Chunk, log[at].Chunk) || e.UserID != log[at].UserID || e.At != log[at].At {
			t.Fatalf("change %d came out as another", 10+at)
		}
		at++
		return nil
	})
	if err != nil || at != len(log) {
		t.Errorf("%d of %d came out: %v", at, len(log), err)
	}
}

// TestDamage: a pack of which a byte has changed, or which ends early, is found
// out, and so is one whose past is another.
func TestDamage(t *testing.T) {
	log := randomLog(rand.New(rand.NewPCG(1, 2)), 40)
	packed, err := Append(nil, log, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	reads := func(p []byte) bool {
		at := 0
		err := Parse(p, 0, nil, func(e Entry, _ change.Hash) error {
			if !bytes.Equal(e.Chunk, log[at].Chunk) || e.UserID != log[at].UserID || e.At != log[at].At {
				t.Fatalf("change %d came out as another", at)
			}
			at++
			return nil
		})
		if err == nil && at != len(log) {
			t.Fatalf("%d of %d changes came out", at, len(log))
		}
		return err == nil
	}
	if !reads(packed) {
		t.Fatal("it cannot be read while it is whole")
	}
	for i := range packed {
		for bit := range 8 {
			p := bytes.Clone(packed)
			p[i] ^= 1 << bit
			if reads(p) && i < 33 { // a zstd frame has bits that mean nothing
				t.Errorf("bit %d of byte %d may change", bit, i)
			}
		}
		if reads(packed[:i]) {
			t.Errorf("it may end at byte %d", i)
		}
	}
	if reads(append(bytes.Clone(packed), 0)) {
		t.Error("there may be more behind it")
	}
}
