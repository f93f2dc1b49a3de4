package materialize

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	"github.com/automerge/automerge-go"

	"atrium/collab/change"
)

func (r *request) create() (answer, error) {
	target, err := parseJSON(r.Input)
	if err != nil {
		return answer{}, err
	}
	if target.kind != kindMap {
		return answer{}, malformed("content is not an object")
	}
	return r.make(automerge.New(), &node{kind: kindMap}, target, asJSON)
}

func (r *request) patch() (answer, error) {
	doc, err := load(r.Log)
	if err != nil {
		return answer{}, err
	}
	now, err := content(doc)
	if err != nil {
		return answer{}, err
	}
	patch, err := parseJSON(r.Input)
	if err != nil {
		return answer{}, err
	}
	target := now.plain()
	switch r.Kind {
	case MergePatch:
		target = mergePatch(target, patch)
	case JSONPatch:
		if target, err = jsonPatch(target, patch); err != nil {
			return answer{}, err
		}
	default:
		return answer{}, errors.New("unknown kind of patch")
	}
	if target.kind != kindMap {
		return answer{}, malformed("the document would not be an object")
	}
	if d := target.depth(); d > MaxDepth && d > now.depth() {
		return answer{}, malformed(fmt.Sprintf("the document would be nested deeper than %d", MaxDepth))
	}
	return r.make(doc, now, target, asJSON)
}

func (r *request) restore() (answer, error) {
	target, err := contentOf(r.Other)
	if err != nil {
		return answer{}, err
	}
	doc, err := load(r.Log)
	if err != nil {
		return answer{}, err
	}
	now, err := content(doc)
	if err != nil {
		return answer{}, err
	}
	return r.make(doc, now, target, asTyped)
}

// make makes the content of a document, which is now so, the target, in one change. The first
// change of a document may do nothing; without anything to do, there is no
// other one.
func (r *request) make(doc *automerge.Doc, now, target *node, m mode) (answer, error) {
	before := doc.Heads()
	if err := doc.SetActorID(hex.EncodeToString(r.Actor)); err != nil {
		return answer{}, err
	}
	w := writer{mode: m}
	err := w.reconcileMap(doc.RootMap(), now, target, "")
	runtime.KeepAlive(now) // automerge-go does not keep texts alive while it edits them
	if err != nil {
		return answer{}, err
	}
	if w.ops == 0 && len(before) > 0 {
		return answer{}, nil
	}
	// The field is in seconds, whatever automerge-go thinks.
	at := time.UnixMilli(r.Time)
	if _, err := doc.Commit(r.Message, automerge.CommitOptions{Time: &at, AllowEmpty: len(before) == 0}); err != nil {
		return answer{}, err
	}
	made, err := doc.Changes(before...)
	if err != nil {
		return answer{}, err
	}
	if len(made) != 1 {
		return answer{}, fmt.Errorf("%d changes were made instead of one", len(made))
	}
	after, err := content(doc)
	if err != nil {
		return answer{}, err
	}
	if !after.equal(target, m) {
		return answer{}, errors.New("the core has written something else")
	}
	c, err := change.Parse(made[0].Save())
	if err != nil {
		return answer{}, err
	}
	return answer{Body: c.Chunk}, nil
}

func sortedHeads(doc *automerge.Doc) []automerge.ChangeHash {
	heads := doc.Heads()
	slices.SortFunc(heads, func(a, b automerge.ChangeHash) int { return bytes.Compare(a[:], b[:]) })
	return heads
}

// A writer writes what is to be different, and counts operations.
type writer struct {
	mode mode
	ops  int
}

var errManyOps = malformed(fmt.Sprintf("it takes more than %d operations", change.MaxOps))

// count counts operations before they are made.
func (w *writer) count(n int) error {
	if w.ops += n; w.ops > change.MaxOps {
		return errManyOps
	}
	return nil
}

// put is what sets or inserts a value in its place.
type put func(value any) error

// reconcile makes now be the target: in place if it can be, else by setting
// another value. pointer is where it stands.
func (w *writer) reconcile(now, target *node, set put, pointer string) error {
	switch {
	case now.equal(target, w.mode):
		return nil
	case !sameObject(now, target, w.mode):
		return w.put(target, set, pointer)
	}
	switch o := now.object.(type) {
	case *automerge.Map:
		return w.reconcileMap(o, now, target, pointer)
	case *automerge.List:
		return w.reconcileList(o, now, target, pointer)
	case *automerge.Text:
		return w.reconcileText(o, now, target)
	case *automerge.Counter:
		if err := w.count(1); err != nil {
			return err
		}
		return o.Inc(target.int - now.int)
	}
	return errors.New("an object is missing")
}

// sameObject says whether an object can become the target by being edited.
func sameObject(now, target *node, m mode) bool {
	switch now.kind {
	case kindMap, kindList, kindText:
		return target.kind == now.kind
	case kindCounter:
		d := target.int - now.int
		overflow := (d > 0) != (target.int > now.int)
		if m == asTyped {
			return !overflow && target.kind == kindCounter
		}
		return !overflow && target.kind == kindInt && safe(d) && safe(target.int)
	}
	return false
}

func safe(i int64) bool { return -maxSafe <= i && i <= maxSafe }

func (w *writer) reconcileMap(m *automerge.Map, now, target *node, pointer string) error {
	for _, k := range now.sortedKeys() {
		if target.keys[k] == nil {
			if err := w.count(1); err != nil {
				return err
			}
			if err := m.Delete(k); err != nil {
				return err
			}
		}
	}
	for _, k := range target.sortedKeys() {
		at := pointer + "/" + escape(k)
		set := func(v any) error { return setKey(m, k, v, at) }
		var err error
		if old := now.keys[k]; old != nil {
			err = w.reconcile(old, target.keys[k], set, at)
		} else {
			err = w.put(target.keys[k], set, at)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func setKey(m *automerge.Map, k string, v any, pointer string) error {
	if k == "" {
		return &PatchError{Index: -1, Pointer: pointer, Reason: "a key is empty"}
	}
	return m.Set(k, v)
}

// put writes a value that was not there.
func (w *writer) put(n *node, set put, pointer string) error {
	if err := w.count(1); err != nil {
		return err
	}
	switch n.kind {
	case kindNull:
		return set(nil)
	case kindBool:
		return set(n.yes)
	case kindInt:
		if w.mode == asJSON && !safe(n.int) {
			f := float64(n.int)
			return setExact(f, f < 1<<63 && int64(f) == n.int, set, pointer)
		}
		return set(n.int)
	case kindUint:
		if w.mode == asJSON { // or it would be an int
			f := float64(n.uint)
			return setExact(f, f < 1<<64 && uint64(f) == n.uint, set, pointer)
		}
		return set(n.uint)
	case kindFloat:
		return set(n.float)
	case kindString:
		return set(n.str)
	case kindBytes:
		return set([]byte(n.str))
	case kindTime:
		return set(time.UnixMilli(n.int))
	case kindCounter:
		return set(automerge.NewCounter(n.int))
	case kindText:
		if err := w.count(len([]rune(n.str))); err != nil {
			return err
		}
		return set(automerge.NewText(n.str))
	case kindMap:
		m := automerge.NewMap()
		if err := set(m); err != nil {
			return err
		}
		for _, k := range n.sortedKeys() {
			at := pointer + "/" + escape(k)
			if err := w.put(n.keys[k], func(v any) error { return setKey(m, k, v, at) }, at); err != nil {
				return err
			}
		}
		return nil
	case kindList:
		l := automerge.NewList()
		if err := set(l); err != nil {
			return err
		}
		for i, item := range n.items {
			if err := w.put(item, func(v any) error { return l.Append(v) }, index(pointer, i)); err != nil {
				return err
			}
		}
		return nil
	}
	return fmt.Errorf("at %q: a value of a kind that this core does not know", pointer)
}

// setExact writes an integer that stock clients would not decode as a float.
func setExact(f float64, exact bool, set put, pointer string) error {
	if !exact {
		return &PatchError{Index: -1, Pointer: pointer, Reason: "integer is beyond 2^53 and has no exact float"}
	}
	return set(f)
}

func (w *writer) reconcileText(t *automerge.Text, now, target *node) error {
	a, b := []rune(now.str), []rune(target.str)
	hunks := compare(a, b)
	for _, h := range slices.Backward(hunks) {
		if err := w.count(h.aTo - h.aFrom + h.bTo - h.bFrom); err != nil {
			return err
		}
		if err := t.Splice(h.aFrom, h.aTo-h.aFrom, string(b[h.bFrom:h.bTo])); err != nil {
			return err
		}
	}
	// An element of a text may have more than one code point: some clients
	// wrote such.
	if s, err := t.Get(); err != nil || s == target.str {
		return err
	}
	if err := w.count(len(a) + len(b)); err != nil {
		return err
	}
	return t.Set(target.str)
}

func (w *writer) reconcileList(l *automerge.List, now, target *node, pointer string) error {
	// From the end, so that indices stay what they were.
	for _, h := range slices.Backward(pairs(now.items, target.items, w.mode)) {
		switch {
		case h.aFrom == h.aTo:
			for i := h.bFrom; i < h.bTo; i++ {
				at := h.aFrom + i - h.bFrom
				if err := w.put(target.items[i], func(v any) error { return l.Insert(at, v) }, index(pointer, i)); err != nil {
					return err
				}
			}
		case h.bFrom == h.bTo:
			for range h.aTo - h.aFrom {
				if err := w.count(1); err != nil {
					return err
				}
				if err := l.Delete(h.aFrom); err != nil {
					return err
				}
			}
		default:
			set := func(v any) error { return l.Set(h.aFrom, v) }
			if err := w.reconcile(now.items[h.aFrom], target.items[h.bFrom], set, index(pointer, h.bFrom)); err != nil {
				return err
			}
		}
	}
	return nil
}

// pairs is how one list becomes another: hunks that only insert, that only
// delete, or that turn one item into another. Where items were replaced,
// objects of the same kind make a pair, and then what stands between them, as
// long as there is some on both sides.
func pairs(now, target []*node, m mode) (out []hunk) {
	sums := func(items []*node) []sum {
		s := make([]sum, len(items))
		for i, item := range items {
			s[i] = item.sum(m)
		}
		return s
	}
	for _, h := range compare(sums(now), sums(target)) {
		a, b := h.aFrom, h.bFrom
		// between pairs what stands before a pair, or the end.
		between := func(aTo, bTo int) {
			for ; a < aTo && b < bTo; a, b = a+1, b+1 {
				out = append(out, hunk{a, a + 1, b, b + 1})
			}
			if a < aTo || b < bTo {
				out = append(out, hunk{a, aTo, b, bTo})
			}
			a, b = aTo, bTo
		}
		for i := h.aFrom; i < h.aTo; i++ {
			at := slices.IndexFunc(target[b:min(h.bTo, b+maxReach)], func(n *node) bool { return sameObject(now[i], n, m) })
			if at < 0 {
				continue
			}
			between(i, b+at)
			out = append(out, hunk{a, a + 1, b, b + 1})
			a, b = a+1, b+1
		}
		between(h.aTo, h.bTo)
	}
	return out
}

// maxReach is how far an object's partner may be.
const maxReach = 100
