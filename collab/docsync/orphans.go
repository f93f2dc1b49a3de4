package docsync

import (
	"errors"
	"slices"

	"atrium/collab/change"
)

// ErrFull says that too many changes wait for dependencies. The peer that sent
// them must start over with a new connection.
var ErrFull = errors.New("too many changes wait for their dependencies")

const (
	maxOrphans     = 20_000
	maxOrphanBytes = 32 << 20
)

// orphans holds checked changes whose dependencies have not come yet.
type orphans struct {
	byHash  map[change.Hash]*orphan
	waiting map[change.Hash][]*orphan // by one dependency that is missing
	bytes   int
}

type orphan struct {
	change change.Change
	from   *Peer
}

func (o *orphans) hold(c *change.Change, missing change.Hash, from *Peer) error {
	if len(o.byHash) >= maxOrphans || o.bytes+len(c.Chunk) > maxOrphanBytes {
		return ErrFull
	}
	if o.byHash == nil {
		o.byHash = make(map[change.Hash]*orphan)
		o.waiting = make(map[change.Hash][]*orphan)
	}
	held := &orphan{change: *c, from: from}
	o.byHash[c.Hash] = held
	o.waiting[missing] = append(o.waiting[missing], held)
	o.bytes += len(c.Chunk)
	return nil
}

// release returns the changes that waited for h; they are held no more.
func (o *orphans) release(h change.Hash) []*orphan {
	held := o.waiting[h]
	delete(o.waiting, h)
	for _, x := range held {
		delete(o.byHash, x.change.Hash)
		o.bytes -= len(x.change.Chunk)
	}
	return held
}

// forget drops the changes that a peer has sent.
func (o *orphans) forget(p *Peer) {
	for missing, held := range o.waiting {
		held = slices.DeleteFunc(held, func(x *orphan) bool {
			if x.from != p {
				return false
			}
			delete(o.byHash, x.change.Hash)
			o.bytes -= len(x.change.Chunk)
			return true
		})
		if o.waiting[missing] = held; len(held) == 0 {
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
		held := o.byHash[h]
		if held == nil {
			dst = append(dst, h)
			continue
		}
		for i := range held.change.NumDeps() {
			stack = append(stack, held.change.Dep(i))
		}
	}
	return dst
}
