package collab

import (
	"slices"
	"time"

	"atrium/collab/docsync"
	"atrium/internal/mux"
)

// tell sends every member what it is to be sent, if its socket is free: sync
// messages first, then answers, then collab:changes, then cursors. Each step
// looks who is owed what, has it written for all of them at once, and notes who
// has got it; who has not is busy, and is asked again when its socket is free.
func (r *room) tell() {
	r.tellSync()
	r.each(r.acknowledge)
	r.answerCalls()
	for r.tellChanges() {
	}
	r.tellCursors()
	r.tellUnavailable()
	for i, m := range r.dirty {
		m.dirty, r.dirty[i] = false, nil
	}
	r.grown, r.dirty = false, r.dirty[:0]
	r.frames.users, r.active = nil, nil
	if r.frames.since.IsZero() && len(r.frames.sync)+len(r.frames.changes) > 0 {
		r.frames.since = time.Now()
	}
}

// each calls f for the members that may have to be sent something.
func (r *room) each(f func(*member)) {
	if !r.grown {
		for _, m := range r.dirty {
			f(m)
		}
		return
	}
	for _, m := range r.members {
		f(m)
	}
}

// deliveries are frames on their way to members, at most one for each.
type deliveries struct {
	list []mux.Delivery
	to   []*member          // by index in list
	outs []docsync.Outgoing // by index in list, for sync messages
}

func (d *deliveries) add(m *member, f *mux.Frame) {
	d.list = append(d.list, mux.Delivery{Session: m.session, Frame: f, Drained: m.drained})
	d.to = append(d.to, m)
}

// send makes the deliveries and calls taken for those that were.
func (d *deliveries) send(taken func(i int, m *member)) {
	mux.OfferAll(d.list)
	for i, m := range d.to {
		if d.list[i].Taken {
			taken(i, m)
		} else {
			m.busy = true
		}
	}
	clear(d.list)
	clear(d.to)
	clear(d.outs)
	d.list, d.to, d.outs = d.list[:0], d.to[:0], d.outs[:0]
}

// tellSync sends sync messages.
func (r *room) tellSync() {
	if r.grown {
		r.asking = r.asking[:0]
	}
	r.each(r.owedSync)
	r.sending.send(func(i int, m *member) { r.doc.Sent(m.peer, r.sending.outs[i]) })
}

// owedSync prepares the sync message that a member is to be sent, if any.
func (r *room) owedSync(m *member) {
	if m.peer == nil || m.busy || !r.mayRead(m) {
		return
	}
	out, ok := r.doc.Next(m.peer)
	if !r.charge(m, m.peer) {
		return
	}
	if ok {
		r.sending.add(m, r.syncFrame(out))
		r.sending.outs = append(r.sending.outs, out)
	} else if r.doc.Len() == 0 && m.dirty && !m.peer.Waiting() && !slices.Contains(r.asking, m) {
		m.unavailableAt = time.Now().Add(r.module.opts.UnavailableAfter)
		r.asking = append(r.asking, m)
	}
}

// acknowledge answers what a member has asked and can be answered now.
func (r *room) acknowledge(m *member) {
	if m.busy {
		return
	}
	if m.peer != nil && !m.peer.Waiting() {
		if top, ok := m.peer.Settled(); ok && m.seat.top.Load() == unsettled {
			m.seat.top.Store(int64(top))
		}
		for i, reply := range m.replies {
			reply.Ack(nil)
			m.replies[i] = nil
		}
		m.replies = m.replies[:0]
	}
	if m.author != nil && !m.author.Waiting() {
		for _, reply := range m.edits {
			reply.Ack(&editAck{Heads: hexHeads(r.doc.Heads())})
		}
		m.author.RoundUp()
		r.charge(m, m.author)
		m.edits, m.author = nil, nil
	}
	for len(m.opening) > 0 && r.answer(m, m.opening[0]) {
		m.opening = m.opening[1:]
	}
	if m.joined && !m.greeted && !m.busy {
		r.greet(m)
	}
	r.leaveIfIdle(m)
}

// frames are shared by all who are sent the same. They can be as large as the
// log, so that they are kept for no longer than others are likely to ask.
type frames struct {
	sync    map[docsync.Plain]*mux.Frame // of the log as it is
	changes map[run]*mux.Frame           // of the log as it is
	cursors map[uint64]cursorFrame       // by version seen, of one call of tellCursors
	users   *mux.Frame                   // collab:active_users, of one call of tell
	since   time.Time                    // when the oldest was kept; zero: there are none
}

const (
	keepFrames = 2 * time.Second
	maxFrames  = 64 // of each kind
)

func newFrames() frames {
	return frames{
		sync: make(map[docsync.Plain]*mux.Frame), changes: make(map[run]*mux.Frame), cursors: make(map[uint64]cursorFrame),
	}
}

func (f *frames) clear() {
	clear(f.sync)
	clear(f.changes)
	f.since = time.Time{}
}

func (r *room) syncFrame(out docsync.Outgoing) *mux.Frame {
	if !out.Shared() {
		return r.encode(out)
	}
	return shared(r.frames.sync, out.Plain, func() *mux.Frame { return r.encode(out) })
}

// shared returns the frame of a key, made if there is none yet.
func shared[K comparable](frames map[K]*mux.Frame, key K, encode func() *mux.Frame) *mux.Frame {
	f := frames[key]
	if f == nil {
		if len(frames) >= maxFrames {
			clear(frames)
		}
		f = encode()
		frames[key] = f
	}
	return f
}

func (r *room) encode(out docsync.Outgoing) *mux.Frame {
	return mux.NewFrame(&syncMessage{
		Type: "sync", SenderID: r.module.opts.SenderID, DocumentID: r.documentID,
		Data: r.doc.Append(nil, out),
	})
}

// tellUnavailable tells those who asked for a document that still does not
// exist. They stay members: if it is made later, they get it.
func (r *room) tellUnavailable() {
	if len(r.asking) == 0 {
		return
	}
	now := time.Now()
	r.asking = slices.DeleteFunc(r.asking, func(m *member) bool {
		if now.Before(m.unavailableAt) {
			return false
		}
		m.session.Send(mux.NewFrame(r.module.unavailable(r.documentID)))
		return true
	})
}
