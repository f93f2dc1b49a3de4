package presence

import (
	"context"
	"hash/maphash"
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
	m.mu.Lock()
	if m.subs[s] == nil {
		m.subs[s] = make(subs)
	}
	for _, id := range ids {
		m.subs[s][id] = struct{}{}
	}
	tooMany := len(m.subs[s]) > maxSubscriptions
	if tooMany {
		for _, id := range ids {
			delete(m.subs[s], id)
		}
	}
	m.mu.Unlock()
	if tooMany {
		return nil, mux.NewError(mux.BadRequest, msg.Type+": too many users for one session")
	}
	// First the subscription, then the look: what changes in between is told twice.
	for _, id := range ids {
		m.opts.Mux.Subscribe(s, topic(id))
	}
	states, err := m.States(context.Background(), ids)
	return &usersAck{Users: states}, err
}

func (m *Module) unsubscribe(msg *mux.Message) (mux.Acknowledgement, error) {
	ids, err := userIDs(msg)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	for _, id := range ids {
		delete(m.subs[msg.Session], id)
	}
	m.mu.Unlock()
	for _, id := range ids {
		m.opts.Mux.Unsubscribe(msg.Session, topic(id))
	}
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
	id := msg.Session.Identity().UserID
	m.mu.Lock()
	u := m.users[id]
	news := u != nil && u.status != req.Status
	if news {
		u.status = req.Status
	}
	m.mu.Unlock()
	if news {
		m.tell(id)
	}
	return nil, nil
}

var seed = maphash.MakeSeed()

// tell tells a user's subscribers how the user is now. Whoever has changed that
// calls it afterwards: the last one tells the newest.
func (m *Module) tell(userID string) {
	lock := &m.telling[maphash.String(seed, userID)%uint64(len(m.telling))]
	lock.Lock()
	defer lock.Unlock()
	m.mu.Lock()
	s, _ := m.state(userID, time.Now())
	m.mu.Unlock()
	if s.LastSeen == nil { // it has just gone
		s.LastSeen = timestamp(time.Now())
	}
	m.opts.Mux.PublishLatest(topic(userID), "", &updateMessage{
		Type: "presence:update", UserID: userID, Status: s.Status, LastSeen: s.LastSeen,
	}, nil)
}

// state returns how a user is, as far as is known in memory. It is called with
// mu held, and reports false for who is not online.
func (m *Module) state(userID string, now time.Time) (State, bool) {
	u := m.users[userID]
	if u == nil {
		return State{UserID: userID, Status: Offline}, false
	}
	return State{userID, u.status, timestamp(now), u.sessions}, true
}

// States returns how users are, in their order.
func (m *Module) States(ctx context.Context, userIDs []string) ([]State, error) {
	states := make([]State, len(userIDs))
	var absent []int
	now := time.Now()
	m.mu.Lock()
	for i, id := range userIDs {
		var online bool
		if states[i], online = m.state(id, now); !online {
			absent = append(absent, i)
		}
	}
	m.mu.Unlock()
	if len(absent) == 0 {
		return states, nil
	}
	seen, err := m.store.lastSeen(ctx, userIDs, absent)
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

func timestamp(t time.Time) *string {
	text := mux.Timestamp(t)
	return &text
}
