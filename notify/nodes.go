package notify

import (
	"context"
	"database/sql"
	"sync"
	"time"

	"github.com/fxamacker/cbor/v2"

	"atrium/internal/bus"
	"atrium/internal/db"
	"atrium/internal/inorder"
	"atrium/internal/mux"
)

// A user's sessions may be on several nodes, and pushes come to any. Each node that
// has sessions of a user tells them what happens to the inbox in the order of its
// versions; what has not come over the bus is read from the database.

// noteKind is that of the mux's notes.
const noteKind = "inbox"

// note is what a node tells the others.
type note struct {
	Version int64  `cbor:"v"`
	Message []byte `cbor:"m"`
}

// inbox is that of a user with sessions on this node.
type inbox struct {
	userID   string
	sessions int // guarded by Module.mu

	mu      sync.Mutex
	events  inorder.Sequence[any] // as the sessions have been told; guarded by mu
	reading bool                  // the database is being read; guarded by mu
	waiting []event               // for the end of that; guarded by mu
}

// event is a message that is to be told at a version.
type event struct {
	version int64
	message any
}

// gapPatience is how long messages that are missing are waited for: those of two
// nodes may come in another order than they were stored in.
const gapPatience = 20 * time.Millisecond

// joined comes before the session's user can be told anything here.
func (m *Module) joined(s *mux.Session) {
	userID := s.Identity().UserID
	m.mu.Lock()
	b := m.inboxes[userID]
	first := b == nil
	if first {
		b = &inbox{userID: userID, reading: true}
		m.inboxes[userID] = b
	}
	b.sessions++
	m.mu.Unlock()
	if first {
		var at position
		m.read(b, func(tx *db.Tx) (err error) {
			at, err = positionOf(tx, userID)
			return err
		}, func() { b.events.Reset(at.version) })
	}
}

func (m *Module) left(s *mux.Session) {
	m.mu.Lock()
	defer m.mu.Unlock()
	userID := s.Identity().UserID
	if b := m.inboxes[userID]; b.sessions == 1 {
		delete(m.inboxes, userID)
	} else {
		b.sessions--
	}
}

// inbox returns that of a user, nil if nobody is here who wants to know.
func (m *Module) inbox(userID string) *inbox {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.inboxes[userID]
}

// take tells a user's sessions on this node of what is committed at a version.
func (m *Module) take(userID string, e event) {
	if !m.opts.DB.Shared() { // nothing is missing, ever
		m.opts.Mux.PublishHere(userID, e.message, nil)
		return
	}
	b := m.inbox(userID)
	if b == nil {
		return // who joins from now on reads it
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.reading {
		b.waiting = append(b.waiting, e)
		return
	}
	m.tellHere(b, b.events.Take(e.version, e.message))
	if b.events.Gap() {
		m.fill(b, gapPatience)
	}
}

func (m *Module) tellHere(b *inbox, messages []any) {
	for _, message := range messages {
		m.opts.Mux.PublishHere(b.userID, message, nil)
	}
}

// fill has what is stored and has not come told, after a while. It is called with
// b.mu held.
func (m *Module) fill(b *inbox, after time.Duration) {
	if b.reading {
		return
	}
	b.reading = true
	since := b.events.Told()
	m.running.Go(func() {
		time.Sleep(after)
		var came []Stored
		var read []string
		var at position
		m.read(b, func(tx *db.Tx) (err error) {
			came, read, at, err = missed(tx, b.userID, since)
			return err
		}, func() {
			m.tellHere(b, m.messagesOf(came, read, at))
			m.tellHere(b, b.events.Skip(at.version))
		})
	})
}

// messagesOf are those that tell of what has been missed.
func (m *Module) messagesOf(came []Stored, read []string, at position) (messages []any) {
	for i := range came {
		message, err := newMessageOf(&came[i], at.unread)
		if err != nil {
			m.log.Error("notification cannot be told", "id", came[i].ID, "error", err)
			continue
		}
		messages = append(messages, message)
	}
	if len(read) > 0 {
		messages = append(messages, &readMessage{Type: "notification:read", which: which{NotificationIDs: read}, Unread: at.unread})
	}
	return messages
}

// read reads the database for an inbox that says so, and then tells what has come
// meanwhile. A failure is mended by the next look.
func (m *Module) read(b *inbox, fn func(tx *db.Tx) error, done func()) {
	err := m.opts.DB.Read(context.Background(), fn)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reading = false
	if err == nil {
		done()
	} else {
		m.log.Error("inbox cannot be read; trying again", "user", b.userID, "error", err)
	}
	waiting := b.waiting
	b.waiting = nil
	for _, e := range waiting {
		if err != nil && b.events.Told() == 0 { // nor could it when the user came
			b.events.Reset(e.version - 1)
		}
		m.tellHere(b, b.events.Take(e.version, e.message))
	}
}

// noted takes in what another node has told.
func (m *Module) noted(userID string, data []byte) {
	var n note
	if cbor.Unmarshal(data, &n) == nil {
		m.take(userID, event{n.Version, mux.Raw(n.Message)})
	}
}

// missedSome is called when other nodes may have told something in vain.
func (m *Module) missedSome(userID string) {
	if b := m.inbox(userID); b != nil {
		b.mu.Lock()
		defer b.mu.Unlock()
		m.fill(b, 0)
	}
}

// watch looks after the inboxes until Close, if there may be other nodes.
func (m *Module) watch() { bus.Watch(m.closed, m.lookAround) }

func (m *Module) lookAround() {
	m.mu.Lock()
	ids := make([]string, 0, len(m.inboxes))
	for id := range m.inboxes {
		ids = append(ids, id)
	}
	m.mu.Unlock()
	versions := make(map[string]int64)
	err := m.opts.DB.Read(context.Background(), func(tx *db.Tx) error {
		return tx.EachIn(`SELECT user_id, version FROM inboxes WHERE user_id IN (%s)`, ids, func(rows *sql.Rows) error {
			var id string
			var version int64
			err := rows.Scan(&id, &version)
			versions[id] = version
			return err
		})
	})
	if err != nil {
		m.log.Error("inboxes cannot be read; trying again", "error", err)
		return
	}
	for id, version := range versions {
		if b := m.inbox(id); b != nil {
			b.mu.Lock()
			if version > b.events.Told() {
				m.fill(b, 0)
			}
			b.mu.Unlock()
		}
	}
}

// tellNodes tells the other nodes what is committed at a version.
func (m *Module) tellNodes(userID string, version int64, message any) {
	if m.opts.Bus != nil {
		m.opts.Mux.TellNodes(userID, noteKind, bus.Encode(note{version, mux.EncodeRaw(message)}))
	}
}
