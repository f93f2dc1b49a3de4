package docsync

// Outgoing is a message that a peer is to be sent.
type Outgoing struct {
	Range            // of the log that it carries
	list  []position // changes that it carries before those
	ask   ask
	flags Flags
}

// Range is a part of the log: from From up to but without To, which is its end.
// Messages of the same Range in the same log are equal, if they are Shared.
type Range struct{ From, To int }

// Shared reports whether any peer would be sent the same bytes for the same Range.
func (o *Outgoing) Shared() bool {
	return len(o.list) == 0 && o.ask.kind == askNothing && o.flags == 0
}

// Next returns what the peer is to be sent now, if anything. Call it when the
// peer's socket is free, after it sent a message or the log has grown.
func (d *Document) Next(p *Peer) (o Outgoing, ok bool) {
	if p.uncommitted {
		return Outgoing{}, false
	}
	if p.due {
		d.look(p)
	}
	o = Outgoing{Range: Range{d.committed, d.committed}, list: p.list}
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
	m.Changes = make([][]byte, 0, len(o.list)+o.To-o.From)
	for _, p := range o.list {
		m.Changes = append(m.Changes, d.g.at(p).chunk)
	}
	for p := o.From; p < o.To; p++ {
		m.Changes = append(m.Changes, d.g.at(position(p)).chunk)
	}
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
