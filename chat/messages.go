package chat

import (
	"time"

	"github.com/google/uuid"

	"atrium/internal/auth"
	"atrium/internal/db"
	"atrium/internal/mux"
)

type (
	joinRequest struct {
		RoomID string `json:"roomId"`
		Since  *int64 `json:"since"`
	}
	leaveRequest struct {
		RoomID string `json:"roomId"`
	}
	sendRequest struct {
		RoomID   string  `json:"roomId"`
		Message  *string `json:"message"`
		ClientID string  `json:"clientId"`
		ReplyTo  string  `json:"replyTo"`
	}
	changeRequest struct {
		RoomID    string  `json:"roomId"`
		MessageID string  `json:"messageId"`
		Message   *string `json:"message"` // of an edit
	}
)

type (
	joinAck struct {
		mux.Ack
		LastSeq     int64    `json:"lastSeq"`
		Messages    []any    `json:"messages"`
		Members     []member `json:"members"`
		MemberCount int      `json:"memberCount"`
		ReadSeq     int64    `json:"readSeq"`
		Unread      int64    `json:"unread"`
		Truncated   bool     `json:"truncated,omitempty"`
	}
	member struct {
		UserID   string `json:"userId"`
		Username string `json:"username"`
		Avatar   string `json:"avatar"`
		Sessions int    `json:"sessions"`
	}
	sendAck struct {
		mux.Ack
		Message *sentMessage `json:"message"`
	}
	changeAck struct {
		mux.Ack
		Seq int64 `json:"seq,omitempty"` // absent: it was so already
	}
	userMessage struct { // user_joined and user_left
		Type     string `json:"type"`
		RoomID   string `json:"roomId"`
		UserID   string `json:"userId"`
		Username string `json:"username"`
	}
	sentMessage struct {
		Type string `json:"type"`
		*Message
	}
	editedMessage struct {
		Type      string `json:"type"`
		RoomID    string `json:"roomId"`
		Seq       int64  `json:"seq"`
		MessageID string `json:"messageId"`
		Content   string `json:"content"`
		UserID    string `json:"userId"` // who edited it
		EditedAt  string `json:"editedAt"`
	}
	deletedMessage struct {
		Type      string `json:"type"`
		RoomID    string `json:"roomId"`
		Seq       int64  `json:"seq"`
		MessageID string `json:"messageId"`
		UserID    string `json:"userId"` // who deleted it
		DeletedAt string `json:"deletedAt"`
	}
)

// message is an event as clients get it.
func (e *event) message() any {
	switch m := e.of; e.kind {
	case edited:
		return &editedMessage{"chat:edited", m.RoomID, e.seq, m.ID, m.Content, e.userID, e.at}
	case deleted:
		return &deletedMessage{"chat:deleted", m.RoomID, e.seq, m.ID, e.userID, e.at}
	default:
		return &sentMessage{"chat:message", m}
	}
}

// Bounds, in bytes.
const (
	maxContent = 16 << 10
	maxID      = 256 // of what clients call messages
)

// recentMessages is how many somebody sees who joins and says no seq.
const recentMessages = 50

var errNotJoined = mux.NewError(mux.Forbidden, "join the room first")

// join handles chat:join.
func (m *Module) join(msg *mux.Message) (mux.Acknowledgement, error) {
	var req joinRequest
	if err := decode(msg, &req, &req.RoomID, auth.Read); err != nil {
		return nil, err
	}
	if req.Since != nil && *req.Since < 0 {
		return nil, mux.NewError(mux.BadRequest, msg.Type+": since must be a seq")
	}
	s := msg.Session
	r := m.hold(req.RoomID)
	defer m.release(r)
	p, err := m.past(r.id, s.Identity().UserID, req.Since)
	if err != nil {
		return nil, err
	}
	err = m.enter(r, s, p, func(told int64, people []member, count int) {
		ack := &joinAck{
			LastSeq: told, Messages: []any{}, Members: people, MemberCount: count,
			ReadSeq: p.readSeq, Unread: p.unread, Truncated: p.truncated,
		}
		for i := range p.events {
			if e := &p.events[i]; e.seq <= told { // the rest is about to be told to everybody
				ack.Messages = append(ack.Messages, e.message())
			}
		}
		msg.Reply().Ack(ack)
	})
	return mux.Later, err
}

// past is what somebody who joins finds.
type past struct {
	last int64
	membership
	events    []event
	truncated bool
}

// past reads a room as of now, for a member, which the user becomes.
func (m *Module) past(roomID, userID string, since *int64) (*past, error) {
	p := new(past)
	for {
		var isMember bool
		err := m.loading(func(tx *db.Tx) (err error) {
			if p.membership, isMember, err = membershipOf(tx, roomID, userID); err != nil || !isMember {
				return err
			}
			if p.last, err = lastSeq(tx, roomID); err != nil {
				return err
			}
			if since != nil {
				p.events, p.truncated, err = missed(tx, roomID, *since, p.last)
				return err
			}
			list, _, err := history(tx, roomID, page{after: -1, limit: recentMessages})
			p.events = sentEvents(list)
			return err
		})
		if err != nil || isMember {
			return p, err
		}
		if err = m.storing(func(tx *db.Tx) error { return enlist(tx, roomID, userID, time.Now()) }); err != nil {
			return nil, err
		}
	}
}

// extend reads what has happened since.
func (m *Module) extend(p *past, roomID string) error {
	return m.loading(func(tx *db.Tx) error {
		last, err := lastSeq(tx, roomID)
		if err != nil {
			return err
		}
		more, truncated, err := missed(tx, roomID, p.last, last)
		if truncated { // what came before is not connected with it any more
			p.events, p.truncated = nil, true
		}
		p.events, p.last = append(p.events, more...), last
		return err
	})
}

func sentEvents(list []*Message) []event {
	events := make([]event, len(list))
	for i, m := range list {
		events[i] = event{seq: m.Seq, of: m}
	}
	return events
}

// leave handles chat:leave.
func (m *Module) leave(msg *mux.Message) (mux.Acknowledgement, error) {
	var req leaveRequest
	if err := decode(msg, &req, &req.RoomID, auth.None); err != nil {
		return nil, err
	}
	if r := m.room(msg.Session, req.RoomID); r != nil {
		m.remove(r, msg.Session)
	}
	return nil, nil
}

// send handles chat:message.
func (m *Module) send(msg *mux.Message) (mux.Acknowledgement, error) {
	var req sendRequest
	if err := decode(msg, &req, &req.RoomID, auth.Write); err != nil {
		return nil, err
	}
	s := msg.Session
	r := m.room(s, req.RoomID)
	if r == nil {
		return nil, errNotJoined
	}
	content, err := contentOf(req.Message)
	if err != nil {
		return nil, err
	}
	cm := &Message{RoomID: r.id, Content: content, User: mux.UserOf(s.Identity()), ClientID: req.ClientID, ReplyTo: req.ReplyTo}
	var deliver func()
	err = m.storing(func(tx *db.Tx) (err error) {
		deliver, err = m.add(tx, cm)
		return err
	})
	if err != nil {
		return nil, err
	}
	m.stopTyping(r, s)
	msg.Reply().Ack(&sendAck{Message: &sentMessage{"chat:message", cm}})
	deliver()
	return mux.Later, nil
}

// contentOf checks the content of a message or an edit.
func contentOf(content *string) (string, error) {
	switch {
	case content == nil || *content == "":
		return "", mux.NewError(mux.BadRequest, "a message must have content")
	case len(*content) > maxContent:
		return "", mux.NewError(mux.TooLarge, "a message must have 16 KiB at most")
	case !mux.ValidText(*content, maxContent):
		return "", mux.NewError(mux.BadRequest, "a message must be text")
	}
	return *content, nil
}

// add stores a message in the caller's transaction, and completes it: what its
// user has sent with its client id before stays as it is, and is told to nobody.
// deliver is to be called after the commit.
func (m *Module) add(tx *db.Tx, cm *Message) (deliver func(), err error) {
	if !validID(cm.ClientID) || !validID(cm.ReplyTo) {
		return nil, mux.NewError(mux.BadRequest, "clientId and replyTo must have 256 bytes at most, without control characters")
	}
	if cm.ClientID != "" {
		before, err := findSent(tx, cm.RoomID, cm.User.ID, cm.ClientID)
		if err != nil {
			return nil, err
		}
		if before != nil {
			*cm = *before
			return func() {}, nil
		}
	}
	if cm.ReplyTo != "" {
		if _, err := find(tx, cm.RoomID, cm.ReplyTo); err != nil {
			return nil, err
		}
	}
	now := time.Now()
	cm.ID, cm.CreatedAt = uuid.Must(uuid.NewV7()).String(), mux.Timestamp(now)
	if err := insert(tx, cm, now); err != nil {
		return nil, err
	}
	deliveries := []func(){m.announce(cm.RoomID, cm.Seq, &sentMessage{"chat:message", cm})}
	mentioned, err := m.mention(tx, cm)
	if err != nil {
		return nil, err
	}
	deliveries = append(deliveries, mentioned...)
	return func() {
		for _, deliver := range deliveries {
			deliver()
		}
	}, nil
}

func validID(s string) bool { return s == "" || mux.ValidName(s) }

// edit handles chat:edit.
func (m *Module) edit(msg *mux.Message) (mux.Acknowledgement, error) {
	return m.change(msg, edited)
}

// delete handles chat:delete.
func (m *Module) delete(msg *mux.Message) (mux.Acknowledgement, error) {
	return m.change(msg, deleted)
}

// change is for the author, and for admins. What is so already is no change.
func (m *Module) change(msg *mux.Message, k kind) (mux.Acknowledgement, error) {
	var req changeRequest
	if err := decode(msg, &req, &req.RoomID, auth.Write); err != nil {
		return nil, err
	}
	if m.room(msg.Session, req.RoomID) == nil {
		return nil, errNotJoined
	}
	var content string
	if k == edited {
		var err error
		if content, err = contentOf(req.Message); err != nil {
			return nil, err
		}
	}
	if !mux.ValidName(req.MessageID) {
		return nil, mux.NewError(mux.BadRequest, msg.Type+": messageId is missing")
	}
	id := msg.Session.Identity()
	ack := new(changeAck)
	deliver := func() {}
	err := m.storing(func(tx *db.Tx) error {
		cm, err := find(tx, req.RoomID, req.MessageID)
		switch {
		case err != nil:
			return err
		case cm.User.ID != id.UserID && !id.Admin:
			return mux.NewError(mux.Forbidden, "this is somebody else's message")
		case k == edited && cm.Deleted:
			return errNoMessage
		case k == edited && cm.Content == content, k == deleted && cm.Deleted:
			return nil
		}
		now := time.Now()
		if ack.Seq, err = change(tx, cm, k, content, id.UserID, now); err != nil {
			return err
		}
		cm.Content = content
		e := event{seq: ack.Seq, kind: k, at: mux.Timestamp(now), userID: id.UserID, of: cm}
		deliver = m.announce(cm.RoomID, e.seq, e.message())
		return nil
	})
	if err != nil {
		return nil, err
	}
	msg.Reply().Ack(ack)
	deliver()
	return mux.Later, nil
}
