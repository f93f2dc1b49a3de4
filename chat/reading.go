package chat

import (
	"strings"

	"atrium/internal/auth"
	"atrium/internal/db"
	"atrium/internal/mux"
)

type (
	readRequest struct {
		RoomID string `json:"roomId"`
		Seq    *int64 `json:"seq"`
	}
	historyRequest struct {
		RoomID string `json:"roomId"`
		Before *int64 `json:"before"`
		After  *int64 `json:"after"`
		Limit  *int   `json:"limit"`
	}
	readAck struct {
		mux.Ack
		Unread int64 `json:"unread"`
	}
	readMessage struct {
		Type   string `json:"type"`
		RoomID string `json:"roomId"`
		Seq    int64  `json:"seq"`
		Unread int64  `json:"unread"`
	}
	historyAck struct {
		mux.Ack
		Messages []any `json:"messages"`
		More     bool  `json:"more"`
	}
	roomsAck struct {
		mux.Ack
		Rooms []roomState `json:"rooms"`
		More  bool        `json:"more"`
	}
	roomState struct {
		RoomID      string       `json:"roomId"`
		LastSeq     int64        `json:"lastSeq"`
		ReadSeq     int64        `json:"readSeq"`
		Unread      int64        `json:"unread"`
		LastMessage *sentMessage `json:"lastMessage"`
	}
)

// read handles chat:read. A mark beyond the room's end is one at its end.
func (m *Module) read(msg *mux.Message) (mux.Acknowledgement, error) {
	var req readRequest
	if err := decode(msg, &req, &req.RoomID, auth.Read); err != nil {
		return nil, err
	}
	if req.Seq == nil || *req.Seq < 0 {
		return nil, mux.NewError(mux.BadRequest, msg.Type+": seq is missing")
	}
	s := msg.Session
	userID := s.Identity().UserID
	var now membership
	var moved bool
	err := m.storing(func(tx *db.Tx) error {
		last, err := lastSeq(tx, req.RoomID)
		if err != nil {
			return err
		}
		if moved, err = markRead(tx, req.RoomID, userID, min(*req.Seq, last)); err != nil {
			return err
		}
		var isMember bool
		now, isMember, err = membershipOf(tx, req.RoomID, userID)
		if err == nil && !isMember {
			return errNotJoined
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if moved {
		m.opts.Mux.PublishUser(userID, &readMessage{"chat:read", req.RoomID, now.readSeq, now.unread}, s)
	}
	return &readAck{Unread: now.unread}, nil
}

const (
	defaultLimit = 50
	maxLimit     = 200
)

// history handles chat:history.
func (m *Module) history(msg *mux.Message) (mux.Acknowledgement, error) {
	var req historyRequest
	if err := decode(msg, &req, &req.RoomID, auth.Read); err != nil {
		return nil, err
	}
	p := page{after: -1, limit: defaultLimit}
	if req.Limit != nil {
		p.limit = *req.Limit
	}
	switch {
	case p.limit < 1 || p.limit > maxLimit:
		return nil, mux.NewError(mux.BadRequest, msg.Type+": limit must be from 1 to 200")
	case req.Before != nil && *req.Before < 1 || req.After != nil && *req.After < 0:
		return nil, mux.NewError(mux.BadRequest, msg.Type+": before and after must be seqs")
	}
	if req.Before != nil {
		p.before = *req.Before
	}
	if req.After != nil {
		p.after = *req.After
	}
	ack := &historyAck{Messages: []any{}}
	err := m.loading(func(tx *db.Tx) error {
		list, more, err := history(tx, req.RoomID, p)
		for _, cm := range list {
			ack.Messages = append(ack.Messages, &sentMessage{"chat:message", cm})
		}
		ack.More = more
		return err
	})
	return ack, err
}

// maxPreview is how much of a room's last message a list of rooms shows, in bytes.
const maxPreview = 1 << 10

// list handles chat:rooms.
func (m *Module) list(msg *mux.Message) (mux.Acknowledgement, error) {
	id := msg.Session.Identity()
	ack := &roomsAck{Rooms: []roomState{}}
	err := m.loading(func(tx *db.Tx) error {
		rooms, more, err := joinedRooms(tx, id.UserID, func(roomID string) bool { return id.Rooms.Level(roomID) >= auth.Read })
		for _, r := range rooms {
			state := roomState{RoomID: r.roomID, LastSeq: r.lastSeq, ReadSeq: r.readSeq, Unread: r.unread}
			if r.last != nil {
				r.last.Content = preview(r.last.Content)
				state.LastMessage = &sentMessage{"chat:message", r.last}
			}
			ack.Rooms = append(ack.Rooms, state)
		}
		ack.More = more
		return err
	})
	return ack, err
}

// preview is the beginning of a text.
func preview(s string) string {
	if len(s) <= maxPreview {
		return s
	}
	return strings.ToValidUTF8(s[:maxPreview], "")
}
