package docsync

import (
	"errors"
	"slices"
	"testing"

	"atrium/collab/change"
	ct "atrium/collab/change/changetest"
)

var (
	alice, bob, carol = ct.Actor(2), ct.Actor(1), ct.Actor(3)
	root              ct.ID
)

// by is an operation of the i-th other actor, old one of the author's before.
func by(actor int, ctr uint64) ct.ID { return ct.ID{Actor: actor, Ctr: ctr} }
func old(ctr uint64) ct.ID           { return ct.ID{Ctr: ctr} }

func put(obj, elem ct.ID, preds ...ct.ID) ct.Op {
	return ct.Op{Obj: obj, Key: elem, Action: ct.Put, Value: 1, Preds: preds}
}

// receive gives one change to a document and returns why it was refused.
func receive(t testing.TB, d *Document, c ct.Change) (change.Hash, error) {
	t.Helper()
	parsed, err := change.Parse(c.Encode())
	if err == nil {
		err = change.Check(&parsed)
	}
	if err != nil {
		t.Fatalf("the change is bad by itself: %v", err)
	}
	refused, err := d.Receive(NewPeer(nil, false), Message{Changes: [][]byte{c.Encode()}})
	if err != nil {
		t.Fatal(err)
	}
	if len(refused) > 0 {
		return parsed.Hash, refused[0].Err
	}
	return parsed.Hash, nil
}

func mustReceive(t testing.TB, d *Document, c ct.Change) change.Hash {
	t.Helper()
	h, err := receive(t, d, c)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// sample is a document with one of everything. Of Alice are, by counter: 1 a
// map "m", 2 a list "l", 3 a text "t", 4 m.a = 1, 5 a counter m.c, 6 to 8 the
// list's elements, 9 to 11 the text's, 12 and 13 a mark on it, 14 an increment
// of m.c, 15 l[0] = 1 over 6, 16 a block in the text, 17 a deletion of text 11.
// Bob, who has seen all that, inserts 18 into the list after 6. Carol has not
// seen Bob's: she sets "x" with her 18 and leaves the text's 19 behind 9.
func sample(t testing.TB) (d *Document, first, ofBob, ofCarol change.Hash) {
	d = &Document{}
	first = mustReceive(t, d, ct.Change{Actor: alice, Ops: []ct.Op{
		ct.Make(root, "m", ct.MakeMap), ct.Make(root, "l", ct.MakeList), ct.Make(root, "t", ct.MakeText),
		ct.Set(old(1), "a", 1), ct.Set(old(1), "c", ct.Counter(5)),
		ct.Insert(old(2), root, 1), ct.Insert(old(2), old(6), 2), ct.Insert(old(2), old(7), 3),
		ct.Insert(old(3), root, "x"), ct.Insert(old(3), old(9), "y"), ct.Insert(old(3), old(10), "z"),
		{Obj: old(3), Key: old(9), Insert: true, Action: ct.Mark, Value: true, Mark: "bold"},
		{Obj: old(3), Key: old(11), Insert: true, Action: ct.Mark},
		ct.Increment(old(1), "c", 2, old(5)), put(old(2), old(6), old(6)),
		{Obj: old(3), Key: old(10), Insert: true, Action: ct.MakeMap}, ct.Delete(old(3), old(11)),
	}})
	ofBob = mustReceive(t, d, ct.Change{
		Actor: bob, StartOp: 18, Deps: []change.Hash{first}, Others: [][]byte{alice},
		Ops: []ct.Op{ct.Insert(by(1, 2), by(1, 6), 9)},
	})
	ofCarol = mustReceive(t, d, ct.Change{
		Actor: carol, StartOp: 18, Deps: []change.Hash{first}, Others: [][]byte{alice},
		Ops: []ct.Op{ct.Set(root, "x", 1), ct.Insert(by(1, 3), by(1, 9), "w")},
	})
	d.Commit()
	return d, first, ofBob, ofCarol
}

func TestReferences(t *testing.T) {
	tests := []struct {
		name string
		ops  []ct.Op
		want error
	}{
		{"keys of maps", []ct.Op{ct.Set(root, "x", 2, by(2, 18)), ct.Set(old(1), "new", 1), ct.Set(old(1), "a", 2, old(4))}, nil},
		{"map in a block", []ct.Op{ct.Set(old(16), "type", "p")}, nil},
		{"elements", []ct.Op{
			ct.Insert(old(2), root, 1), ct.Insert(old(2), old(8), 1), ct.Insert(old(2), by(1, 18), 1), ct.Delete(old(2), old(7)),
			put(old(2), old(6), old(15)), put(old(2), old(6), old(6), old(15)), ct.Insert(old(3), by(2, 19), 1),
		}, nil},
		{"after a deleted element", []ct.Op{ct.Insert(old(3), old(11), "a")}, nil},
		{"after a mark", []ct.Op{ct.Insert(old(3), old(13), "a"), ct.Insert(old(3), old(12), "a")}, nil},
		{"increment", []ct.Op{ct.Increment(old(1), "c", 1, old(5))}, nil},
		{"its own object", []ct.Op{ct.Make(root, "n", ct.MakeMap), ct.Set(old(20), "a", 1)}, nil},

		{"object of a counter never used", []ct.Op{ct.Set(by(1, 17), "a", 1)}, errNoObject},
		{"object of a later counter", []ct.Op{ct.Set(by(1, 19), "a", 1)}, errNoObject},
		{"object of an unknown actor", []ct.Op{ct.Set(by(3, 1), "a", 1)}, errNoObject},
		{"object that is a value", []ct.Op{ct.Set(old(4), "a", 1)}, errNotObject},
		{"object that is a mark", []ct.Op{ct.Insert(old(12), root, 1)}, errNotObject},
		{"object that is a deletion", []ct.Op{ct.Set(old(17), "a", 1)}, errNotObject},
		{"key in a list", []ct.Op{ct.Set(old(2), "a", 1)}, errKeyKind},
		{"key in a text", []ct.Op{ct.Set(old(3), "a", 1)}, errKeyKind},
		{"element in a map", []ct.Op{ct.Insert(old(1), root, 1)}, errKeyKind},
		{"element in a block", []ct.Op{ct.Insert(old(16), root, 1)}, errKeyKind},
		{"key in a list, after a good one in a map", []ct.Op{ct.Set(old(1), "a", 1), ct.Set(old(2), "a", 1)}, errKeyKind},

		{"mark in a list", []ct.Op{
			{Obj: old(2), Key: old(6), Insert: true, Action: ct.Mark, Value: true, Mark: "b"},
			{Obj: old(2), Key: old(7), Insert: true, Action: ct.Mark},
		}, errNotText},
		{"mark in a text", []ct.Op{
			{Obj: old(3), Key: old(9), Insert: true, Action: ct.Mark, Value: true, Mark: "b"},
			{Obj: old(3), Key: old(10), Insert: true, Action: ct.Mark},
		}, nil},

		{"after a missing element", []ct.Op{ct.Insert(old(2), by(2, 17), 1)}, errNoElem},
		{"after an element of an unknown actor", []ct.Op{ct.Insert(old(2), by(3, 6), 1)}, errNoElem},
		{"after an element of another list", []ct.Op{ct.Insert(old(2), old(9), 1)}, errNotElem},
		{"after a replacement", []ct.Op{ct.Insert(old(2), old(15), 1)}, errNotElem},
		{"after a deletion", []ct.Op{ct.Insert(old(3), old(17), 1)}, errNotElem},
		{"after a key", []ct.Op{ct.Insert(old(2), old(4), 1)}, errNotElem},
		{"replaces a missing element", []ct.Op{put(old(2), by(1, 17))}, errNoElem},
		{"replaces an element of another list", []ct.Op{put(old(2), old(9), old(9))}, errNotElem},
		{"replaces at a replacement", []ct.Op{put(old(2), old(15), old(15))}, errNotElem},
		{"deletes an element of another list", []ct.Op{ct.Delete(old(2), old(10))}, errNotElem},

		{"changes a mark", []ct.Op{put(old(3), old(12))}, errNotElem},
		{"deletes a mark", []ct.Op{ct.Delete(old(3), old(13))}, errNotElem},
		{"increments what is no counter", []ct.Op{ct.Increment(old(1), "a", 1, old(4))}, errNotCounter},

		{"replaces a missing operation", []ct.Op{ct.Set(root, "m", 1, by(1, 17))}, errNoPred},
		{"replaces one of an unknown actor", []ct.Op{ct.Set(root, "m", 1, by(3, 1))}, errNoPred},
		{"replaces in another map", []ct.Op{ct.Set(root, "a", 1, old(4))}, errNotPred},
		{"replaces another key", []ct.Op{ct.Set(old(1), "c", 1, old(4))}, errNotPred},
		{"replaces an increment", []ct.Op{ct.Set(old(1), "c", 1, old(14))}, errNotPred},
		{"replaces a deletion", []ct.Op{put(old(3), old(11), old(17))}, errNotPred},
		{"replaces another element", []ct.Op{put(old(2), old(7), old(6))}, errNotPred},
		{"replaces another element's replacement", []ct.Op{put(old(2), old(7), old(15))}, errNotPred},
		{"replaces an element at a key", []ct.Op{ct.Set(root, "a", 1, old(6))}, errNotPred},
		{"replaces a key at an element", []ct.Op{put(old(2), old(6), old(4))}, errNotPred},
		{"its own element over an older operation", []ct.Op{ct.Insert(old(2), root, 1), put(old(2), old(20), old(6))}, errNotPred},
		{"a bad one after a good one", []ct.Op{ct.Set(root, "x", 2, by(2, 18)), ct.Set(root, "y", 2, by(2, 18))}, errNotPred},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d, _, ofBob, ofCarol := sample(t)
			deps := []change.Hash{ofBob, ofCarol}
			slices.SortFunc(deps, compareHashes)
			c := ct.Change{Actor: alice, Seq: 2, StartOp: 20, Deps: deps, Others: [][]byte{bob, carol, ct.Actor(9)}, Ops: tt.ops}
			trimOthers(&c)
			if _, err := receive(t, d, c); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

// trimOthers leaves out the other actors that no operation names.
func trimOthers(c *ct.Change) {
	each := func(f func(*ct.ID)) {
		c.Ops = slices.Clone(c.Ops)
		for i := range c.Ops {
			op := &c.Ops[i]
			f(&op.Obj)
			if e, ok := op.Key.(ct.ID); ok {
				f(&e)
				op.Key = e
			}
			op.Preds = slices.Clone(op.Preds)
			for j := range op.Preds {
				f(&op.Preds[j])
			}
		}
	}
	used := make([]bool, 1+len(c.Others))
	each(func(id *ct.ID) { used[id.Actor] = true })
	index := make([]int, len(used))
	var others [][]byte
	for i, actor := range c.Others {
		if used[i+1] {
			others = append(others, actor)
			index[i+1] = len(others)
		}
	}
	c.Others = others
	each(func(id *ct.ID) { id.Actor = index[id.Actor] })
}

// What a change refers to may be in the log, and yet be unknown to a client that
// has what the change depends on and no more.
func TestReferencesOutsideThePast(t *testing.T) {
	for _, tt := range []struct {
		name string
		op   ct.Op
		want error
	}{
		{"object", ct.Set(by(1, 18), "a", 1), errNoObject},
		{"element", ct.Insert(old(2), by(1, 18), 1), errNoElem},
		{"predecessor", ct.Set(root, "x", 1, by(2, 18)), errNoPred},
	} {
		d, first, _, _ := sample(t)
		c := ct.Change{Actor: alice, Seq: 2, StartOp: 20, Deps: []change.Hash{first}, Others: [][]byte{bob, carol}, Ops: []ct.Op{tt.op}}
		trimOthers(&c)
		if _, err := receive(t, d, c); err != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, err, tt.want)
		}
	}
}

func TestAnActorsChangesAreAChain(t *testing.T) {
	d, first, ofBob, ofCarol := sample(t)
	c := ct.Change{Actor: bob, Seq: 2, StartOp: 30, Deps: []change.Hash{ofCarol}, Ops: []ct.Op{ct.Set(root, "b", 1)}}
	if _, err := receive(t, d, c); err != errForked {
		t.Errorf("on another one's change: got %v, want %v", err, errForked)
	}
	c.Deps = []change.Hash{first}
	if _, err := receive(t, d, c); err != errForked {
		t.Errorf("on an older change: got %v, want %v", err, errForked)
	}
	c.Deps = []change.Hash{ofBob}
	mustReceive(t, d, c)
}

func TestStartOfAnEmptyChange(t *testing.T) {
	for _, tt := range []struct {
		startOp uint64
		want    error
	}{{18, errStartOp}, {19, nil}, {20, errEmptyStart}} {
		d, _, ofBob, _ := sample(t)
		_, err := receive(t, d, ct.Change{Actor: bob, Seq: 2, StartOp: tt.startOp, Deps: []change.Hash{ofBob}})
		if err != tt.want {
			t.Errorf("start at %d: got %v, want %v", tt.startOp, err, tt.want)
		}
	}
	if _, err := receive(t, &Document{}, ct.Change{StartOp: 2}); err != errEmptyStart {
		t.Errorf("first change: got %v, want %v", err, errEmptyStart)
	}
}

// An operation of a change that follows an empty one of the same actor has the
// counter at which both begin.
func TestReferencesPastAnEmptyChange(t *testing.T) {
	d, _, ofBob, _ := sample(t)
	h := mustReceive(t, d, ct.Change{Actor: bob, Seq: 2, StartOp: 19, Deps: []change.Hash{ofBob}})
	h = mustReceive(t, d, ct.Change{Actor: bob, Seq: 3, StartOp: 19, Deps: []change.Hash{h}, Ops: []ct.Op{ct.Make(root, "o", ct.MakeMap)}})
	mustReceive(t, d, ct.Change{Actor: bob, Seq: 4, StartOp: 20, Deps: []change.Hash{h}, Ops: []ct.Op{ct.Set(old(19), "a", 1)}})
}

func TestGaps(t *testing.T) {
	d := &Document{}
	last := mustReceive(t, d, ct.Change{Ops: []ct.Op{ct.Set(root, "a", 1)}})
	d.Commit()
	seq := uint64(1)
	edit := func(startOp uint64) error {
		seq++
		h, err := receive(t, d, ct.Change{Seq: seq, StartOp: startOp, Deps: []change.Hash{last}, Ops: []ct.Op{ct.Set(root, "b", 1)}})
		if err != nil {
			seq--
			return err
		}
		last = h
		return nil
	}
	if err := edit(3 + maxGaps + freeGap); err != errGap {
		t.Errorf("more than all at once: got %v, want %v", err, errGap)
	}
	at := uint64(2)
	for i := range 4 { // none is committed
		at += maxGaps/4 + freeGap
		if err := edit(at); err != nil {
			t.Fatalf("quarter %d: %v", i, err)
		}
		at++
	}
	if err := edit(at + freeGap + 1); err != errGap {
		t.Errorf("one more: got %v, want %v", err, errGap)
	}
	if err := edit(at + freeGap); err != nil {
		t.Errorf("a small gap, which is not counted: %v", err)
	}
	d.Abandon()
	if d.g.countGaps() != 0 || d.g.n != 1 {
		t.Errorf("after giving up %d changes: %d of gaps", d.g.n, d.g.countGaps())
	}
}
