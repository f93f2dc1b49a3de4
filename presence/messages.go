package presence

import (
	"context"
	"maps"
	"time"

	"atrium/internal/mux"
)

type (
	usersRequest struct {
		UserIDs []string `json:"userIds"`
	}
	setRequest struct {
		Status Status `json:"status"`
	}
	usersAck struct {
		mux.Ack
		Users []State `json:"users"`
	}
	updateMessage struct {
		Type     string  `json:"type"`
		UserID   string  `json:"userId"`
		Status   Status  `json:"status"`
		LastSeen *string `json:"lastSeen"`
	}
)

// State is how a user is shown.
type State struct {
	UserID   string  `json:"userId"`
	Status   Status  `json:"status" enum:"online,away,busy,offline"`
	LastSeen *string `json:"lastSeen" doc:"RFC 3339; now for who is online, null for who was never seen"`
	Sessions int     `json:"sessions"`
}

const (
	maxUsersAtOnce   = 1000
	maxSubscriptions = 5000 // of one session
)

func topic(userID string) string { return "presence/" + userID }

func (m *Module) subscribe(msg *mux.Message) (mux.Acknowledgement, error) {
	ids, err := userIDs(msg)
	if err != nil {
		return nil, err
	}
	s := msg.Session
	if !m.add(s, ids) {
		return nil, mux.NewError(mux.BadRequest, msg.Type+": too many users for one session")
	}
	// First the subscription, then the look: what changes in between is told twice.
	for _, id := range ids {
		m.opts.Mux.Subscribe(s, topic(id))
	}
	now := m.look(context.Background(), ids)
	states, err := m.shown(context.Background(), now)
	if err != nil {
		return nil, err
	}
	m.whileSilent(ids, func() { // what is told later comes after the answer
		for _, i := range m.renew(now) {
			states[i] = now[i].shownNow()
		}
		msg.Reply().Ack(&usersAck{Users: states})
	})
	return mux.Later, nil
}

// add adds to whom a session has subscribed to, unless they are too many.
func (m *Module) add(s *mux.Session, ids []string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := maps.Clone(m.subs[s])
	if all == nil {
		all = make(subs)
	}
	for _, id := range ids {
		all[id] = struct{}{}
	}
	if len(all) > maxSubscriptions {
		return false
	}
	for id := range all {
		if _, before := m.subs[s][id]; !before {
			m.watch(id)
		}
	}
	m.subs[s] = all
	return true
}

func (m *Module) unsubscribe(msg *mux.Message) (mux.Acknowledgement, error) {
	ids, err := userIDs(msg)
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		m.opts.Mux.Unsubscribe(msg.Session, topic(id))
	}
	m.mu.Lock()
	for _, id := range ids {
		if _, ok := m.subs[msg.Session][id]; ok {
			delete(m.subs[msg.Session], id)
			m.unwatch(id)
		}
	}
	m.mu.Unlock()
	states, err := m.States(context.Background(), ids)
	return &usersAck{Users: states}, err
}

func userIDs(msg *mux.Message) ([]string, error) {
	var req usersRequest
	if err := msg.Decode(&req); err != nil {
		return nil, err
	}
	if len(req.UserIDs) == 0 || len(req.UserIDs) > maxUsersAtOnce {
		return nil, mux.NewError(mux.BadRequest, msg.Type+": userIds must have 1 to 1000 entries")
	}
	for _, id := range req.UserIDs {
		if !mux.ValidName(id) {
			return nil, mux.NewError(mux.BadRequest, msg.Type+": a user id has 1 to 256 bytes, without control characters")
		}
	}
	return req.UserIDs, nil
}

func (m *Module) set(msg *mux.Message) (mux.Acknowledgement, error) {
	var req setRequest
	if err := msg.Decode(&req); err != nil {
		return nil, err
	}
	switch req.Status {
	case Online, Away, Busy:
	default:
		return nil, mux.NewError(mux.BadRequest, msg.Type+": status must be online, away or busy")
	}
	m.users.set(msg.Session.Identity().UserID, req.Status)
	return nil, nil
}

// States returns how users are, in their order.
func (m *Module) States(ctx context.Context, userIDs []string) ([]State, error) {
	return m.shown(ctx, m.look(ctx, userIDs))
}

// shown returns states as clients see them.
func (m *Module) shown(ctx context.Context, now []state) ([]State, error) {
	states := make([]State, len(now))
	ids := make([]string, len(now))
	var absent []int // of whom the store knows when they were seen
	for i, st := range now {
		states[i], ids[i] = st.shown(), st.userID
		if states[i].LastSeen == nil {
			absent = append(absent, i)
		}
	}
	if len(absent) == 0 {
		return states, nil
	}
	seen, err := m.store.lastSeen(ctx, ids, absent)
	if err != nil {
		return nil, err
	}
	for k, i := range absent {
		if !seen[k].IsZero() {
			states[i].LastSeen = timestamp(seen[k])
		}
	}
	return states, nil
}

// shown leaves out LastSeen if the store knows it.
func (st *state) shown() State {
	s := State{UserID: st.userID, Status: st.status, Sessions: st.sessions}
	switch {
	case st.status != Offline:
		s.LastSeen = timestamp(time.Now())
	case !st.at.IsZero():
		s.LastSeen = timestamp(st.at)
	}
	return s
}

// shownNow is shown for a change of now.
func (st *state) shownNow() State {
	s := st.shown()
	if s.LastSeen == nil {
		s.LastSeen = timestamp(time.Now())
	}
	return s
}

func (st *state) update() *updateMessage {
	s := st.shownNow()
	return &updateMessage{Type: "presence:update", UserID: s.UserID, Status: s.Status, LastSeen: s.LastSeen}
}

func timestamp(t time.Time) *string {
	text := mux.Timestamp(t)
	return &text
}
