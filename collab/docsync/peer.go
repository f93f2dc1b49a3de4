package docsync

import (
	"crypto/sha256"
	"errors"
	"slices"

	"atrium/collab/change"
)

// Peer is what the document knows of one peer, from the beginning of its
// connection. In the steady state it is a position in the log.
type Peer struct {
	// Tag is the owner's; docsync never looks at it.
	Tag any
	// Costs counts what costs more than the steady state: answers that take a
	// look at more than the newest changes, and opsPerCost operations checked.
	// The owner may limit them, and set it back to 0.
	Costs int

	author   bool // it does not sync: what depends on unknown changes is refused
	readOnly bool
	readsV2  bool // it says so by its flags
	flag     bool // it has not been told yet that it may only read

	started     bool // it has sent a message that was looked at
	uncommitted bool // changes of its are staged: its messages wait for the commit
	due         bool // last has not been looked at
	last        lastMessage

	live bool       // it has, or has been sent, all before pos, but for list
	pos  int        // position in the log
	list []position // to be sent besides
	ack  bool       // it is owed an answer, if only our heads
	top  int        // highest position among the heads it told, -1 for none

	ask       ask
	situation fingerprint // of what was asked last
	asked     int         // how often
	gave      fingerprint // of the needs answered last
	reset     fingerprint // of the heads that came with its last reset

	held     held   // changes of its that wait for dependencies
	ops      uint64 // checked, and not in Costs yet
	refusals refusals
}

// lastMessage is what counts of the newest message of a peer.
type lastMessage struct {
	heads, need, lastSync []change.Hash
	reset                 bool
}

// ask is a message to a peer whose heads are unknown here.
type ask struct {
	kind     askKind
	need     []change.Hash
	lastSync []position // that both have
}

type askKind uint8

const (
	askNothing askKind = iota
	askNeed            // tell it what is needed and what is here
	askAfresh          // empty heads: it forgets what it has sent, and sends again
)

type fingerprint [32]byte

// A few bytes can stand for two million operations, and each costs some 0.15 µs
// to check.
const (
	opsPerCost    = 100_000
	maxMessageOps = 1 << 23 // in one message; more ends the connection
)

// ErrTooMuch says that a message holds more operations than are checked at once.
var ErrTooMuch = errors.New("too many operations in one message")

// NewPeer returns the state for a new connection. A peer that may only read is
// told so in the first message to it; changes it sends are dropped.
func NewPeer(tag any, readOnly bool) *Peer {
	return &Peer{Tag: tag, readOnly: readOnly, flag: readOnly, top: -1}
}

// SetReadOnly takes a peer's right to write.
func (p *Peer) SetReadOnly() {
	if !p.readOnly {
		p.readOnly, p.flag, p.ack = true, true, true
	}
}

// Waiting reports whether changes of the peer are staged and not committed.
func (p *Peer) Waiting() bool { return p.uncommitted }

// Settled reports whether the peer is in the steady state: live, with nothing
// asked or unanswered. If so, it returns the highest position among the heads
// that it told, -1 for none. An answer (see ParseAnswer) whose heads are those of
// the log when it had a change at top, or later, changes nothing but that: the
// owner may drop it, and say so by Told.
func (p *Peer) Settled() (top int, ok bool) {
	return p.top, p.live && p.started && !p.due && p.asked == 0
}

// Told says that the peer has told of heads with a highest position of top.
func (p *Peer) Told(top int) { p.top = max(p.top, top) }

// Receive takes a message in: it checks its changes and stages what is new.
// Only ErrFull and ErrTooMuch are returned as errors; then nothing may be sent
// to the peer any more. m must not be altered afterwards.
func (d *Document) Receive(p *Peer, m Message) (refused []Refusal, err error) {
	refused, again, err := d.take(p, m.Changes)
	if err != nil {
		return refused, err
	}
	if len(m.Changes) > again && !p.readOnly {
		p.ack = true
	}
	p.readsV2 = p.readsV2 || m.Flags != 0
	p.due = true
	p.last = lastMessage{heads: m.Heads, need: m.Need}
	if len(m.Have) > 0 {
		p.last.lastSync = m.Have[0].LastSync
		p.last.reset = len(m.Have) == 1 && len(m.Have[0].LastSync) == 0 && m.Have[0].Bloom.Empty()
	}
	return refused, nil
}

// Misses reports whether the peer's newest message names changes that are not
// here: in a cluster, another node may have committed them.
func (d *Document) Misses(p *Peer) bool {
	for _, list := range [][]change.Hash{p.last.heads, p.last.lastSync, p.last.need} {
		for _, h := range list {
			if _, here := d.g.find(h); !here && !p.refusals.has(h) {
				return p.due
			}
		}
	}
	return false
}

// look compares the peer's newest message with the log.
func (d *Document) look(p *Peer) {
	m := p.last
	p.due, p.last = false, lastMessage{}
	first := !p.started
	p.started = true

	base, unknown := d.resolve(p, m.heads)
	if p.readOnly && len(unknown) > 0 {
		// It keeps changes of its own that are not asked for. What it claims to
		// have is the best that is known; it will ask for what is missing.
		more, _ := d.resolve(p, m.lastSync)
		base, unknown = append(base, more...), nil
	}
	if len(m.need) > 0 {
		d.give(p, m.need)
	}
	if len(unknown) > 0 {
		d.diverge(p, m, base, unknown)
		return
	}
	p.ask, p.asked = ask{}, 0
	top := -1
	for _, b := range base {
		top = max(top, int(b))
	}
	switch {
	case first, !p.live:
		d.catchUp(p, base)
	case top < p.top: // it has lost what it had: deleted it and started over, or gone back to a stored state
		p.Costs++
		d.catchUp(p, base)
	case m.reset:
		if seen := fingerprintOf(m.heads); seen != p.reset {
			p.reset = seen
			p.Costs++
			d.catchUp(p, base)
		}
	}
	p.top = top
}

// catchUp makes the peer live: it has base and its past, and gets the rest.
func (d *Document) catchUp(p *Peer, base []position) {
	p.list, p.pos = d.g.missing(base, d.committed)
	p.live, p.ack = true, true
}

// give marks what the peer asked for by hash, once.
func (d *Document) give(p *Peer, need []change.Hash) {
	if seen := fingerprintOf(need); seen != p.gave {
		p.gave = seen
		p.Costs++
		for _, h := range need {
			if at, ok := d.known(h); ok && !(p.live && int(at) >= p.pos) {
				p.list = append(p.list, at)
			}
		}
		slices.Sort(p.list)
		p.list = slices.Compact(p.list)
	}
}

// diverge decides what to ask of a peer that has changes unknown here. Each
// distinct situation is asked about once, and once more afresh if that brought
// nothing: more would be ping-pong.
func (d *Document) diverge(p *Peer, m lastMessage, base []position, unknown []change.Hash) {
	if p.live && m.reset {
		p.live = false
	}
	seen := make(map[change.Hash]bool)
	var need []change.Hash
	for _, h := range unknown {
		need = d.orphans.need(need, h, func(h change.Hash) bool { _, ok := d.known(h); return ok }, seen)
	}
	slices.SortFunc(need, compareHashes)
	situation := fingerprintOf(unknown, need)
	if m.reset {
		situation[0] ^= 1
	}
	if situation != p.situation {
		p.situation, p.asked = situation, 0
	}
	p.asked++
	switch p.asked {
	case 1:
		p.Costs++
		p.ask = ask{kind: askNeed, need: need, lastSync: base}
		claimed, _ := d.resolve(p, m.lastSync)
		switch {
		case m.reset: // it did not know the lastSync that we told it
			p.ask.lastSync = nil
		case len(claimed) > 0:
			p.ask.lastSync = append(p.ask.lastSync, claimed...)
		case len(m.lastSync) > 0 && len(base) == 0:
			p.ask.lastSync = d.frontier()
		}
	case 2:
		p.ask = ask{kind: askAfresh}
	}
}

// frontier returns a place in the log that a peer probably has, though what it
// says it has is unknown here: some changes back.
func (d *Document) frontier() []position {
	const back = 1000
	for p := d.committed - 1 - back; p >= max(0, d.committed-100*back); p-- {
		if d.g.at(position(p)).actor&soleHead != 0 {
			return []position{position(p)}
		}
	}
	return nil
}

// resolve returns the positions of hashes that are in the log, or, for changes
// that were refused, of what those depend on; and the other hashes.
func (d *Document) resolve(p *Peer, hashes []change.Hash) (known []position, unknown []change.Hash) {
	for _, h := range hashes {
		if at, ok := d.known(h); ok {
			known = append(known, at)
		} else if deps, ok := p.refusals.base[h]; ok {
			known = append(known, deps...)
		} else {
			unknown = append(unknown, h)
		}
	}
	return known, unknown
}

// refuse remembers a change that will never be part of the log, so that heads
// of the peer that build on it can be understood. It returns the changes that
// waited for it, which are held no more.
func (d *Document) refuse(p *Peer, c *change.Change) []*orphan {
	var base []position
	for i := range c.NumDeps() {
		known, _ := d.resolve(p, []change.Hash{c.Dep(i)})
		base = append(base, known...)
	}
	slices.Sort(base)
	p.refusals.add(c.Hash, slices.Compact(base))
	return d.orphans.release(c.Hash)
}

// refusals are the newest changes that were refused to one peer.
type refusals struct {
	base  map[change.Hash][]position // what is known of each one's dependencies
	order []change.Hash
}

const maxRefusals = 1024

func (r *refusals) has(h change.Hash) bool { _, ok := r.base[h]; return ok }

func (r *refusals) add(h change.Hash, base []position) {
	if r.base == nil {
		r.base = make(map[change.Hash][]position)
	}
	if len(r.order) == maxRefusals {
		delete(r.base, r.order[0])
		r.order = r.order[1:]
	}
	r.base[h] = base
	r.order = append(r.order, h)
}

func fingerprintOf(lists ...[]change.Hash) fingerprint {
	h := sha256.New()
	for _, list := range lists {
		for i := range list {
			h.Write(list[i][:])
		}
		h.Write([]byte{0})
	}
	return fingerprint(h.Sum(nil))
}
