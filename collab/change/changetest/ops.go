package changetest

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"atrium/collab/change"
)

// An ID names an operation. Actor 0 is the author of the change, the others
// are those of [Change.Others], from 1. The zero ID is the root object, and the
// head of a sequence.
type ID struct {
	Actor int
	Ctr   uint64
}

// An Op is one operation. Its own counter follows from its place.
type Op struct {
	Obj    ID
	Key    any // string, or ID of an element
	Insert bool
	Action uint64
	// Value is nil, a bool, an int, uint64, float64, string or []byte, a
	// [Counter], a [Timestamp] or a [Raw] value.
	Value  any
	Preds  []ID
	Expand bool
	Mark   string
}

// Actions.
const (
	MakeMap   = 0
	Put       = 1
	MakeList  = 2
	Del       = 3
	MakeText  = 4
	Inc       = 5
	MakeTable = 6
	Mark      = 7
)

// Values that Go has no type for.
type (
	Counter   int64
	Timestamp int64
	Raw       struct {
		Meta uint64
		Data []byte
	}
)

// Set sets a key of a map.
func Set(obj ID, key string, value any, preds ...ID) Op {
	return Op{Obj: obj, Key: key, Action: Put, Value: value, Preds: preds}
}

// Make makes an object at a key of a map.
func Make(obj ID, key string, action uint64, preds ...ID) Op {
	return Op{Obj: obj, Key: key, Action: action, Preds: preds}
}

// Insert inserts a value after an element of a sequence.
func Insert(obj, after ID, value any) Op {
	return Op{Obj: obj, Key: after, Insert: true, Action: Put, Value: value}
}

// Delete deletes an element of a sequence.
func Delete(obj, elem ID) Op {
	return Op{Obj: obj, Key: elem, Action: Del, Preds: []ID{elem}}
}

// DeleteKey deletes a key of a map.
func DeleteKey(obj ID, key string, preds ...ID) Op {
	return Op{Obj: obj, Key: key, Action: Del, Preds: preds}
}

// Increment increments a counter at a key of a map.
func Increment(obj ID, key string, by int, preds ...ID) Op {
	return Op{Obj: obj, Key: key, Action: Inc, Value: by, Preds: preds}
}

func (c Change) columns() []Column {
	var (
		objActor, keyActor, action, meta, predNum, predActor rle
		objCtr                                               rle
		keyCtr, predCtr                                      delta
		keyStr, markName                                     rle
		insert, expand                                       []bool
		values                                               []byte
	)
	marked := false
	for _, op := range c.Ops {
		if op.Obj == (ID{}) {
			objActor.null()
			objCtr.null()
		} else {
			objActor.uint(uint64(op.Obj.Actor))
			objCtr.uint(op.Obj.Ctr)
		}
		switch k := op.Key.(type) {
		case string:
			keyActor.null()
			keyCtr.null()
			keyStr.string(k)
		case ID:
			keyStr.null()
			if k == (ID{}) {
				keyActor.null()
			} else {
				keyActor.uint(uint64(k.Actor))
			}
			keyCtr.uint(k.Ctr)
		default:
			keyActor.null()
			keyCtr.null()
			keyStr.null()
		}
		insert = append(insert, op.Insert)
		action.uint(op.Action)
		m, v := value(op.Value)
		meta.uint(m)
		values = append(values, v...)
		predNum.uint(uint64(len(op.Preds)))
		for _, p := range op.Preds {
			predActor.uint(uint64(p.Actor))
			predCtr.uint(p.Ctr)
		}
		expand = append(expand, op.Expand)
		marked = marked || op.Expand
		if op.Mark == "" {
			markName.null()
		} else {
			markName.string(op.Mark)
		}
	}
	cols := []Column{
		{ObjActor, objActor.encode()},
		{ObjCtr, objCtr.encode()},
		{KeyActor, keyActor.encode()},
		{KeyCtr, keyCtr.encode()},
		{KeyStr, keyStr.encode()},
		{Inserted, Bools(insert...)},
		{Action, action.encode()},
		{ValueMeta, meta.encode()},
		{Value, values},
		{PredNum, predNum.encode()},
		{PredActor, predActor.encode()},
		{PredCtr, predCtr.encode()},
		{MarkName, markName.encode()},
	}
	if marked {
		cols = append(cols, Column{Expand, Bools(expand...)})
	}
	for _, r := range c.Replace {
		if i := slices.IndexFunc(cols, func(c Column) bool { return c.Spec == r.Spec }); i >= 0 {
			cols[i] = r
		} else {
			cols = append(cols, r)
		}
	}
	slices.SortStableFunc(cols, func(a, b Column) int { return cmp.Compare(a.Spec, b.Spec) })
	return cols
}

func value(v any) (meta uint64, data []byte) {
	typ := uint64(0)
	switch v := v.(type) {
	case nil:
	case bool:
		typ = 1
		if v {
			typ = 2
		}
	case uint64:
		typ, data = 3, change.AppendUleb(nil, v)
	case int:
		typ, data = 4, change.AppendLeb(nil, int64(v))
	case float64:
		typ, data = 5, binary.LittleEndian.AppendUint64(nil, math.Float64bits(v))
	case string:
		typ, data = 6, []byte(v)
	case []byte:
		typ, data = 7, v
	case Counter:
		typ, data = 8, change.AppendLeb(nil, int64(v))
	case Timestamp:
		typ, data = 9, change.AppendLeb(nil, int64(v))
	case Raw:
		return v.Meta, v.Data
	default:
		panic(fmt.Sprintf("value of type %T", v))
	}
	return uint64(len(data))<<4 | typ, data
}

// Bools encodes a column of booleans.
func Bools(rows ...bool) []byte {
	var out []byte
	n, last := uint64(0), false
	for _, b := range rows {
		if b != last {
			out = change.AppendUleb(out, n)
			n, last = 0, b
		}
		n++
	}
	if n > 0 {
		out = change.AppendUleb(out, n)
	}
	return out
}

// rle collects the encoded rows of a column, nil for a null.
type rle [][]byte

func (r *rle) null()           { *r = append(*r, nil) }
func (r *rle) uint(x uint64)   { *r = append(*r, change.AppendUleb(nil, x)) }
func (r *rle) int(x int64)     { *r = append(*r, change.AppendLeb(nil, x)) }
func (r *rle) string(s string) { *r = append(*r, appendBytes(nil, []byte(s))) }

// delta collects the rows of a column of differences.
type delta struct {
	rle
	last uint64
}

func (d *delta) uint(x uint64) {
	d.int(int64(x - d.last))
	d.last = x
}

// encode writes runs of nulls, runs of one value, and literal runs.
func (r rle) encode() []byte {
	if !slices.ContainsFunc(r, func(v []byte) bool { return v != nil }) {
		return nil
	}
	run := func(i int) int {
		n := 1
		for i+n < len(r) && slices.Equal(r[i+n], r[i]) && (r[i+n] == nil) == (r[i] == nil) {
			n++
		}
		return n
	}
	var out []byte
	for i := 0; i < len(r); {
		n := run(i)
		switch {
		case r[i] == nil:
			out = change.AppendUleb(append(out, 0), uint64(n))
		case n > 1:
			out = append(change.AppendLeb(out, int64(n)), r[i]...)
		default:
			for i+n < len(r) && r[i+n] != nil && run(i+n) == 1 {
				n++
			}
			out = change.AppendLeb(out, -int64(n))
			for _, v := range r[i : i+n] {
				out = append(out, v...)
			}
		}
		i += n
	}
	return out
}
