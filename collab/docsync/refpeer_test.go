package docsync_test

import (
	"maps"
	"slices"
	"testing"

	"atrium/collab/change"
	"atrium/collab/change/changetest"
	"atrium/collab/docsync"
)

// refPeer behaves as the reference core does on the other end of a connection
// (rust/automerge/src/sync.rs of Automerge 3.5): a document of bare changes and
// the sync state towards the server.
type refPeer struct {
	changes map[change.Hash]change.Change
	order   []change.Hash // as added, dependencies first
	queue   map[change.Hash]change.Change
	heads   map[change.Hash]bool

	refSync
}

// refSync is the sync state of one connection.
type refSync struct {
	shared, lastSentHeads []change.Hash
	theirHeads, theirNeed []change.Hash
	theirHave             []docsync.Have
	heard                 bool // the three above are set
	sent                  map[change.Hash]bool
	inFlight, responded   bool
	theyOnlySend          bool // the server has said that we may only read
	knowsFlags            bool // clients before 3.5 do not
}

func newRefPeer() *refPeer {
	return &refPeer{
		changes: make(map[change.Hash]change.Change), queue: make(map[change.Hash]change.Change),
		heads: make(map[change.Hash]bool), refSync: newRefSync(nil),
	}
}

func newRefSync(shared []change.Hash) refSync {
	return refSync{shared: shared, sent: make(map[change.Hash]bool)}
}

func (p *refPeer) sortedHeads() []change.Hash { return sortHashes(slices.Collect(maps.Keys(p.heads))) }

func sortHashes(h []change.Hash) []change.Hash {
	slices.SortFunc(h, func(a, b change.Hash) int { return slices.Compare(a[:], b[:]) })
	return slices.Compact(h)
}

// write makes a change on top of the heads.
func (p *refPeer) write(t *testing.T, actor []byte, seq int, value int) {
	startOp := uint64(1)
	for h := range p.heads {
		c := p.changes[h]
		ops, err := c.Ops()
		if err != nil {
			t.Fatal(err)
		}
		startOp = max(startOp, c.StartOp+ops)
	}
	chunk := changetest.Change{
		Actor: actor, Seq: uint64(seq), StartOp: startOp, Deps: p.sortedHeads(),
		Ops: []changetest.Op{changetest.Set(changetest.ID{}, "x", value)},
	}.Encode()
	p.apply(t, [][]byte{chunk})
}

func (p *refPeer) apply(t *testing.T, chunks [][]byte) {
	for _, chunk := range chunks {
		c, err := change.Parse(chunk)
		if err != nil {
			t.Fatalf("the server sent a bad chunk: %v", err)
		}
		if _, known := p.changes[c.Hash]; !known {
			p.queue[c.Hash] = c
		}
	}
	for again := true; again; {
		again = false
		for h, c := range p.queue {
			ready := true
			for i := range c.NumDeps() {
				_, known := p.changes[c.Dep(i)]
				ready = ready && known
			}
			if ready {
				for i := range c.NumDeps() {
					delete(p.heads, c.Dep(i))
				}
				p.heads[h], p.changes[h] = true, c
				p.order = append(p.order, h)
				delete(p.queue, h)
				again = true
			}
		}
	}
}

// past returns heads and everything before them.
func (p *refPeer) past(heads []change.Hash) map[change.Hash]bool {
	seen := make(map[change.Hash]bool)
	for stack := slices.Clone(heads); len(stack) > 0; {
		h := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		c, known := p.changes[h]
		if seen[h] || !known {
			continue
		}
		seen[h] = true
		for i := range c.NumDeps() {
			stack = append(stack, c.Dep(i))
		}
	}
	return seen
}

// after returns what is not in the past of heads, in order.
func (p *refPeer) after(heads []change.Hash) (hashes []change.Hash) {
	past := p.past(heads)
	for _, h := range p.order {
		if !past[h] {
			hashes = append(hashes, h)
		}
	}
	return hashes
}

func (p *refPeer) missingDeps(heads []change.Hash) []change.Hash {
	var missing []change.Hash
	seen := make(map[change.Hash]bool)
	for stack := slices.Clone(heads); len(stack) > 0; {
		h := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if _, known := p.changes[h]; known || seen[h] {
			continue
		}
		seen[h] = true
		c, queued := p.queue[h]
		if !queued {
			missing = append(missing, h)
			continue
		}
		for i := range c.NumDeps() {
			stack = append(stack, c.Dep(i))
		}
	}
	return sortHashes(missing)
}

func (p *refPeer) generate() (m docsync.Message, ok bool) {
	ours := p.sortedHeads()
	need := p.missingDeps(p.theirHeads)
	var have []docsync.Have
	if !slices.ContainsFunc(need, func(h change.Hash) bool { return !slices.Contains(p.theirHeads, h) }) {
		recent := p.after(p.shared)
		bloom := docsync.NewBloom(len(recent))
		for _, h := range recent {
			bloom.Add(h)
		}
		have = []docsync.Have{{LastSync: p.shared, Bloom: bloom}}
	}
	if len(p.theirHave) > 0 && slices.ContainsFunc(p.theirHave[0].LastSync, func(h change.Hash) bool { _, known := p.changes[h]; return !known }) {
		return docsync.Message{Heads: ours, Have: []docsync.Have{{}}}, true
	}
	var send []change.Hash
	if p.heard && !p.theyOnlySend {
		for _, h := range p.toSend() {
			if !p.sent[h] {
				send = append(send, h)
			}
		}
	}
	if slices.Equal(p.lastSentHeads, ours) && p.responded {
		if slices.Equal(p.theirHeads, ours) && len(send) == 0 || p.inFlight {
			return m, false
		}
	}
	p.responded, p.inFlight = true, true
	p.lastSentHeads = ours
	m = docsync.Message{Heads: ours, Need: need, Have: have}
	for _, h := range send {
		p.sent[h] = true
		c := p.changes[h]
		m.Changes = append(m.Changes, c.Chunk)
	}
	return m, true
}

func (p *refPeer) toSend() []change.Hash {
	var need []change.Hash
	for _, h := range p.theirNeed {
		if _, known := p.changes[h]; known {
			need = append(need, h)
		}
	}
	if len(p.theirHave) == 0 {
		return need
	}
	var lastSync []change.Hash
	for _, h := range p.theirHave {
		lastSync = append(lastSync, h.LastSync...)
	}
	recent := p.after(lastSync)
	send := make(map[change.Hash]bool)
	for _, h := range recent { // dependencies come first, so one pass finds all dependents
		inAll := true
		for _, have := range p.theirHave {
			inAll = inAll && have.Bloom.Contains(h)
		}
		c := p.changes[h]
		for i := range c.NumDeps() {
			inAll = inAll && !send[c.Dep(i)]
		}
		if !inAll {
			send[h] = true
		}
	}
	var hashes []change.Hash
	for _, h := range need {
		if !send[h] {
			hashes = append(hashes, h)
		}
	}
	for _, h := range recent {
		if send[h] {
			hashes = append(hashes, h)
		}
	}
	return hashes
}

func (p *refPeer) receive(t *testing.T, m docsync.Message) {
	p.inFlight = false
	if m.Flags != 0 && p.knowsFlags {
		p.theyOnlySend = m.Flags&2 != 0
	}
	before := p.sortedHeads()
	if len(m.Changes) > 0 {
		p.apply(t, m.Changes)
		var shared []change.Hash
		for h := range p.heads {
			if !slices.Contains(before, h) || slices.Contains(p.shared, h) {
				shared = append(shared, h)
			}
		}
		p.shared = sortHashes(shared)
	}
	for h := range p.past(m.Heads) {
		delete(p.sent, h)
	}
	if len(m.Changes) == 0 && slices.Equal(m.Heads, before) {
		p.lastSentHeads = m.Heads
	}
	var known []change.Hash
	for _, h := range m.Heads {
		if _, ok := p.changes[h]; ok {
			known = append(known, h)
		}
	}
	if len(known) == len(m.Heads) {
		p.shared = m.Heads
		if len(m.Heads) == 0 {
			p.lastSentHeads, p.sent = nil, make(map[change.Hash]bool)
		}
	} else {
		p.shared = sortHashes(append(slices.Clone(p.shared), known...))
	}
	p.theirHave, p.theirHeads, p.theirNeed, p.heard = m.Have, m.Heads, m.Need, true
}
