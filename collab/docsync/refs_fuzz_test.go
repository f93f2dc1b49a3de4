package docsync

import (
	"slices"
	"testing"

	"atrium/collab/change"
	ct "atrium/collab/change/changetest"
)

// FuzzReceive gives a document changes with a header and a checksum that are
// right, on top of the sample. What is accepted can be taken back, and be
// accepted again.
func FuzzReceive(f *testing.F) {
	d, _, ofBob, ofCarol := sample(f)
	deps := []change.Hash{ofBob, ofCarol}
	slices.SortFunc(deps, compareHashes)
	for _, ops := range [][]ct.Op{
		nil,
		{ct.Set(root, "x", 2, by(2, 18)), ct.Set(old(1), "a", 2, old(4)), ct.Increment(old(1), "c", 1, old(5))},
		{ct.Insert(old(2), by(1, 18), 1), put(old(2), old(6), old(6), old(15)), ct.Delete(old(3), by(2, 19))},
		{ct.Set(old(16), "type", "p"), ct.Make(root, "new", ct.MakeText), ct.Insert(old(3), old(13), "a")},
	} {
		c := ct.Change{Actor: alice, Seq: 2, StartOp: 20, Deps: deps, Others: [][]byte{bob, carol}, Ops: ops}
		trimOthers(&c)
		f.Add(c.Body())
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		chunk := ct.Chunk(1, body)
		var first []error
		for range 2 {
			refused, err := d.Receive(NewPeer(nil, false), Message{Changes: [][]byte{chunk}})
			if err != nil {
				t.Fatal(err)
			}
			var errs []error
			for _, r := range refused {
				errs = append(errs, r.Err)
			}
			if first != nil && len(errs) != len(first) {
				t.Fatalf("refused for %v, and before for %v", errs, first)
			}
			first = append([]error{}, errs...)
			d.Abandon()
			if d.g.n != 3 {
				t.Fatalf("%d changes are left", d.g.n)
			}
			d.orphans = orphans{}
		}
	})
}
