package mux

import (
	"sync/atomic"

	"atrium/internal/limit"
)

// Message is one that a client sent. It is the handler's until that returns;
// its Reply may be used at any time after.
type Message struct {
	Type    string
	Session *Session
	ID      ID

	codec  codec
	data   []byte // the read buffer's
	fields fields // of data, where they could be had without decoding it
	reply  *Reply // nil: not asked for yet
}

// Reply returns the way back to the sender.
func (m *Message) Reply() *Reply {
	if m.reply == nil {
		m.reply = &Reply{Session: m.Session, ID: m.ID}
	}
	return m.reply
}

// Text and Bytes return a text, or a byte string, of the message as it stands
// in the read buffer. They return nil if there is none, and also where that
// cannot be said without decoding the message: Decode decides then. They
// allocate nothing.
func (m *Message) Text(name string) []byte { return m.fields.get(name, majorText) }

func (m *Message) Bytes(name string) []byte { return m.fields.get(name, majorBytes) }

// Decode reads the message's fields into v, a pointer to a struct with json
// tags. Its error is a bad_request.
func (m *Message) Decode(v any) error {
	if err := m.codec.decode(m.data, v); err != nil {
		return NewError(BadRequest, m.Type+": a field is missing or of the wrong type")
	}
	return nil
}

// Reply is the way back to whoever sent a message. A message with an id is
// answered exactly once; one without is answered only by errors. It is safe for
// concurrent use.
type Reply struct {
	Session *Session
	ID      ID

	answered atomic.Bool
}

// Ack answers with body's fields, a pointer to a struct that embeds Ack; nil
// stands for none.
func (r *Reply) Ack(body Acknowledgement) {
	if r.ID.IsZero() || r.answered.Swap(true) {
		return
	}
	if body == nil {
		body = new(Ack)
	}
	body.answers(r.ID)
	r.Session.Send(NewFrame(body))
}

// Answered reports whether the reply has been used.
func (r *Reply) Answered() bool { return r.answered.Load() }

// Offer is Ack for answers too long for the session's queue: see Session.Offer.
func (r *Reply) Offer(body Acknowledgement, drained func()) bool {
	if r.ID.IsZero() || r.answered.Load() {
		return true
	}
	body.answers(r.ID)
	if !r.Session.Offer(NewFrame(body), drained) {
		return false
	}
	r.answered.Store(true)
	return true
}

// Fail answers with an error: an *Error anywhere in err's chain as it is, all
// else as internal.
func (r *Reply) Fail(err error) {
	if r.answered.Swap(true) {
		return
	}
	coded := codedError(err)
	r.Session.mux.stats.refused(coded.Code)
	r.Session.Send(NewFrame(newErrorMessage(r.ID, coded)))
}

// Ack is embedded in the answers to requests.
type Ack struct {
	Type string `json:"type"`
	ID   ID     `json:"id"`
}

// Acknowledgement is a pointer to a struct that embeds Ack.
type Acknowledgement interface{ answers(ID) }

func (a *Ack) answers(id ID) { a.Type, a.ID = "ack", id }

// Route says what becomes of messages of one type.
type Route struct {
	Class    limit.Class
	MaxBytes int // of the whole frame; default: 64 KiB
	// Handle is called from the session's read goroutine, in the order of the
	// messages; while it waits, nothing more is read. It returns the answer, or
	// Later if it keeps the message's Reply and answers by that.
	Handle func(m *Message) (Acknowledgement, error)

	name string // the message type
}

// Later is what a handler returns that will answer by the Reply.
var Later Acknowledgement = new(Ack)

// envelope is what mux itself reads of every message.
type envelope struct {
	Type string `json:"type"`
	ID   ID     `json:"id"`
}
