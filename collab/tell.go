package collab

import (
	"slices"
	"time"

	"atrium/collab/docsync"
	"atrium/internal/mux"
)

// tell sends every member what it is to be sent, if its socket is free.
func (r *room) tell() {
	if r.grown {
		for _, m := range r.members {
			r.tellMember(m)
		}
		r.asking = r.asking[:0]
	} else {
		for _, m := range r.dirty {
			r.tellMember(m)
		}
	}
	for i, m := range r.dirty {
		m.dirty, r.dirty[i] = false, nil
	}
	r.grown, r.dirty = false, r.dirty[:0]
	r.tellUnavailable()
}

func (r *room) tellMember(m *member) {
	if m.peer == nil || m.busy || !r.mayRead(m) {
		return
	}
	out, ok := r.doc.Next(m.peer)
	if !r.charge(m) {
		return
	}
	if ok {
		if !m.session.Offer(r.frame(out), m.drained) {
			m.busy = true
			return
		}
		r.doc.Sent(m.peer, out)
	}
	if m.peer.Waiting() {
		return
	}
	if !ok && r.doc.Len() == 0 && m.dirty && !slices.Contains(r.asking, m) {
		m.unavailableAt = time.Now().Add(r.module.opts.UnavailableAfter)
		r.asking = append(r.asking, m)
	}
	for i, reply := range m.replies {
		reply.Ack(nil)
		m.replies[i] = nil
	}
	m.replies = m.replies[:0]
}

// frame returns out as a frame, the same one for all who are sent the same.
func (r *room) frame(out docsync.Outgoing) *mux.Frame {
	if !out.Shared() {
		return r.encode(out)
	}
	f := r.frames[out.Range]
	if f == nil {
		f = r.encode(out)
		r.frames[out.Range] = f
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
