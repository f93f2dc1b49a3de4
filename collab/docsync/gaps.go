package docsync

import "atrium/collab/change"

// Between the last operation that a change's dependencies know of and its own
// first there may be a gap: an edit of an older state (changeAt) counts on from
// the newest operation its author knows. Stock clients hold a place for every
// counter in a gap when they load a document. Measured with Automerge 3.5.0 in
// Node: a gap of 2^16 costs nothing one can see, 10^6 0.2 s and 75 MB, 16·10^6
// 1.7 s and 1.15 GB, and 10^8 fails with "out of memory": 72 bytes each, and all
// gaps of a document together.
//
// So a document has maxGaps for all its changes. It pays for every gap, however
// it came about: only that bounds what clients need. A change may come before
// its neighbour, or the neighbour be lost, without being refused for that. What
// is within freeGap costs a client about as much as the change itself; it is not
// counted, so that edits a few keystrokes behind need no look at the whole log.
const (
	maxGaps = 1 << 22
	freeGap = 32
)

// gaps is the sum of the gaps in the log, counted when a change first has one.
type gaps struct {
	sum  uint64
	last []uint32 // last operation's counter, by position, of those counted
}

// excess is what counts of the gap before a change, given the greatest last
// operation of its dependencies.
func excess(startOp, last uint64) uint64 {
	if startOp <= last+1+freeGap {
		return 0
	}
	return startOp - last - 1 - freeGap
}

// checkGap checks where the operations of c begin, given the greatest last
// operation of its dependencies.
func (g *graph) checkGap(c *change.Change, last uint64) error {
	if c.StartOp <= last {
		return errStartOp
	}
	ops, err := c.Ops()
	if err != nil {
		return err
	}
	if ops == 0 && c.StartOp != last+1 {
		// Stock clients do not save where an empty change begins.
		return errEmptyStart
	}
	x := excess(c.StartOp, last)
	if x == 0 {
		return nil
	}
	if x > maxGaps || g.countGaps()+x > maxGaps {
		return errGap
	}
	return nil
}

// countGaps returns the sum for all changes.
func (g *graph) countGaps() uint64 {
	for p := position(len(g.gaps.last)); int(p) < g.n; p++ {
		x, last := g.gapAt(p)
		g.gaps.sum += x
		g.gaps.last = append(g.gaps.last, last)
	}
	return g.gaps.sum
}

// gapAt returns what counts of one change's gap, and its last operation. Those
// before it have been counted.
func (g *graph) gapAt(p position) (x uint64, last uint32) {
	c, err := change.Reopen(g.at(p).chunk)
	if err != nil {
		return 0, 0 // it has been parsed before
	}
	ops, _ := c.Ops()
	var before uint64
	g.eachDep(p, func(dep position) { before = max(before, uint64(g.gaps.last[dep])) })
	return excess(c.StartOp, before), uint32(min(c.StartOp+ops-1, change.MaxCounter))
}

// truncateGaps uncounts the changes from position n on, which are still there.
func (g *graph) truncateGaps(n int) {
	for len(g.gaps.last) > n {
		p := position(len(g.gaps.last) - 1)
		x, _ := g.gapAt(p)
		g.gaps.sum -= x
		g.gaps.last = g.gaps.last[:p]
	}
}
