// Package docsync is the sync protocol of one document, without I/O: the graph
// of its committed changes, the changes on their way into it, and what each
// peer is to be sent next. It speaks version 1 of Automerge's sync messages and
// follows the rules that keep stock clients from stalling.
//
// It materialises no document. It reads operations only to see whether what a new
// change refers to is there. It tells nobody of a change that has not been
// committed, nor of heads that name one.
//
// A session of Receive, Commit and Next:
//
//	refused, err := doc.Receive(peer, message) // checks and stages its changes
//	… make doc.Staged() durable …
//	doc.Commit()                               // now they are part of the log
//	for every peer: out, ok := doc.Next(peer)  // what it is to be sent, if anything
//	… send doc.Append(nil, out) …; doc.Sent(peer, out)
//
// Nothing in it is safe for concurrent use.
package docsync

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"atrium/collab/change"
)

// Document is one document's log and the changes that wait to become part of it.
type Document struct {
	g         graph
	committed int           // the log is g's first changes
	headsAt   []position    // of the log
	heads     []change.Hash // of the log, sorted; replaced, never altered
	staged    []Staged      // g's other changes
	bytes     int           // of staged
	waiting   []*Peer       // whose messages wait for the commit
	orphans   orphans

	snapshot    []byte // nil: none
	snapshotted int    // changes in it
}

// Staged is a change that has passed all checks and is to be made durable.
type Staged struct {
	Chunk []byte
	From  *Peer
}

// Refusal says that a change was refused for good, and why.
type Refusal struct {
	Peer   *Peer
	Change change.Hash // zero if the chunk could not be read
	Err    error
}

// ErrAgain says that a change was refused to the same peer before. Stock clients
// send such changes again and again, and need not be told each time.
var ErrAgain = errors.New("it was refused before")

// Extend adds a run of change chunks that are in the log already, behind those
// that the document knows. Staged changes are put behind them: those among the
// run are dropped, those that no longer fit are refused. What is held and waited
// for changes of the run is staged.
func (d *Document) Extend(run []byte) ([]Refusal, error) {
	return d.behind(func() error { return d.extend(run, change.Next) })
}

// ExtendHashed is Extend for who has just computed the hashes of the changes in
// the run, in its order. They are believed. It does not keep the slice.
func (d *Document) ExtendHashed(run []byte, hashes []change.Hash) ([]Refusal, error) {
	return d.behind(func() error {
		err := d.extend(run, func(run []byte) (change.Change, []byte, error) {
			if len(hashes) == 0 {
				return change.Change{}, nil, errHashes
			}
			h := hashes[0]
			hashes = hashes[1:]
			return change.NextHashed(run, h)
		})
		if err == nil && len(hashes) > 0 {
			err = fmt.Errorf("log: %w", errHashes)
		}
		return err
	})
}

var errHashes = errors.New("hashes and changes are not as many")

// behind puts what is staged behind that by which extend extends the log.
func (d *Document) behind(extend func() error) ([]Refusal, error) {
	staged, waiting := d.staged, d.waiting
	d.unstage()
	before := d.committed
	err := extend()
	d.publish()
	var refused []Refusal
	for _, s := range staged {
		if c, err := change.Parse(s.Chunk); err == nil {
			refused = d.stage(&c, s.From, refused)
		}
	}
	for p := before; p < d.committed && len(d.orphans.waiting) > 0; p++ {
		for _, o := range d.orphans.release(d.g.at(position(p)).hash) {
			refused = d.stage(&o.change, o.from, refused)
		}
	}
	if len(d.staged) > 0 { // they may have sent what others have sent too
		for _, p := range waiting {
			d.wait(p)
		}
	}
	return refused, err
}

// extend adds a run to the log, as far as it fits; next reads its first change.
func (d *Document) extend(run []byte, next func(run []byte) (change.Change, []byte, error)) error {
	for len(run) > 0 {
		c, rest, err := next(run)
		if err != nil {
			return fmt.Errorf("log: %w", err)
		}
		run = rest
		if _, known := d.g.find(c.Hash); known {
			continue
		}
		if _, missing := d.missingDep(&c); missing {
			return fmt.Errorf("log: change %s comes before what it depends on", c.Hash)
		}
		d.g.add(&c)
	}
	return nil
}

// Len is how many changes the log has.
func (d *Document) Len() int { return d.committed }

// Heads returns the log's heads, sorted. The caller must not alter them.
func (d *Document) Heads() []change.Hash { return d.heads }

// Since returns the chunks, in log order, that a reader with these heads and
// their past lacks. Heads that are not in the log count for nothing.
func (d *Document) Since(heads []change.Hash) [][]byte {
	var base []position
	for _, h := range heads {
		if p, ok := d.known(h); ok {
			base = append(base, p)
		}
	}
	list, from := d.g.missing(base, d.committed)
	return d.chunks(list, from, d.committed)
}

// Chunks returns a part of the log.
func (d *Document) Chunks(from, to int) [][]byte { return d.chunks(nil, from, to) }

func (d *Document) chunks(list []position, from, to int) [][]byte {
	chunks := make([][]byte, 0, len(list)+to-from)
	for _, p := range list {
		chunks = append(chunks, d.g.at(p).chunk)
	}
	for p := from; p < to; p++ {
		chunks = append(chunks, d.g.at(position(p)).chunk)
	}
	return chunks
}

// Staged returns what is to be made durable, in log order; valid until the next call.
func (d *Document) Staged() []Staged { return d.staged }

// StagedBytes is how long the staged chunks are together.
func (d *Document) StagedBytes() int { return d.bytes }

// StagedHeads returns the heads that the log will have once what is staged is
// part of it, sorted.
func (d *Document) StagedHeads() []change.Hash { return d.hashes(d.g.heads) }

// Commit makes the staged changes part of the log. They are durable by now.
func (d *Document) Commit() {
	before := d.committed
	d.publish()
	d.release()
	// A peer that has written all of this alone needs no copy of it.
	if p := soleAuthor(d.staged); p != nil && p.live && p.pos == before && len(p.list) == 0 {
		p.pos = d.committed
	}
	d.staged, d.bytes = nil, 0
}

func soleAuthor(staged []Staged) *Peer {
	for _, s := range staged {
		if s.From != staged[0].From {
			return nil
		}
	}
	if len(staged) == 0 {
		return nil
	}
	return staged[0].From
}

// Forget drops what is held of a peer that has gone: changes whose dependencies
// have not come. It sends them again when it comes back.
func (d *Document) Forget(p *Peer) { d.orphans.forget(p) }

// Abandon gives the staged changes up. The peers that it returns have sent some
// of them, and must start over with a new connection.
func (d *Document) Abandon() []*Peer {
	peers := d.waiting
	d.unstage()
	return peers
}

// Withdraw gives up what of a peer is staged: an author, as others may build on
// what they have sent.
func (d *Document) Withdraw(p *Peer) {
	staged, waiting := d.staged, d.waiting
	d.unstage()
	for _, s := range staged {
		if c, err := change.Parse(s.Chunk); err == nil && s.From != p {
			d.stage(&c, s.From, nil)
		}
	}
	for _, w := range waiting {
		if w != p && len(d.staged) > 0 {
			d.wait(w)
		}
	}
}

func (d *Document) unstage() {
	d.release()
	d.staged, d.bytes = nil, 0
	d.g.truncate(d.committed, d.headsAt)
}

// wait makes the peer's messages wait until what is staged is committed.
func (d *Document) wait(p *Peer) {
	if !p.uncommitted {
		p.uncommitted = true
		d.waiting = append(d.waiting, p)
	}
}

func (d *Document) release() {
	for _, p := range d.waiting {
		p.uncommitted = false
	}
	d.waiting = nil
}

func (d *Document) publish() {
	d.committed = d.g.n
	d.headsAt = append(d.headsAt[:0], d.g.heads...)
	d.heads = d.hashes(d.headsAt)
}

// hashes returns the hashes of changes, sorted.
func (d *Document) hashes(at []position) []change.Hash {
	list := make([]change.Hash, len(at))
	for i, p := range at {
		list[i] = d.g.at(p).hash
	}
	slices.SortFunc(list, compareHashes)
	return list
}

func compareHashes(a, b change.Hash) int { return bytes.Compare(a[:], b[:]) }

// known returns a change's position if it is in the log. Staged changes are not.
func (d *Document) known(h change.Hash) (position, bool) {
	p, ok := d.g.find(h)
	return p, ok && int(p) < d.committed
}

func (d *Document) missingDep(c *change.Change) (change.Hash, bool) {
	for i := range c.NumDeps() {
		if _, ok := d.g.find(c.Dep(i)); !ok {
			return c.Dep(i), true
		}
	}
	return change.Hash{}, false
}

var errOnRefused = errors.New("depends on a refused change")

// stage puts a checked change behind what is staged, with all that waited for
// it; or holds it until its dependencies come. It appends to refused.
func (d *Document) stage(c *change.Change, from *Peer, refused []Refusal) []Refusal {
	ready := []*orphan{{*c, from}}
	for len(ready) > 0 {
		c, from := &ready[len(ready)-1].change, ready[len(ready)-1].from
		ready = ready[:len(ready)-1]
		if _, known := d.g.find(c.Hash); known {
			continue
		}
		err := error(nil)
		if missing, ok := d.missingDep(c); !ok {
			err = d.g.check(c)
		} else if from.refusals.has(missing) {
			err = errOnRefused
		} else if from.author {
			refused = append(refused, Refusal{from, c.Hash, ErrMissing})
			continue
		} else {
			if d.orphans.byHash[c.Hash] == nil {
				err = d.orphans.hold(c, missing, from)
			}
			if err == nil {
				continue
			}
		}
		if err != nil {
			refused = append(refused, Refusal{from, c.Hash, err})
			if err != ErrFull {
				ready = append(ready, d.refuse(from, c)...)
			}
			continue
		}
		c.Chunk = bytes.Clone(c.Chunk) // or it would keep the whole message
		d.g.add(c)
		d.staged = append(d.staged, Staged{c.Chunk, from})
		d.bytes += len(c.Chunk)
		d.wait(from)
		ready = append(ready, d.orphans.release(c.Hash)...)
	}
	return refused
}
