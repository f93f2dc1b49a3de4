package docsync

import (
	"errors"
	"slices"

	"atrium/collab/change"
)

// ErrFull says that too many changes wait for dependencies. The peer that sent
// them must start over with a new connection.
var ErrFull = errors.New("too many changes wait for their dependencies")

// Bounds of what is held, for one peer and, twice that, for all: so that no
// peer alone leaves no place for others. A peer can fill its own honestly only
// if it comes back with more changes than this, and the very first of them is a
// false positive of the filter it was told.
const (
	maxOrphans     = 50_000
	maxOrphanBytes = 32 << 20
)

// held is how much is held.
type held struct{ changes, bytes int }

func (h *held) add(n, bytes int) {
	h.changes += n
	h.bytes += bytes
}

func (h *held) hasPlace(bytes, times int) bool {
	return h.changes < times*maxOrphans && h.bytes+bytes <= times*maxOrphanBytes
}

// orphans holds checked changes whose dependencies have not come yet.
type orphans struct {
	byHash  map[change.Hash]*orphan
	waiting map[change.Hash][]*orphan // by one dependency that is missing
	all     held
}

type orphan struct {
	change change.Change
	from   *Peer
}

func (o *orphans) hold(c *change.Change, missing change.Hash, from *Peer) error {
	if n := len(c.Chunk); !o.all.hasPlace(n, 2) || !from.held.hasPlace(n, 1) {
		return ErrFull
	}
	if o.byHash == nil {
		o.byHash = make(map[change.Hash]*orphan)
		o.waiting = make(map[change.Hash][]*orphan)
	}
	x := &orphan{change: *c, from: from}
	o.byHash[c.Hash] = x
	o.waiting[missing] = append(o.waiting[missing], x)
	o.all.add(1, len(c.Chunk))
	from.held.add(1, len(c.Chunk))
	return nil
}

// drop is the end of x's being held, but for its place in waiting.
func (o *orphans) drop(x *orphan) {
	delete(o.byHash, x.change.Hash)
	o.all.add(-1, -len(x.change.Chunk))
	x.from.held.add(-1, -len(x.change.Chunk))
}

// release returns the changes that waited for h; they are held no more.
func (o *orphans) release(h change.Hash) []*orphan {
	released := o.waiting[h]
	delete(o.waiting, h)
	for _, x := range released {
		o.drop(x)
	}
	return released
}

// forget drops the changes that a peer has sent.
func (o *orphans) forget(p *Peer) {
	if p.held.changes == 0 {
		return
	}
	for missing, waiting := range o.waiting {
		waiting = slices.DeleteFunc(waiting, func(x *orphan) bool {
			if x.from == p {
				o.drop(x)
			}
			return x.from == p
		})
		if o.waiting[missing] = waiting; len(waiting) == 0 {
			delete(o.waiting, missing)
		}
	}
}

// need appends to dst what must come before the change h can be added: h
// itself if it is not held, else the dependencies that are missing behind it.
func (o *orphans) need(dst []change.Hash, h change.Hash, known func(change.Hash) bool, seen map[change.Hash]bool) []change.Hash {
	stack := []change.Hash{h}
	for len(stack) > 0 {
		h := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if seen[h] || known(h) {
			continue
		}
		seen[h] = true
		x := o.byHash[h]
		if x == nil {
			dst = append(dst, h)
			continue
		}
		for i := range x.change.NumDeps() {
			stack = append(stack, x.change.Dep(i))
		}
	}
	return dst
}
