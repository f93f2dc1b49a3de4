package pack

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
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
			first += n
		}
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
		return err == nil
	}
	if !reads(packed) {
		t.Fatal("it cannot be read while it is whole")
	}
	for i := range packed {
		for _, bit := range []byte{1, 0x80} {
			p := bytes.Clone(packed)
			p[i] ^= bit
			if reads(p) && i < 33 {
				t.Errorf("byte %d may change", i)
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

func FuzzParse(f *testing.F) {
	for seed := range uint64(3) {
		packed, err := Append(nil, randomLog(rand.New(rand.NewPCG(seed, 3)), 20), 0, nil)
		if err != nil {
			f.Fatal(err)
		}
		payload, err := inflater().DecodeAll(packed[33:], nil)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(payload, 0)
		f.Add(payload, 5)
	}
	f.Fuzz(func(t *testing.T, payload []byte, first int) {
		if first < 0 || first > 1000 {
			return
		}
		// Its checksum cannot be guessed: what follows is tried without.
		packed := compressor().EncodeAll(payload, make([]byte, 33))
		packed[0] = version
		Parse(packed, first, func(int) change.Hash { return change.Hash{} }, func(Entry, change.Hash) error { return nil })
		p := parser{src: payload}
		n := p.number()
		var streams [4]parser
		for i := range streams {
			streams[i] = parser{src: p.prefixed()}
		}
		if p.bad || n > uint64(len(streams[1].src)) {
			return
		}
		run, hashes, err := rebuild(int(n), first, func(int) change.Hash { return change.Hash{} }, streams[1], streams[2], streams[3].src)
		if err == nil && (len(hashes) != int(n) || len(run) > cap(run)) {
			t.Errorf("%d hashes of %d changes", len(hashes), n)
		}
		parseAttribution(streams[0], n)
	})
}
