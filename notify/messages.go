package notify

import (
	"context"
	"math"
	"time"

	"atrium/internal/db"
	"atrium/internal/mux"
)

type (
	listRequest struct {
		Before     any  `json:"before"` // an id or a seq
		Limit      *int `json:"limit"`
		UnreadOnly bool `json:"unreadOnly"`
	}
	listAck struct {
		mux.Ack
		Notifications []listed `json:"notifications"`
		Unread        int64    `json:"unread"`
		More          bool     `json:"more"` // there are older ones
	}
	listed struct {
		ID        string    `json:"id"`
		Seq       int64     `json:"seq"`
		Kind      string    `json:"kind"`
		Title     string    `json:"title"`
		Body      string    `json:"body"`
		Data      mux.Value `json:"data"`
		CreatedAt string    `json:"createdAt"`
		Read      bool      `json:"read"`
	}
	markRequest struct {
		which
		All bool `json:"all"`
	}
	// which names notifications: one, or several, or neither for all.
	which struct {
		NotificationID  *string  `json:"notificationId,omitempty"`
		NotificationIDs []string `json:"notificationIds,omitempty"`
	}
	unreadAck struct {
		mux.Ack
		Unread int64 `json:"unread"`
	}
	newMessage struct {
		Type      string    `json:"type"`
		ID        string    `json:"id"`
		Kind      string    `json:"kind"`
		Title     string    `json:"title"`
		Body      string    `json:"body"`
		Data      mux.Value `json:"data"`
		CreatedAt string    `json:"createdAt"`
		Unread    int64     `json:"unread"`
		Seq       int64     `json:"seq"`
	}
	readMessage struct {
		Type string `json:"type"`
		which
		All    bool  `json:"all,omitempty"`
		Unread int64 `json:"unread"`
	}
)

const (
	defaultLimit = 50
	maxLimit     = 200
	maxMarked    = 1000 // at once
	maxID        = 64   // bytes; ours have 36
)

// list handles notification:list.
func (m *Module) list(msg *mux.Message) (mux.Acknowledgement, error) {
	var req listRequest
	if err := msg.Decode(&req); err != nil {
		return nil, err
	}
	p := page{limit: defaultLimit, unreadOnly: req.UnreadOnly}
	if req.Limit != nil {
		p.limit = *req.Limit
	}
	if p.limit < 1 || p.limit > maxLimit {
		return nil, mux.NewError(mux.BadRequest, "notification:list: limit must be from 1 to 200")
	}
	if err := p.setBefore(req.Before); err != nil {
		return nil, err
	}
	ack := &listAck{Notifications: []listed{}}
	err := m.opts.DB.Read(context.Background(), func(tx *db.Tx) error {
		list, unread, more, err := read(tx, msg.Session.Identity().UserID, p)
		if err != nil {
			return err
		}
		ack.Unread, ack.More = unread, more
		for _, s := range list {
			data, err := mux.ValueOf(s.Data)
			if err != nil {
				return err
			}
			ack.Notifications = append(ack.Notifications, listed{s.ID, s.Seq, s.Kind, s.Title, s.Body, data, s.CreatedAt, s.Read})
		}
		return nil
	})
	return ack, m.unavailable(err)
}

func (p *page) setBefore(before any) error {
	switch v := before.(type) {
	case nil:
		return nil
	case string:
		if v != "" && len(v) <= maxID {
			p.beforeID = v
			return nil
		}
	case uint64:
		return p.setBefore(float64(v))
	case float64:
		if v >= 1 && v < 1<<53 && v == math.Trunc(v) {
			p.beforeSeq = int64(v)
			return nil
		}
	}
	return mux.NewError(mux.BadRequest, "before must be the id or the seq of a notification")
}

// markRead handles notification:mark_read.
func (m *Module) markRead(msg *mux.Message) (mux.Acknowledgement, error) {
	var req markRequest
	if err := msg.Decode(&req); err != nil {
		return nil, err
	}
	ids, err := req.ids()
	if err != nil {
		return nil, err
	}
	userID := msg.Session.Identity().UserID
	var at position
	var deliver func()
	err = m.write(func(tx *db.Tx) (err error) {
		var changed bool
		at, changed, err = markRead(tx, userID, ids, time.Now())
		if err == nil && changed {
			deliver = m.announce(userID, at, &readMessage{Type: "notification:read", which: req.which, All: req.All, Unread: at.unread})
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if deliver != nil {
		deliver()
	}
	return &unreadAck{Unread: at.unread}, nil
}

// newMessageOf tells of a notification.
func newMessageOf(s *Stored, unread int64) (*newMessage, error) {
	data, err := mux.ValueOf(s.Data)
	return &newMessage{
		Type: "notification:new", ID: s.ID, Kind: s.Kind, Title: s.Title, Body: s.Body, Data: data,
		CreatedAt: s.CreatedAt, Unread: unread, Seq: s.Seq,
	}, err
}

// ids returns what to mark, nil for all.
func (r *markRequest) ids() ([]string, error) {
	one, several := r.NotificationID != nil, r.NotificationIDs != nil
	switch {
	case r.All && !one && !several:
		return nil, nil
	case one && !r.All && !several:
		return []string{*r.NotificationID}, nil
	case several && !r.All && !one && len(r.NotificationIDs) > 0 && len(r.NotificationIDs) <= maxMarked:
		return r.NotificationIDs, nil
	}
	return nil, mux.NewError(mux.BadRequest, "notification:mark_read: either notificationId, or 1 to 1000 notificationIds, or all:true")
}

// announce puts a message to a user's sessions into their line; it is called in
// the transaction, and what it returns after the commit.
func (m *Module) announce(userID string, at position, message any) (deliver func()) {
	m.lines.Put(userID, at.version, event{at.version, message})
	return func() {
		m.lines.Send(userID, at.version, func(events []event) {
			for _, e := range events {
				m.take(userID, e)
			}
		})
		m.tellNodes(userID, at.version, message)
	}
}
