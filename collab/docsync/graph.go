package docsync

import (
	"container/heap"
	"encoding/binary"
	"errors"
	"slices"

	"atrium/collab/change"
)

// position is a change's place in the log. A change stands behind everything
// it depends on.
type position = uint32

// graph holds changes in log order: their bytes, hashes and dependencies, no
// operations. What else it knows of their operations it reads when a new change
// refers to them.
type graph struct {
	blocks  [][]node // of blockSize each, so that growing copies nothing
	n       int
	table   []position        // open addressing by hash: position + 1, 0 for empty; a power of two long
	actors  map[string]uint32 // index into changes
	changes [][]begin         // of each actor, by sequence number from 1
	multi   [][]position      // dependencies of changes that have not just one
	heads   []position        // changes that nothing depends on, ascending

	refs *refs // for check; nil before the first
	gaps gaps
}

// begin is where a change stands, and the counter of its first operation.
type begin struct {
	op uint32
	at position
}

const blockSize = 1024

// node is one change, 64 bytes.
type node struct {
	chunk []byte
	hash  change.Hash
	deps  int32  // the only dependency's position, or -1-i for multi[i], or noDeps
	actor uint32 // index, and soleHead
}

const (
	noDeps   = -1 << 31
	soleHead = 1 << 31 // was the only head when it came: all before it is in its past
)

var (
	errDuplicateSeq = errors.New("another change has the same actor and sequence number")
	errSeqGap       = errors.New("sequence number does not follow the actor's previous one")
	errStartOp      = errors.New("first operation is not after those of its dependencies")
	errEmptyStart   = errors.New("empty change does not begin right after its dependencies")
	errGap          = errors.New("first operation is too far after those of its dependencies")
	errForked       = errors.New("does not build on its actor's previous change")
)

func (g *graph) at(p position) *node { return &g.blocks[p/blockSize][p%blockSize] }

func slot(h *change.Hash) uint64 { return binary.LittleEndian.Uint64(h[:8]) }

func (g *graph) find(h change.Hash) (position, bool) {
	if len(g.table) == 0 {
		return 0, false
	}
	mask := uint64(len(g.table) - 1)
	for i := slot(&h) & mask; g.table[i] != 0; i = (i + 1) & mask {
		if p := g.table[i] - 1; g.at(p).hash == h {
			return p, true
		}
	}
	return 0, false
}

// check does the checks of c that need other changes. Its dependencies must be
// known.
func (g *graph) check(c *change.Change) error {
	actor, known := g.actors[string(c.Actor)]
	var before []begin
	if known {
		before = g.changes[actor]
	}
	switch last := uint64(len(before)); {
	case c.Seq <= last:
		return errDuplicateSeq
	case c.Seq != last+1:
		return errSeqGap
	}
	if g.refs == nil {
		g.refs = new(refs)
	}
	var last uint64
	g.refs.past.reset()
	for i := range c.NumDeps() {
		p, _ := g.find(c.Dep(i))
		last = max(last, g.maxOp(p))
		g.pastOf(&g.refs.past, p)
	}
	if n := len(before); n > 0 && !g.refs.past.has(before[n-1].at, actor, n) {
		// Stock clients take an actor's changes for a chain.
		return errForked
	}
	if err := g.checkGap(c, last); err != nil {
		return err
	}
	return g.checkRefs(c)
}

// maxOp is the counter of a change's last operation, 0 for a change that has
// none and is the first. It is read from the chunk when asked for, so that
// loading a document decodes no columns.
func (g *graph) maxOp(p position) uint64 {
	c, err := change.Reopen(g.at(p).chunk)
	if err != nil {
		return 0 // it has been parsed before
	}
	ops, err := c.Ops()
	if err != nil {
		return 0
	}
	return c.StartOp + ops - 1
}

// add appends a change whose dependencies are known. It keeps c.Chunk.
func (g *graph) add(c *change.Change) {
	p := position(g.n)
	n := node{chunk: c.Chunk, hash: c.Hash, deps: noDeps, actor: g.actor(c, p)}
	switch c.NumDeps() {
	case 0:
	case 1:
		dep, _ := g.find(c.Dep(0))
		n.deps = int32(dep)
		g.removeHead(dep)
	default:
		deps := make([]position, c.NumDeps())
		for i := range deps {
			deps[i], _ = g.find(c.Dep(i))
			g.removeHead(deps[i])
		}
		n.deps = int32(-1 - len(g.multi))
		g.multi = append(g.multi, deps)
	}
	g.heads = append(g.heads, p)
	if len(g.heads) == 1 {
		n.actor |= soleHead
	}
	if g.n%blockSize == 0 && g.n/blockSize == len(g.blocks) {
		g.blocks = append(g.blocks, make([]node, blockSize))
	}
	*g.at(p) = n
	g.n++
	if g.n*2 > len(g.table) {
		g.grow()
	} else {
		g.insert(p)
	}
}

// actor returns the index of the actor of c, which is added at position p.
func (g *graph) actor(c *change.Change, p position) uint32 {
	a, ok := g.actors[string(c.Actor)]
	if !ok {
		if g.actors == nil {
			g.actors = make(map[string]uint32)
		}
		a = uint32(len(g.changes))
		g.actors[string(c.Actor)] = a
		g.changes = append(g.changes, nil)
	}
	g.changes[a] = append(g.changes[a], begin{uint32(min(c.StartOp, change.MaxCounter)), p})
	return a
}

func (g *graph) removeHead(p position) {
	// A new change nearly always follows the newest ones.
	for i := len(g.heads) - 1; i >= 0; i-- {
		if g.heads[i] == p {
			g.heads = slices.Delete(g.heads, i, i+1)
			return
		}
	}
}

func (g *graph) insert(p position) {
	mask := uint64(len(g.table) - 1)
	i := slot(&g.at(p).hash) & mask
	for g.table[i] != 0 {
		i = (i + 1) & mask
	}
	g.table[i] = p + 1
}

func (g *graph) grow() {
	g.table = make([]position, max(64, 2*len(g.table)))
	for p := range position(g.n) {
		g.insert(p)
	}
}

// truncate undoes add down to n changes, with the heads there were then. The
// slots of the table were filled in the order of the log, so that emptying them
// in the opposite order breaks no probe sequence.
func (g *graph) truncate(n int, heads []position) {
	g.truncateGaps(n)
	g.refs.truncate(n)
	mask := uint64(len(g.table) - 1)
	for g.n > n {
		g.n--
		p := position(g.n)
		last := g.at(p)
		i := slot(&last.hash) & mask
		for g.table[i] != p+1 {
			i = (i + 1) & mask
		}
		g.table[i] = 0
		list := &g.changes[last.actor&^soleHead]
		*list = (*list)[:len(*list)-1]
		if last.deps < 0 && last.deps != noDeps {
			g.multi = g.multi[:len(g.multi)-1]
		}
		*last = node{}
	}
	g.heads = append(g.heads[:0], heads...)
}

// eachDep calls f with the position of each dependency.
func (g *graph) eachDep(p position, f func(position)) {
	switch d := g.at(p).deps; {
	case d == noDeps:
	case d >= 0:
		f(position(d))
	default:
		for _, dep := range g.multi[-1-d] {
			f(dep)
		}
	}
}

// missing returns what a peer lacks of the first n changes if it has base and
// all of base's past: everything from position from on, and before that the
// listed ones, ascending. It costs what it walks over: from the end back to
// where base holds everything.
func (g *graph) missing(base []position, n int) (list []position, from int) {
	frontier := make(positions, 0, len(base))
	for _, p := range base {
		if int(p) < n {
			frontier = append(frontier, p)
		}
	}
	heap.Init(&frontier)
	from = n
	for p := n - 1; p >= 0; p-- {
		if len(frontier) == 0 || int(frontier[0]) < p {
			if from == p+1 {
				from = p
			} else {
				list = append(list, position(p))
			}
			continue
		}
		for len(frontier) > 0 && int(frontier[0]) == p {
			heap.Pop(&frontier)
		}
		if g.at(position(p)).actor&soleHead != 0 {
			break
		}
		g.eachDep(position(p), func(dep position) { heap.Push(&frontier, dep) })
	}
	slices.Reverse(list)
	return list, from
}

// positions is a heap with the greatest on top.
type positions []position

func (h positions) Len() int           { return len(h) }
func (h positions) Less(i, j int) bool { return h[i] > h[j] }
func (h positions) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *positions) Push(x any)        { *h = append(*h, x.(position)) }
func (h *positions) Pop() any {
	last := len(*h) - 1
	p := (*h)[last]
	*h = (*h)[:last]
	return p
}
