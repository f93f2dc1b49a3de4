package pack

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"atrium/collab/change"
)

func FuzzParse(f *testing.F) {
	for seed := range uint64(3) {
		packed, err := Append(nil, randomLog(rand.New(rand.NewPCG(seed, 3)), 20), 0, nil)
		if err != nil {
			f.Fatal(err)
		}
		payload, err := inflate(packed[33:])
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
		packed, err := compress(make([]byte, 33), payload)
		if err != nil {
			t.Fatal(err)
		}
		packed[0] = version
		Parse(packed, first, func(int) change.Hash { return change.Hash{} }, func(Entry, change.Hash) error { return nil })
		run, hashes, a, err := rebuild(payload, first, func(int) change.Hash { return change.Hash{} })
		if err != nil {
			return
		}
		if len(run) != cap(run) || len(run)+len(hashes)*len(change.Hash{}) > maxBytes {
			t.Errorf("%d bytes and %d hashes of room for %d bytes", len(run), len(hashes), cap(run))
		}
		for range hashes {
			a.next()
		}
	})
}

// FuzzRoundTrip packs logs that rng's seed and the cuts make, with dependencies
// that position does not know, or says stand where they cannot.
func FuzzRoundTrip(f *testing.F) {
	f.Add(uint64(1), uint16(40), uint16(7), int64(3))
	f.Add(uint64(2), uint16(300), uint16(299), int64(-1))
	f.Fuzz(func(t *testing.T, seed uint64, length, cut uint16, lie int64) {
		log := randomLog(rand.New(rand.NewPCG(seed, 4)), 1+int(length)%400)
		first := int(cut) % len(log)
		positions := make(map[change.Hash]int)
		var hashes []change.Hash
		for i, e := range log {
			c, err := change.Parse(e.Chunk)
			if err != nil {
				t.Fatal(err)
			}
			positions[c.Hash] = i
			hashes = append(hashes, c.Hash)
		}
		if lie < 0 || lie >= int64(first) {
			positions[hashes[max(0, first-1)]] = int(lie)
		}
		packed, err := Append(nil, log[first:], first, func(h change.Hash) (int, bool) { p, ok := positions[h]; return p, ok })
		if err != nil {
			t.Fatal(err)
		}
		at := first
		err = Parse(packed, first, func(p int) change.Hash { return hashes[p] }, func(e Entry, h change.Hash) error {
			if !bytes.Equal(e.Chunk, log[at].Chunk) || e.UserID != log[at].UserID || e.At != log[at].At || h != hashes[at] {
				t.Fatalf("change %d came out as another", at)
			}
			at++
			return nil
		})
		if err != nil || at != len(log) {
			t.Fatalf("%d of %d came out: %v", at-first, len(log)-first, err)
		}
	})
}
