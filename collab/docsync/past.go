package docsync

import (
	"cmp"
	"container/heap"
	"slices"
)

// past is a set of changes with everything that these depend on: all before
// sure, and of some actors those up to a sequence number. Each change builds on
// its actor's previous one (check sees to that), so a number tells them all.
type past struct {
	sure   int
	beyond []seen // sorted by actor
}

// seen is the newest change of an actor in a past.
type seen struct {
	actor uint32
	seq   uint32
}

// has says whether the past includes the change at position at, which is the
// actor's seq-th.
func (s *past) has(at position, actor uint32, seq int) bool {
	if int(at) < s.sure {
		return true
	}
	i, ok := slices.BinarySearchFunc(s.beyond, actor, func(x seen, a uint32) int { return cmp.Compare(x.actor, a) })
	return ok && int(s.beyond[i].seq) >= seq
}

func (s *past) reset() { s.sure, s.beyond = 0, s.beyond[:0] }

func (s *past) add(x seen) {
	i, ok := slices.BinarySearchFunc(s.beyond, x.actor, func(y seen, a uint32) int { return cmp.Compare(y.actor, a) })
	if ok {
		s.beyond[i].seq = max(s.beyond[i].seq, x.seq)
	} else {
		s.beyond = slices.Insert(s.beyond, i, x)
	}
}

func (s *past) merge(o *past) {
	s.sure = max(s.sure, o.sure)
	if len(s.beyond) == 0 {
		s.beyond = append(s.beyond, o.beyond...)
		return
	}
	for _, x := range o.beyond {
		s.add(x)
	}
}

// pasts keeps the pasts of the changes that were last built on. Whoever types,
// on whatever branch, builds on what was there a moment ago.
type pasts struct {
	kept [32]struct {
		at position // + 1, 0 for none
		past
	}
	next   int
	queue  positions
	closed past // what the walk need not look at
}

// truncate forgets the changes from position n on.
func (k *pasts) truncate(n int) {
	for i := range k.kept {
		if int(k.kept[i].at) > n {
			k.kept[i].at = 0
		}
	}
}

func (k *pasts) find(at position) *past {
	for i := range k.kept {
		if k.kept[i].at == at+1 {
			return &k.kept[i].past
		}
	}
	return nil
}

// pastOf adds the change at a position, and its past, to s. It costs little if
// the change was the only head when it came, or follows one that was asked
// about lately; else a walk back to the last change that was the only head.
func (g *graph) pastOf(s *past, at position) {
	if g.at(at).actor&soleHead != 0 {
		s.sure = max(s.sure, int(at)+1)
		return
	}
	k := &g.refs.pasts
	if kept := k.find(at); kept != nil {
		s.merge(kept)
		return
	}
	slot := &k.kept[k.next]
	k.next = (k.next + 1) % len(k.kept)
	slot.at = 0 // or the walk would find it
	found := &slot.past
	found.reset()
	k.closed.reset()
	k.queue = append(k.queue[:0], at)
	for len(k.queue) > 0 && int(k.queue[0]) >= found.sure {
		p := k.queue[0]
		for len(k.queue) > 0 && k.queue[0] == p {
			heap.Pop(&k.queue)
		}
		n := g.at(p)
		if n.actor&soleHead != 0 {
			found.sure = int(p) + 1
			break
		}
		seq := g.seqAt(n.actor, p)
		if k.closed.has(p, n.actor, seq) {
			continue
		}
		if kept := k.find(p); kept != nil {
			k.closed.merge(kept)
			found.merge(kept)
			continue
		}
		found.add(seen{n.actor, uint32(seq)})
		g.eachDep(p, func(dep position) { heap.Push(&k.queue, dep) })
	}
	slot.at = at + 1
	s.merge(found)
}

// seqAt is the sequence number of an actor's change at a position.
func (g *graph) seqAt(actor uint32, at position) int {
	list := g.changes[actor]
	i, _ := slices.BinarySearchFunc(list, at, func(x begin, at position) int { return cmp.Compare(x.at, at) })
	return i + 1
}
