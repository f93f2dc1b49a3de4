package docsync

import (
	"bytes"
	"cmp"
	"errors"
	"slices"
	"sort"

	"atrium/collab/change"
)

// The checks of this file are for references to operations of other changes:
// those that name what is not there make stock clients panic, or write other
// bytes than they read. What an operation names must be in the past of its
// change, for that is all that a client has for sure when it applies it:
//
//   - the object exists, and is a map or a sequence as the key demands, or a
//     text if the operation is a mark (3.5 fails to read some marks in lists;
//     2.2.9 can make them, if told to);
//   - the element that it follows or changes was inserted into that object, and
//     is no mark if it is changed (the next edit there would fail);
//   - what it replaces was set at the same key of the same object;
//   - an increment's last predecessor, the one that clients show, is a counter
//     (honest clients increment no other, but may replace more besides).
//
// References within the change are checked by [change.Check]. Left out is the
// order of a mark's ends where both stand behind older elements: that takes the
// order of the whole sequence, which takes materialising it.
var (
	errNoObject   = errors.New("object is not there")
	errNotObject  = errors.New("object is none")
	errKeyKind    = errors.New("key does not fit the object")
	errNotText    = errors.New("mark is not in a text")
	errNoElem     = errors.New("element is not there")
	errNotElem    = errors.New("element was not inserted there")
	errNoPred     = errors.New("what it replaces is not there")
	errNotPred    = errors.New("what it replaces was not set there")
	errNotCounter = errors.New("increments what is no counter")
	errRefWork    = errors.New("refers to too much at once")
)

// Checking may read as many bytes of columns as this, and besides so many for
// each reference: a change made to be slow is refused when it has cost a second
// or two. Honest ones stay far below. References forwards through a change, or
// into a pasted text, take some ten bytes each, and there may be as many as an
// operation can have. Going back in a change without runs takes some 600, which
// makes 200,000 of those; and there may be thousands to changes of any size in
// turn.
const (
	refWork    = 1 << 26
	refWorkPer = 1 << 8
	refCost    = 64 // of a reference itself, about
	stopEvery  = 1 << 10
)

// opID names an operation by an index of graph.changes. The zero opID is the
// root object, and the head of a sequence.
type opID struct {
	ctr   uint32
	actor uint32
}

// refs is what checking references keeps from one change to the next.
type refs struct {
	ops    change.Ops
	actors []uint32    // of the change being checked, by their indices in it
	slots  [4]referred // of changes that were referred to last
	tick   uint64
	work   int  // bytes still to be read
	past   past // of the change being checked
	pasts  pasts
}

// referred is a change that was referred to.
type referred struct {
	at     position // + 1, 0 for none
	used   uint64   // tick
	first  change.Finder
	finder change.Finder
	stops  []change.Finder // to go back to, about stopEvery apart, as far as it was read
	actors []uint32
	op     change.Op // the last one that was read, if its Ctr is not 0
}

// noActor stands for an actor of whom nothing is known.
const noActor = 1<<32 - 1

// checkRefs checks what the operations of c refer to. Its dependencies are
// known, and have been put in r.past.
func (g *graph) checkRefs(c *change.Change) error {
	r := g.refs
	r.actors = g.actorsOf(r.actors, c)
	if err := r.ops.Open(c); err != nil {
		return err
	}
	r.work = refWork
	own := func(id change.OpID) bool { return id.Actor == 0 && uint64(id.Ctr) >= c.StartOp }
	var object opID        // that was found to be there last
	var made change.Action // what made it
	for r.ops.Next() {
		op := &r.ops.Op
		obj := globalID(op.Obj, r.actors)
		if op.Obj.Ctr != 0 && !own(op.Obj) {
			if obj != object {
				m, _, err := g.findOp(obj)
				if err != nil {
					return errOr(err, errNoObject)
				}
				if !m.Action.IsSeq() && !m.Action.IsMap() {
					return errNotObject
				}
				object, made = obj, m.Action
			}
			switch {
			case op.InSeq != made.IsSeq():
				return errKeyKind
			case op.Action.IsMark() && !made.IsText():
				return errNotText
			}
		}
		elem := globalID(op.Elem, r.actors)
		if op.InSeq && op.Elem.Ctr != 0 && !own(op.Elem) {
			e, actors, err := g.findOp(elem)
			if err != nil {
				return errOr(err, errNoElem)
			}
			if !e.Insert || globalID(e.Obj, actors) != obj || e.Action.IsMark() && !op.Insert {
				return errNotElem
			}
		}
		for i, id := range op.Preds {
			if own(id) {
				continue
			}
			pred := globalID(id, r.actors)
			p, actors, err := g.findOp(pred)
			if err != nil {
				return errOr(err, errNoPred)
			}
			if !p.Action.HasValue() || globalID(p.Obj, actors) != obj || p.InSeq != op.InSeq {
				return errNotPred
			}
			if op.Action.IsIncrement() && i == len(op.Preds)-1 && !p.Counter {
				return errNotCounter
			}
			switch {
			case !op.InSeq:
				if !bytes.Equal(p.Key, op.Key) {
					return errNotPred
				}
			case p.Insert:
				if pred != elem {
					return errNotPred
				}
			case globalID(p.Elem, actors) != elem:
				return errNotPred
			}
		}
	}
	return r.ops.Err()
}

// errNotFound becomes the error of whoever was looking.
var errNotFound = errors.New("operation is not there")

func errOr(err, notFound error) error {
	if err == errNotFound {
		return notFound
	}
	return err
}

// actorsOf appends the graph's indices of the actors of c, by their indices in
// it, to dst[:0].
func (g *graph) actorsOf(dst []uint32, c *change.Change) []uint32 {
	index := func(actor []byte) uint32 {
		if a, ok := g.actors[string(actor)]; ok {
			return a
		}
		return noActor
	}
	dst = append(dst[:0], index(c.Actor))
	for actor := range c.Others {
		dst = append(dst, index(actor))
	}
	return dst
}

func globalID(id change.OpID, actors []uint32) opID {
	if id.Ctr == 0 || int(id.Actor) >= len(actors) {
		return opID{}
	}
	return opID{id.Ctr, actors[id.Actor]}
}

// findOp returns an operation in r.past, and the actors that its ids mean. Both
// are valid until the next call.
func (g *graph) findOp(id opID) (*change.Op, []uint32, error) {
	r := g.refs
	r.work += refWorkPer - refCost
	if r.work < 0 {
		return nil, nil, errRefWork
	}
	if id.actor == noActor {
		return nil, nil, errNotFound
	}
	list := g.changes[id.actor]
	i, exact := slices.BinarySearchFunc(list, id.ctr, func(b begin, ctr uint32) int { return cmp.Compare(b.op, ctr) })
	if exact {
		// An empty change begins where the next one does.
		for i+1 < len(list) && list[i+1].op == id.ctr {
			i++
		}
	} else if i--; i < 0 {
		return nil, nil, errNotFound
	}
	if !r.past.has(list[i].at, id.actor, i+1) {
		return nil, nil, errNotFound
	}
	s, err := g.slotOf(list[i].at)
	if err != nil {
		return nil, nil, err
	}
	if err := s.read(uint64(id.ctr), &r.work); err != nil {
		return nil, nil, err
	}
	return &s.op, s.actors, nil
}

// slotOf returns the change at a position, ready to be read.
func (g *graph) slotOf(at position) (*referred, error) {
	r := g.refs
	r.tick++
	s := &r.slots[0]
	for i := range r.slots {
		if x := &r.slots[i]; x.at == at+1 {
			x.used = r.tick
			return x, nil
		} else if x.used < s.used {
			s = x
		}
	}
	s.at, s.used, s.op.Ctr = 0, r.tick, 0
	c, err := change.Reopen(g.at(at).chunk)
	if err != nil {
		return nil, err
	}
	if err := s.first.Open(&c); err != nil {
		return nil, err
	}
	s.finder = s.first
	clear(s.stops)
	s.stops = s.stops[:0]
	s.actors = g.actorsOf(s.actors, &c)
	r.work -= s.first.Unread()/8 + 4*len(s.actors)
	s.at = at + 1
	return s, nil
}

// read reads the operation with that counter into s.op.
func (s *referred) read(ctr uint64, work *int) error {
	if ctr == s.op.Ctr {
		return nil
	}
	if ctr >= s.first.End() {
		return errNotFound
	}
	s.op.Ctr = 0
	if ctr < s.finder.Next() {
		s.finder = s.first
	}
	i := sort.Search(len(s.stops), func(i int) bool { return s.stops[i].Next() > ctr })
	if i > 0 && s.stops[i-1].Next() > s.finder.Next() {
		s.finder = s.stops[i-1]
	}
	unread := s.finder.Unread()
	for i == len(s.stops) {
		stop := s.nextStop()
		if ctr < stop {
			break
		}
		if err := s.finder.Skip(stop); err != nil {
			return err
		}
		s.stops = append(s.stops, s.finder)
		i++
	}
	if err := s.finder.Skip(ctr); err != nil {
		return err
	}
	if err := s.finder.Read(&s.op); err != nil {
		return err
	}
	*work -= unread - s.finder.Unread()
	return nil
}

// nextStop is the counter at which the next stop should be, going by what the
// rest of the operations take on average.
func (s *referred) nextStop() uint64 {
	last := &s.first
	if n := len(s.stops); n > 0 {
		last = &s.stops[n-1]
	}
	left := last.End() - last.Next()
	return last.Next() + max(64, left*stopEvery/uint64(last.Unread()+1))
}

// truncate forgets the changes from position n on.
func (r *refs) truncate(n int) {
	if r == nil {
		return
	}
	for i := range r.slots {
		if int(r.slots[i].at) > n {
			r.slots[i] = referred{}
		}
	}
	r.pasts.truncate(n)
}
