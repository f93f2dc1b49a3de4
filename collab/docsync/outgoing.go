package docsync

import "slices"

// Outgoing is a message that a peer is to be sent.
type Outgoing struct {
	Plain
	list []position // changes that it carries before those
	ask  ask
}

// Plain is what there is to most messages: the log from From up to but without
// To, which is its end. Messages that are equal in this, and Shared, are equal.
type Plain struct {
	From, To int
	flags    Flags
	whole    bool // the snapshot stands for what it holds
}

// Shared reports whether there is no more to the message than Plain says.
func (o *Outgoing) Shared() bool { return len(o.list) == 0 && o.ask.kind == askNothing }

// Next returns what the peer is to be sent now, if anything. Call it when the
// peer's socket is free, after it sent a message or the log has grown.
func (d *Document) Next(p *Peer) (o Outgoing, ok bool) {
	if p.uncommitted {
		return Outgoing{}, false
	}
	if p.due {
		d.look(p)
	}
	o = Outgoing{Plain: Plain{From: d.committed, To: d.committed}, list: p.list}
	if p.flag {
		o.flags = flagReadOnly | flagSupportsReset
	}
	if p.live {
		o.From = min(p.pos, d.committed)
	}
	if p.ask.kind != askNothing {
		o.ask = p.ask
		return o, true
	}
	o.whole = p.readsV2 && o.From == 0 && o.To > 0 && len(o.list) == 0 && d.snapshot != nil
	if d.committed == 0 {
		return Outgoing{}, false // there is no document yet
	}
	return o, p.ack || o.From < o.To || len(p.list) > 0
}

// Sent says that the peer has been sent o, the newest that Next returned for it.
func (d *Document) Sent(p *Peer, o Outgoing) {
	p.list, p.ask, p.ack = nil, ask{}, false
	if o.flags != 0 {
		p.flag = false
	}
	if p.live {
		p.pos = o.To
	}
}

// Append appends o as a sync message to dst.
func (d *Document) Append(dst []byte, o Outgoing) []byte {
	m := Message{Heads: d.heads, Flags: o.flags}
	switch o.ask.kind {
	case askNothing:
		m.Have = []Have{{LastSync: d.heads}}
	case askNeed:
		m.Need = o.ask.need
		m.Have = []Have{d.have(o.ask.lastSync)}
	case askAfresh:
		m.Heads = nil
		m.Have = []Have{{LastSync: d.heads}}
	}
	if o.whole {
		m.Changes = [][]byte{slices.Concat(d.Whole()...)}
		return appendMessage(dst, typeV2, m)
	}
	m.Changes = d.chunks(o.list, o.From, o.To)
	return AppendMessage(dst, m)
}

// have says what is here: all up to lastSync, and what its filter contains.
func (d *Document) have(lastSync []position) Have {
	var h Have
	for _, p := range lastSync {
		h.LastSync = append(h.LastSync, d.g.at(p).hash)
	}
	list, from := d.g.missing(lastSync, d.committed)
	h.Bloom = NewBloom(len(list) + d.committed - from)
	for _, p := range list {
		h.Bloom.Add(d.g.at(p).hash)
	}
	for p := from; p < d.committed; p++ {
		h.Bloom.Add(d.g.at(position(p)).hash)
	}
	return h
}
