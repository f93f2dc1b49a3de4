package change

import (
	"bytes"
	"math/rand/v2"
	"reflect"
	"testing"
)

// TestOpsOfTheCorpus compares what Ops reads with what a Finder finds, in any
// order, and with the checks' own rows.
func TestOpsOfTheCorpus(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for _, w := range readCorpus(t) {
		c, err := Reopen(w.chunk)
		if err != nil {
			t.Fatal(err)
		}
		c.Hash = w.hash
		if p, err := Parse(w.chunk); err != nil || !reflect.DeepEqual(p, c) {
			t.Fatalf("%v: Reopen reads another change, %v", w.hash, err)
		}
		var all []Op
		var o Ops
		if err := o.Open(&c); err != nil {
			t.Fatal(err)
		}
		for o.Next() {
			op := o.Op
			op.Preds = nil
			all = append(all, op)
		}
		if n, _ := c.Ops(); o.Err() != nil || uint64(len(all)) != n {
			t.Fatalf("%v: %d operations, want %d, %v", w.hash, len(all), n, o.Err())
		}
		var start Finder
		if err := start.Open(&c); err != nil {
			t.Fatal(err)
		}
		f := start
		for range 20 {
			if len(all) == 0 {
				break
			}
			i := rng.IntN(len(all))
			ctr := c.StartOp + uint64(i)
			if ctr < f.Next() {
				f = start
			}
			var op Op
			if err := f.Skip(ctr); err != nil {
				t.Fatal(err)
			}
			if err := f.Read(&op); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(op.Key, all[i].Key) {
				t.Fatalf("%v: operation %d has key %q, want %q", w.hash, i, op.Key, all[i].Key)
			}
			if !reflect.DeepEqual(op, all[i]) {
				t.Fatalf("%v: operation %d is %v, want %v", w.hash, i, op, all[i])
			}
		}
		if err := start.Skip(c.StartOp + uint64(len(all)) + 1); err == nil {
			t.Fatalf("%v: skips past the end", w.hash)
		}
	}
}
