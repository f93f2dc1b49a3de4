package change_test

import (
	"bytes"
	"math"
	"slices"
	"strings"
	"testing"

	"atrium/collab/change"
	ct "atrium/collab/change/changetest"
)

var (
	root  ct.ID
	small = ct.Actor(0) // sorts before the author, who is ct.Actor(1)
	large = ct.Actor(2)
)

// op is the i-th operation of the change itself, whose counters begin at 10.
func op(i uint64) ct.ID { return ct.ID{Ctr: 10 + i} }

// old is an operation of the author's earlier changes.
func old(ctr uint64) ct.ID { return ct.ID{Ctr: ctr} }

// by is an operation of another actor.
func by(actor int, ctr uint64) ct.ID { return ct.ID{Actor: actor, Ctr: ctr} }

func ops(ops ...ct.Op) ct.Change { return ct.Change{StartOp: 10, Ops: ops} }

// with returns a change of two keys, with other data for some columns.
func with(cols ...ct.Column) ct.Change {
	c := ops(ct.Set(root, "a", "v"), ct.Set(root, "b", "w"))
	c.Replace = cols
	return c
}

// others adds other actors.
func others(c ct.Change, actors ...[]byte) ct.Change {
	c.Others = actors
	return c
}

func edit(c ct.Change, f func(*ct.Change)) ct.Change {
	f(&c)
	return c
}

func begin(obj, at ct.ID) ct.Op {
	return ct.Op{Obj: obj, Key: at, Insert: true, Action: ct.Mark, Value: true, Mark: "bold", Expand: true}
}

func end(obj, at ct.ID) ct.Op {
	return ct.Op{Obj: obj, Key: at, Insert: true, Action: ct.Mark}
}

func TestCheck(t *testing.T) {
	text := ct.Make(root, "t", ct.MakeText)
	one := ct.Set(root, "a", 1)
	tests := []struct {
		name string
		c    ct.Change
		want string // part of the error, "" for none
	}{
		// What clients write.
		{"empty change", ops(), ""},
		{"first change", ct.Change{Ops: []ct.Op{one}}, ""},
		{"values", ops(
			ct.Set(root, "a", nil), ct.Set(root, "b", true), ct.Set(root, "c", false), ct.Set(root, "d", -1),
			ct.Set(root, "e", uint64(math.MaxUint64)), ct.Set(root, "f", math.NaN()), ct.Set(root, "g", "日本"),
			ct.Set(root, "h", []byte{0xff}), ct.Set(root, "i", ct.Counter(math.MinInt64)),
			ct.Set(root, "j", ct.Timestamp(-1)), ct.Set(root, "", ""), ct.Set(root, "k", []byte{}),
		), ""},
		{"text of its own", ops(text, ct.Insert(op(0), root, "a"), ct.Insert(op(0), op(1), "b"), ct.Delete(op(0), op(1))), ""},
		{"element replaced twice", ops(
			ct.Op{Obj: old(1), Key: old(5), Action: ct.Put, Value: 1, Preds: []ct.ID{old(5)}},
			ct.Op{Obj: old(1), Key: old(5), Action: ct.Put, Value: 2, Preds: []ct.ID{old(5), op(0)}},
		), ""},
		{"key replaced", ops(ct.Set(root, "a", 1), ct.Make(root, "a", ct.MakeMap, op(0)), ct.DeleteKey(root, "a", op(1))), ""},
		{"counter", ops(ct.Set(root, "n", ct.Counter(1)), ct.Increment(root, "n", -3, op(0))), ""},
		{"mark", ops(begin(old(1), old(3)), end(old(1), old(5))), ""},
		{"mark of no width", ops(begin(old(1), old(3)), end(old(1), op(0))), ""},
		{"block", ops(ct.Op{Obj: old(1), Key: old(3), Insert: true, Action: ct.MakeMap}, ct.Set(op(0), "type", "p")), ""},
		{"other actors", others(ops(ct.Set(by(1, 3), "a", 1, old(4), by(2, 4))), small, large), ""},
		{"other actors around the author", others(ops(ct.Set(by(1, 3), "a", 1, by(1, 4), old(4), by(2, 4))), small, large), ""},
		{"hundred other actors", hundred(), ""},
		{"hundred operations", ops(slices.Repeat([]ct.Op{one}, 100)...), ""},
		{"extra bytes", edit(ops(one), func(c *ct.Change) { c.Extra = []byte{1, 2} }), ""},
		{"last counter", edit(ops(one), func(c *ct.Change) { c.StartOp = change.MaxCounter }), ""},
		{"message", edit(ops(one), func(c *ct.Change) { c.Message = "日本" }), ""},

		{"counter over another value", ops(ct.Set(root, "n", 1), ct.Set(root, "n", ct.Counter(1)), ct.Increment(root, "n", 1, op(0), op(1))), ""},
		{"increment of no counter", ops(ct.Set(root, "n", 1), ct.Increment(root, "n", 1, op(0))), "increments what is no counter"},
		{"increment of a counter below", ops(ct.Set(root, "n", ct.Counter(1)), ct.Set(root, "n", 1), ct.Increment(root, "n", 1, op(0), op(1))), "increments what is no counter"},

		{"mark in a list", ops(ct.Make(root, "l", ct.MakeList), ct.Insert(op(0), root, 1), begin(op(0), op(1)), end(op(0), op(2))), "mark is not in a text"},

		// The header.
		{"sequence number 0", edit(ops(one), func(c *ct.Change) { c.Raw = true }), "sequence number"},
		{"sequence number 2^32", edit(ops(one), func(c *ct.Change) { c.Seq = 1 << 32 }), "sequence number"},
		{"counter past the last", edit(ops(one, one), func(c *ct.Change) { c.StartOp = change.MaxCounter }), "last operation: counter"},
		{"start past the last", edit(ops(), func(c *ct.Change) { c.StartOp = change.MaxCounter + 1 }), "first operation: counter"},
		{"time", edit(ops(one), func(c *ct.Change) { c.Time = math.MinInt64 }), "time"},
		{"no actor", edit(ops(one), func(c *ct.Change) { c.Actor = []byte{} }), "actor has a bad length"},
		{"long actor", edit(ops(one), func(c *ct.Change) { c.Actor = make([]byte, change.MaxActor+1) }), "actor has a bad length"},
		{"message not utf-8", edit(ops(one), func(c *ct.Change) { c.Message = "\xff" }), "message: text"},
		{"unsorted dependencies", edit(ops(one), func(c *ct.Change) { c.Deps = []change.Hash{{2}, {1}} }), "dependencies"},
		{"double dependency", edit(ops(one), func(c *ct.Change) { c.Deps = []change.Hash{{1}, {1}} }), "dependencies"},
		{"unused other actor", others(ops(one), large), "not used"},
		{"unsorted other actors", others(ops(ct.Set(by(1, 3), "a", 1, by(2, 4))), large, small), "not sorted"},
		{"double other actor", others(ops(ct.Set(by(1, 3), "a", 1, by(2, 4))), large, large), "not sorted"},
		{"author among the others", others(ops(ct.Set(by(1, 3), "a", 1)), ct.Actor(1)), "include the author"},
		{"empty other actor", others(ops(ct.Set(by(1, 3), "a", 1)), []byte{}), "actor has a bad length"},

		// Columns.
		{"unknown column", with(ct.Column{Spec: 99, Data: []byte{2, 1}}), "unknown column"},
		{"child column of old", with(ct.Column{Spec: 6<<4 | 1, Data: []byte{2, 1}}), "unknown column"},
		{"compressed column", with(ct.Column{Spec: ct.Action | 8, Data: []byte{2, 1}}), "column is compressed"},
		{"column without data", edit(with(), func(c *ct.Change) { c.Keep = true }), "column is empty"},
		{"no insert column", with(ct.Column{Spec: ct.Inserted}), "insert: column has too few rows"},
		{"no action column", with(ct.Column{Spec: ct.Action}), "has too many rows"},
		{"no value column", with(ct.Column{Spec: ct.ValueMeta}), "value: column has too few rows"},
		{"no predecessor column", with(ct.Column{Spec: ct.PredNum}), "predecessor: column has too few rows"},
		{"actions than rows", with(ct.Column{Spec: ct.Action, Data: []byte{3, 1}}), "too few rows"},
		{"rows than actions", with(ct.Column{Spec: ct.Action, Data: []byte{0x7f, 1}}), "too many rows"},
		{"null action", with(ct.Column{Spec: ct.Action, Data: []byte{0, 2}}), "action: column has a null"},
		{"cut off action", with(ct.Column{Spec: ct.Action, Data: []byte{2}}), "action: number is cut off"},
		{"billions of actions", with(ct.Column{Spec: ct.Action, Data: change.AppendLeb(nil, 1<<60)}), "too many operations"},
		{"many literal actions", with(ct.Column{Spec: ct.Action, Data: change.AppendLeb(nil, math.MinInt64)}), "action: column is cut off"},
		{"too many actions", with(ct.Column{Spec: ct.Action, Data: append(change.AppendLeb(nil, change.MaxOps+1), 1)}), "too many operations"},
		{"billions of nulls", with(ct.Column{Spec: ct.ObjActor, Data: append([]byte{0}, change.AppendUleb(nil, 1<<60)...)}), "run-length"},
		{"billions of rows", with(ct.Column{Spec: ct.PredNum, Data: append(change.AppendLeb(nil, 1<<60), 0)}), "too many rows"},
		{"run of one", with(ct.Column{Spec: ct.Action, Data: []byte{1, 1, 1, 1}}), "run-length"},
		{"two runs of one value", with(ct.Column{Spec: ct.PredNum, Data: []byte{0x7f, 0, 0x7f, 0}}), "run-length"},
		{"literal run of one value", with(ct.Column{Spec: ct.Action, Data: []byte{0x7e, 1, 1}}), "run-length"},
		{"two runs of nulls", with(ct.Column{Spec: ct.MarkName, Data: []byte{0, 1, 0, 1}}), "run-length"},
		{"column of nulls", with(ct.Column{Spec: ct.KeyActor, Data: []byte{0, 2}}), "run-length"},
		{"run of no nulls", with(ct.Column{Spec: ct.KeyStr, Data: []byte{0, 0, 0x7e, 1, 'a', 1, 'b'}}), "run-length"},
		{"overlong number", with(ct.Column{Spec: ct.Action, Data: []byte{2, 0x81, 0}}), "longer encoding"},
		{"overlong run", with(ct.Column{Spec: ct.PredNum, Data: []byte{0x82, 0, 0}}), "longer encoding"},
		{"string past its column", with(ct.Column{Spec: ct.KeyStr, Data: []byte{0x7e, 1, 'a', 9, 'b'}}), "key: column is cut off"},
		{"key not utf-8", with(ct.Column{Spec: ct.KeyStr, Data: []byte{0x7e, 1, 'a', 1, 0xff}}), "key: text"},
		{"boolean run of none", with(ct.Column{Spec: ct.Inserted, Data: []byte{1, 0, 1}}), "insert: column is not run-length"},
		{"boolean runs of none", with(ct.Column{Spec: ct.Inserted, Data: []byte{0, 0, 2}}), "insert: column is not run-length"},
		{"too many booleans", with(ct.Column{Spec: ct.Inserted, Data: []byte{3}}), "insert: column has too many rows"},
		{"expand all false", with(ct.Column{Spec: ct.Expand, Data: []byte{2}}), "expand: column is not run-length"},

		// Values.
		{"value past its column", with(ct.Column{Spec: ct.ValueMeta, Data: []byte{2, 0x26}}), "value: column is cut off"},
		{"bytes after the values", with(ct.Column{Spec: ct.Value, Data: []byte("vwx")}), "bytes after the last value"},
		{"null with bytes", ops(ct.Set(root, "a", ct.Raw{Meta: 1 << 4, Data: []byte{1}})), "value has a bad length"},
		{"true with bytes", ops(ct.Set(root, "a", ct.Raw{Meta: 1<<4 | 2, Data: []byte{1}})), "value has a bad length"},
		{"overlong integer", ops(ct.Set(root, "a", ct.Raw{Meta: 2<<4 | 4, Data: []byte{0x81, 0}})), "value has a bad length"},
		{"integer of two", ops(ct.Set(root, "a", ct.Raw{Meta: 2<<4 | 3, Data: []byte{1, 1}})), "value has a bad length"},
		{"empty timestamp", ops(ct.Set(root, "a", ct.Raw{Meta: 9})), "value has a bad length"},
		{"short float", ops(ct.Set(root, "a", ct.Raw{Meta: 4<<4 | 5, Data: make([]byte, 4)})), "value has a bad length"},
		{"string not utf-8", ops(ct.Set(root, "a", "\xff")), "value: text"},
		{"unknown type", ops(ct.Set(root, "a", ct.Raw{Meta: 1<<4 | 10, Data: []byte{1}})), "unknown type"},
		{"huge length", ops(ct.Set(root, "a", ct.Raw{Meta: math.MaxUint64})), "value: column is cut off"},

		// Operation ids.
		{"object by no actor", ops(ct.Set(by(1, 3), "a", 1)), "object: no such actor"},
		{"key by no actor", ops(ct.Insert(old(1), by(7, 3), 1)), "key: no such actor"},
		{"predecessor by no actor", ops(ct.Set(root, "a", 1, by(1, 3))), "predecessor: no such actor"},
		{"object of the future", ops(ct.Set(op(0), "a", 1)), "object: refers to a later"},
		{"element of the future", ops(ct.Insert(old(1), op(5), 1)), "key: refers to a later"},
		{"predecessor of the future", ops(ct.Set(root, "a", 1, op(0))), "predecessor: refers to a later"},
		{"other's operation that the author has not seen", others(ops(one, ct.Set(root, "b", 1, by(1, 10))), large), "predecessor: refers to a later"},
		{"object without actor", edit(ops(ct.Set(old(1), "a", 1)), func(c *ct.Change) { c.Replace = []ct.Column{{Spec: ct.ObjActor}} }), "lacks a part"},
		{"object with counter 0", edit(ops(ct.Set(old(1), "a", 1)), func(c *ct.Change) { c.Replace = []ct.Column{{Spec: ct.ObjCtr, Data: []byte{0x7f, 0}}} }), "object: counter"},
		{"element with counter 0", edit(ops(ct.Insert(old(1), old(3), 1)), func(c *ct.Change) { c.Replace = []ct.Column{{Spec: ct.KeyCtr, Data: []byte{0x7f, 0}}} }), "key: counter"},
		{"element with negative counter", edit(ops(ct.Insert(old(1), old(3), 1)), func(c *ct.Change) { c.Replace = []ct.Column{{Spec: ct.KeyCtr, Data: []byte{0x7f, 0x7e}}} }), "key: counter"},
		{"element with huge counter", edit(ops(ct.Insert(old(1), old(3), 1)), func(c *ct.Change) {
			c.Replace = []ct.Column{{Spec: ct.KeyCtr, Data: change.AppendLeb([]byte{0x7f}, 1<<32+3)}}
		}), "key: counter"},
		{"predecessor without counter", edit(ops(ct.Set(root, "a", 1, old(3))), func(c *ct.Change) { c.Replace = []ct.Column{{Spec: ct.PredCtr}} }), "predecessor: operation id lacks"},
		{"unsorted predecessors", ops(ct.Set(root, "a", 1, old(4), old(3))), "predecessors are not sorted"},
		{"double predecessor", ops(ct.Set(root, "a", 1, old(3), old(3))), "predecessors are not sorted"},
		{"predecessors not sorted by actor", others(ops(ct.Set(root, "a", 1, by(2, 4), by(1, 4))), small, large), "predecessors are not sorted"},
		{"billions of predecessors", edit(ops(one), func(c *ct.Change) {
			c.Replace = []ct.Column{{Spec: ct.PredNum, Data: change.AppendUleb([]byte{0x7f}, 1<<60)}}
		}), "too many operations"},

		// Keys.
		{"no key", ops(ct.Op{Action: ct.Put}), "has no key"},
		{"two keys", edit(ops(one), func(c *ct.Change) { c.Replace = []ct.Column{{Spec: ct.KeyCtr, Data: []byte{0x7f, 0}}} }), "more than one key"},
		{"insertion at a map's key", ops(ct.Op{Key: "a", Insert: true, Action: ct.Put}), "inserts at a key"},
		{"head replaced", ops(ct.Op{Obj: old(1), Key: root, Action: ct.Put}), "changes the head"},
		{"element in the root", ops(ct.Insert(root, root, 1)), "element of a sequence in a map"},
		{"element in a new map", ops(ct.Make(root, "m", ct.MakeMap), ct.Insert(op(0), root, 1)), "element of a sequence in a map"},
		{"key in a new text", ops(text, ct.Set(op(0), "a", 1)), "key of a map in a sequence"},
		{"object that is none", ops(one, ct.Set(op(0), "a", 1)), "makes no object"},
		{"insertion after what is no element", ops(one, ct.Insert(old(1), op(0), 1)), "inserts nothing there"},
		{"insertion after another list's element", ops(ct.Insert(old(1), root, 1), ct.Insert(old(2), op(0), 1)), "inserts nothing there"},
		{"new list with an old element", ops(ct.Make(root, "l", ct.MakeList), ct.Insert(op(0), old(3), 1)), "inserts nothing there"},
		{"mark replaced", ops(begin(old(1), root), end(old(1), old(3)), ct.Op{Obj: old(1), Key: op(0), Action: ct.Put}), "inserts nothing there"},

		// Predecessors of the same change.
		{"predecessor at another key", ops(one, ct.Set(root, "b", 1, op(0))), "sets nothing there"},
		{"predecessor in another object", ops(one, ct.Set(old(1), "a", 1, op(0))), "sets nothing there"},
		{"predecessor that deletes", ops(ct.DeleteKey(root, "a", old(1)), ct.Set(root, "a", 1, op(0))), "sets nothing there"},
		{"predecessor that increments", ops(ct.Increment(root, "a", 1, old(1)), ct.Set(root, "a", 1, op(0))), "sets nothing there"},
		{"predecessor at another element", ops(ct.Insert(old(1), root, 1), ct.Op{Obj: old(1), Key: old(3), Action: ct.Del, Preds: []ct.ID{op(0)}}), "sets nothing there"},
		{"new map with an old value", ops(ct.Make(root, "m", ct.MakeMap), ct.Set(op(0), "a", 1, old(3))), "sets nothing there"},

		// Actions.
		{"unknown action", ops(ct.Op{Key: "a", Action: 8}), "unknown action"},
		{"table", ops(ct.Make(root, "a", ct.MakeTable)), "makes a table"},
		{"object with a value", ops(ct.Op{Key: "a", Action: ct.MakeMap, Value: 1}), "value that its action"},
		{"deletion with a value", ops(ct.Op{Key: "a", Action: ct.Del, Value: 1, Preds: []ct.ID{old(1)}}), "value that its action"},
		{"deletion of nothing", ops(ct.DeleteKey(root, "a")), "replaces nothing"},
		{"deletion that inserts", ops(ct.Op{Obj: old(1), Key: old(3), Insert: true, Action: ct.Del, Preds: []ct.ID{old(3)}}), "cannot be inserted"},
		{"increment of nothing", ops(ct.Increment(root, "a", 1)), "replaces nothing"},
		{"increment by a string", ops(ct.Op{Key: "a", Action: ct.Inc, Value: "1", Preds: []ct.ID{old(1)}}), "no integer"},
		{"increment by a counter", ops(ct.Op{Key: "a", Action: ct.Inc, Value: ct.Counter(1), Preds: []ct.ID{old(1)}}), "no integer"},
		{"increment that inserts", ops(ct.Op{Obj: old(1), Key: old(3), Insert: true, Action: ct.Inc, Value: 1, Preds: []ct.ID{old(3)}}), "cannot be inserted"},
		{"insertion that replaces", ops(ct.Op{Obj: old(1), Key: old(3), Insert: true, Action: ct.Put, Preds: []ct.ID{old(3)}}), "inserts and replaces"},

		// Marks.
		{"name without a mark", ops(ct.Op{Key: "a", Action: ct.Put, Mark: "bold"}), "no mark but"},
		{"expand without a mark", ops(ct.Op{Key: "a", Action: ct.Put, Expand: true}), "no mark but"},
		{"mark at an element", ops(ct.Op{Obj: old(1), Key: old(3), Action: ct.Mark, Mark: "bold"}), "mark is not inserted"},
		{"mark's end with a value", ops(begin(old(1), old(3)), edit2(end(old(1), old(5)), func(o *ct.Op) { o.Value = 1 })), "value that its action"},
		{"mark without an end", ops(begin(old(1), old(3))), "next to each other"},
		{"mark without a beginning", ops(end(old(1), old(3))), "next to each other"},
		{"mark with something between", ops(begin(old(1), old(3)), one, end(old(1), old(5))), "next to each other"},
		{"mark across texts", ops(begin(old(1), old(3)), end(old(2), old(5))), "next to each other"},
		{"mark that ends at the head", ops(begin(old(1), old(3)), end(old(1), root)), "ends before it begins"},
		{"mark that ends before it begins", ops(begin(old(1), old(3)), end(old(1), old(3))), "ends before it begins"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := change.Parse(tt.c.Encode())
			if err != nil {
				t.Fatal(err)
			}
			err = change.Check(&c)
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("refused: %v", err)
			case tt.want != "" && err == nil:
				t.Errorf("accepted, want %q", tt.want)
			case tt.want != "" && !strings.Contains(err.Error(), tt.want):
				t.Errorf("%v, want %q", err, tt.want)
			}
			if tt.want != "" {
				return
			}
			if n, err := c.Ops(); err != nil || n != uint64(len(tt.c.Ops)) {
				t.Errorf("%d operations, %v, want %d", n, err, len(tt.c.Ops))
			}
		})
	}
}

func TestCheckRefusesUnsortedColumns(t *testing.T) {
	body := ops(ct.Set(root, "a", 1)).Body()
	for _, spec := range []byte{ct.KeyStr, ct.KeyCtr} {
		// The insert column stands after that of the keys.
		bad := bytes.Replace(body, []byte{ct.Inserted, 1}, []byte{spec, 1}, 1)
		c, err := change.Parse(ct.Chunk(1, bad))
		if err != nil {
			t.Fatal(err)
		}
		if err := change.Check(&c); err == nil || !strings.Contains(err.Error(), "columns are not sorted") {
			t.Errorf("column %d: %v", spec, err)
		}
	}
}

func edit2(o ct.Op, f func(*ct.Op)) ct.Op {
	f(&o)
	return o
}

// hundred makes a change that names 300 other actors, too many for the set
// that lives on the stack.
func hundred() ct.Change {
	c := ct.Change{StartOp: 10}
	for i := range 300 {
		c.Others = append(c.Others, []byte{9, byte(i >> 8), byte(i)})
		c.Ops = append(c.Ops, ct.Set(by(1+i, 3), "a", 1))
	}
	return c
}

func TestCheckDoesNotAllocate(t *testing.T) {
	c, err := change.Parse(ops(ct.Insert(old(1), old(3), "x")).Encode())
	if err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(100, func() {
		if err := change.Check(&c); err != nil {
			t.Fatal(err)
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
