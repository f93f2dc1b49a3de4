package docsync

import (
	"errors"

	"atrium/collab/change"
)

// ErrMissing says that a change depends on changes that are not here. Sent again
// behind those, it may be taken.
var ErrMissing = errors.New("depends on changes that are not here")

// NewAuthor returns a peer that adds changes by Submit and does not sync. As
// nobody would ask it for what is missing, none of its changes is held.
func NewAuthor(tag any) *Peer { return &Peer{Tag: tag, author: true, top: -1} }

// Submit takes an author's changes in, as Receive does those of a message.
func (d *Document) Submit(p *Peer, chunks [][]byte) (refused []Refusal, err error) {
	refused, _, err = d.take(p, chunks)
	return refused, err
}

// RoundUp puts operations checked that are not in Costs yet into Costs, if they
// are more than a little, for an owner that is about to drop the peer.
func (p *Peer) RoundUp() {
	if p.ops >= opsPerCost/100 {
		p.Costs++
	}
	p.ops = 0
}

// take checks changes of a peer and stages what is new. again is how many of
// them were refused to it before.
func (d *Document) take(p *Peer, chunks [][]byte) (refused []Refusal, again int, err error) {
	budget := uint64(maxMessageOps)
	for _, chunk := range chunks {
		c, err := change.Parse(chunk)
		switch {
		case p.readOnly:
			if err == nil {
				d.refuse(p, &c)
			}
			continue
		case err != nil:
			refused = append(refused, Refusal{Peer: p, Err: err})
			continue
		}
		if at, known := d.g.find(c.Hash); known {
			if int(at) >= d.committed {
				d.wait(p)
			}
			continue
		}
		if p.refusals.has(c.Hash) {
			refused = append(refused, Refusal{p, c.Hash, ErrAgain})
			again++
			continue
		}
		if ops, err := c.Ops(); err == nil {
			if budget < ops {
				return refused, again, ErrTooMuch
			}
			budget -= ops
			p.ops += ops
		}
		if err := change.Check(&c); err != nil {
			refused = append(refused, Refusal{p, c.Hash, err})
			for _, o := range d.refuse(p, &c) {
				refused = d.stage(&o.change, o.from, refused)
			}
			continue
		}
		refused = d.stage(&c, p, refused)
		if n := len(refused); n > 0 && refused[n-1].Err == ErrFull {
			return nil, again, ErrFull
		}
	}
	p.Costs += int(p.ops / opsPerCost)
	p.ops %= opsPerCost
	return refused, again, nil
}
