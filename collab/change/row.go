package change

import (
	"bytes"
	"errors"
	"fmt"
	"unicode/utf8"
)

var (
	errActorIndex = errors.New("no such actor")
	errFuture     = errors.New("refers to a later operation")
	errHalfID     = errors.New("operation id lacks a part")
	errNoKey      = errors.New("has no key")
	errTwoKeys    = errors.New("has more than one key")
	errMapKey     = errors.New("key of a map in a sequence")
	errElemKey    = errors.New("element of a sequence in a map")
	errInsertKey  = errors.New("inserts at a key of a map")
	errHeadKey    = errors.New("changes the head of a sequence")
	errNotObject  = errors.New("refers to an operation that makes no object")
	errNotElem    = errors.New("refers to an operation that inserts nothing there")
	errNotPred    = errors.New("replaces an operation that sets nothing there")
	errInsertPred = errors.New("inserts and replaces at once")
	errNoPred     = errors.New("replaces nothing")
	errNotCounter = errors.New("increments what is no counter")
	errPredOrder  = errors.New("predecessors are not sorted")
	errAction     = errors.New("unknown action")
	errTable      = errors.New("makes a table")
	errInsertion  = errors.New("inserts what cannot be inserted")
	errValue      = errors.New("has a value that its action does not have")
	errIncrement  = errors.New("increments by what is no integer")
	errMarkField  = errors.New("is no mark but has a mark's fields")
	errMarkInsert = errors.New("mark is not inserted")
	errMarkText   = errors.New("mark is not in a text")
	errMarkPair   = errors.New("mark does not begin and end next to each other")
	errMarkOrder  = errors.New("mark ends before it begins")
	errValueType  = errors.New("value has an unknown type")
	errValueSize  = errors.New("value has a bad length")
)

// row checks one operation.
func (k *checker) row(w *walk, i uint64) error {
	r := &w.rows[i]
	own := w.start + i

	obj, err := k.object(w, own)
	if err != nil {
		return fmt.Errorf("object: %w", err)
	}
	r.obj = obj
	if r.key, err = k.key(w, own); err != nil {
		return fmt.Errorf("key: %w", err)
	}
	if r.insert, err = k.insert.next(); err != nil {
		return fmt.Errorf("insert: %w", err)
	}
	action, err := k.action.need()
	if err != nil {
		return fmt.Errorf("action: %w", err)
	}
	if action > mark {
		return errAction
	}
	r.action = uint8(action)
	value, err := k.value()
	if err != nil {
		return fmt.Errorf("value: %w", err)
	}
	r.count = r.action == set && value == valueCounter
	if err := w.place(r); err != nil {
		return err
	}
	preds, err := k.predecessors(w, r, own)
	if err != nil {
		return fmt.Errorf("predecessor: %w", err)
	}
	expand := false
	if k.hasExpand {
		if expand, err = k.expand.next(); err != nil {
			return fmt.Errorf("expand: %w", err)
		}
		k.expanded = k.expanded || expand
	}
	if _, r.name, err = k.markName.next(); err != nil {
		return fmt.Errorf("mark name: %w", err)
	}
	if err := r.fits(value, preds, expand); err != nil {
		return err
	}
	return w.markPair(r, i)
}

// fits checks that an operation has what its action needs and nothing else.
// Deletions are not kept as such by stock clients, so all that is special about
// one would be lost.
func (r *row) fits(value uint8, preds uint64, expand bool) error {
	if r.action != mark && (expand || r.name) {
		return errMarkField
	}
	switch r.action {
	case makeMap, makeList, makeText:
		if value != valueNull {
			return errValue
		}
	case makeTable:
		// Stock clients can make none, and panic at the first key in one.
		return errTable
	case del:
		switch {
		case value != valueNull:
			return errValue
		case r.insert:
			return errInsertion
		case preds == 0:
			return errNoPred
		}
	case increment:
		switch {
		case value != valueInt && value != valueUint:
			return errIncrement
		case r.insert:
			return errInsertion
		case preds == 0:
			return errNoPred
		}
	case mark:
		if !r.insert {
			return errMarkInsert
		}
		if !r.name && value != valueNull {
			return errValue
		}
	}
	if r.insert && preds > 0 {
		return errInsertPred
	}
	return nil
}

// markPair checks that a mark's end comes right after its beginning: that is
// how stock clients know what an end belongs to.
func (w *walk) markPair(r *row, i uint64) error {
	end := r.action == mark && !r.name
	if i == 0 {
		if end {
			return errMarkPair
		}
		return nil
	}
	last := &w.rows[i-1]
	if begun := last.action == mark && last.name; begun != end || end && last.obj != r.obj {
		return errMarkPair
	}
	// Of two insertions at one place the later stands first, and at the head
	// before everything.
	if end && (r.key == last.key || r.key.ctr == 0) {
		return errMarkOrder
	}
	return nil
}

// object reads the object that an operation works on.
func (k *places) object(w *walk, own uint64) (id, error) {
	actor, okActor, err := k.objActor.next()
	if err != nil {
		return id{}, err
	}
	ctr, okCtr, err := k.objCtr.next()
	if err != nil {
		return id{}, err
	}
	if okActor != okCtr {
		return id{}, errHalfID
	}
	if !okActor {
		return id{}, nil
	}
	return w.id(actor, ctr, own)
}

// key reads the key of an operation.
func (k *places) key(w *walk, own uint64) (key, error) {
	actor, okActor, err := k.keyActor.next()
	if err != nil {
		return key{}, err
	}
	ctr, okCtr, err := k.keyCtr.next()
	if err != nil {
		return key{}, err
	}
	str, okStr, err := k.keyStr.next()
	if err != nil {
		return key{}, err
	}
	switch {
	case okStr && (okActor || okCtr):
		return key{}, errTwoKeys
	case okStr:
		return key{at: k.keyStr.at, size: uint32(len(str))}, nil
	case okCtr && !okActor && ctr == 0:
		return key{size: inElem}, nil
	case okCtr && okActor:
		e, err := w.id(actor, ctr, own)
		return key{id: e, size: inElem}, err
	case okCtr || okActor:
		return key{}, errHalfID
	}
	return key{}, errNoKey
}

// id checks the id of another operation. What other actors have done and the
// author has seen has counters below those of the change.
func (w *walk) id(actor, ctr, own uint64) (id, error) {
	if actor >= w.actors {
		return id{}, errActorIndex
	}
	if w.used != nil {
		w.used[actor/64] |= 1 << (actor % 64)
	}
	if ctr == 0 {
		return id{}, errCounter
	}
	if ctr >= own || actor != 0 && ctr >= w.start {
		return id{}, errFuture
	}
	return id{ctr: uint32(ctr), actor: uint16(actor)}, nil
}

// here returns the operation with that id if it is one of this change.
func (w *walk) here(x id) *row {
	if x.actor != 0 || uint64(x.ctr) < w.start {
		return nil
	}
	return &w.rows[uint64(x.ctr)-w.start]
}

// place checks that the key of an operation fits its object, as far as this
// change tells what that is.
func (w *walk) place(r *row) error {
	elem := r.key.size == inElem
	switch {
	case r.insert && !elem:
		return errInsertKey
	case !r.insert && elem && r.key.ctr == 0:
		return errHeadKey
	}
	made := w.here(r.obj)
	if r.obj.ctr == 0 {
		if elem {
			return errElemKey
		}
		return nil
	}
	if made != nil {
		switch made.action {
		case makeMap:
			if elem {
				return errElemKey
			}
		case makeList, makeText:
			if !elem {
				return errMapKey
			}
		default:
			return errNotObject
		}
		if r.action == mark && made.action != makeText {
			return errMarkText
		}
	}
	if !elem || r.key.ctr == 0 {
		return nil
	}
	switch e := w.here(r.key.id); {
	case e != nil:
		if !e.insert || e.obj != r.obj || e.action == mark && !r.insert {
			return errNotElem
		}
	case made != nil:
		// A new sequence has no elements from elsewhere.
		return errNotElem
	}
	return nil
}

// predecessors reads what an operation replaces and returns their number.
func (k *checker) predecessors(w *walk, r *row, own uint64) (uint64, error) {
	n, err := k.predNum.need()
	if err != nil {
		return 0, err
	}
	if n > MaxOps-w.preds {
		return 0, errManyOps
	}
	w.preds += n
	var last uint64
	var latest *row // the last predecessor, if it is one of this change
	made := w.here(r.obj)
	for range n {
		actor, err := k.predActor.need()
		if err != nil {
			return 0, err
		}
		ctr, ok, err := k.predCtr.next()
		if err != nil {
			return 0, err
		}
		if !ok {
			return 0, errHalfID
		}
		p, err := w.id(actor, ctr, own)
		if err != nil {
			return 0, err
		}
		// Other actors are sorted among themselves; the author is not.
		rank := ctr << 32
		if actor == 0 {
			rank += 2*w.less + 1
		} else {
			rank += 2 * actor
		}
		if rank <= last {
			return 0, errPredOrder
		}
		last = rank
		latest = nil
		switch q := w.here(p); {
		case q != nil:
			if !k.replaces(r, q, p) {
				return 0, errNotPred
			}
			latest = q
		case made != nil:
			// A new object has no values from elsewhere.
			return 0, errNotPred
		}
	}
	if r.action == increment && latest != nil && !latest.count {
		// Stock clients show the last one, and would increment that.
		return 0, errNotCounter
	}
	return n, nil
}

// replaces says whether r can replace p, which is the operation q of the same
// change.
func (k *checker) replaces(r, q *row, p id) bool {
	switch q.action {
	case del, increment, mark:
		return false
	}
	if q.obj != r.obj {
		return false
	}
	if q.insert {
		return r.key.size == inElem && r.key.id == p
	}
	if q.key.size != r.key.size || q.key.id != r.key.id {
		return false
	}
	return q.key.size == inElem || bytes.Equal(k.keyStr.bytes(q.key), k.keyStr.bytes(r.key))
}

// value reads the value of an operation and returns its type.
func (k *checker) value() (uint8, error) {
	meta, err := k.meta.need()
	if err != nil {
		return 0, err
	}
	typ, size := uint8(meta&15), meta>>4
	if size > uint64(len(k.values)) {
		return 0, errColumnEnd
	}
	v := k.values[:size]
	k.values = k.values[size:]
	switch typ {
	case valueNull, valueFalse, valueTrue:
		if size != 0 {
			return 0, errValueSize
		}
	case valueUint:
		if _, rest, err := ParseUleb(v); err != nil || len(rest) > 0 {
			return 0, errValueSize
		}
	case valueInt, valueCounter, valueTimestamp:
		if _, rest, err := ParseLeb(v); err != nil || len(rest) > 0 {
			return 0, errValueSize
		}
	case valueFloat:
		if size != 8 {
			return 0, errValueSize
		}
	case valueString:
		if !utf8.Valid(v) {
			return 0, errUTF8
		}
	case valueBytes:
	default:
		return 0, errValueType
	}
	return typ, nil
}
