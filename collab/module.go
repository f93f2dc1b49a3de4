// Package collab is the documents: one actor per open document, in which every
// change is checked, committed and then told, and the messages of
// automerge-repo that lead there.
//
// It never materialises a document, it tells nobody of what is not on disk, and
// it keeps no queue for a slow reader: only a position in the log.
package collab

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"atrium/collab/change"
	"atrium/collab/materialize"
	"atrium/internal/auth"
	"atrium/internal/bus"
	"atrium/internal/db"
	"atrium/internal/limit"
	"atrium/internal/mux"
)

// Options of New.
type Options struct {
	DB       *db.DB   // required
	Mux      *mux.Mux // required; New registers routes and hooks
	SenderID string   // the server's, as the mux has it

	Bus *bus.Bus // to the other nodes; nil: there are none

	UnavailableAfter time.Duration // before an unknown document is said to be so; default: 300 ms
	IdleAfter        time.Duration // before a document that nobody has open leaves memory; default: 60 s
	GiveUpAfter      time.Duration // of a failing store, before authors are sent away; default: 30 s

	// Contents gives documents their contents; nil: there are no snapshots, and
	// HTTP calls that need contents fail.
	Contents *materialize.Pool

	// Changed is called in every transaction that makes, changes or deletes a
	// document, and what it returns after the commit, and not at all without one.
	// Its error undoes the transaction. Everybody waits for it, so it must not wait
	// for anything but tx. nil: nobody wants to know.
	Changed func(tx *db.Tx, c Change) (committed func(), err error)

	// Places returns for each of some documents the nodes on which it is open at the
	// moment, and how many nodes have not said so; nil: there is this one alone.
	Places func(ctx context.Context, documentIDs []string) (places [][]Place, silent int)

	Logger *slog.Logger // default: slog.Default()
}

// Change is what has become of a document.
type Change struct {
	DocumentID string
	UserIDs    []string      // who did it, each once
	Heads      []change.Hash // as of then; none if it is deleted
	At         time.Time

	Created, Deleted bool // neither: changed
}

// Module is safe for concurrent use.
type Module struct {
	opts  Options
	store store
	log   *slog.Logger
	stats Stats

	mu       sync.Mutex
	rooms    map[string]*room                  // by document id; guarded by mu
	sessions map[*mux.Session]map[string]*seat // their places, by document id; guarded by mu
	closing  bool                              // guarded by mu
	closed   chan struct{}                     // closed by Close
	running  sync.WaitGroup                    // rooms, and what they do in the background
	chore    chan struct{}                     // holds a token while a chore of any room is done
}

// Stats counts what the documents have seen.
type Stats struct {
	Refused   atomic.Int64 // changes that failed a check
	Abandoned atomic.Int64 // batches given up because the store failed
	Open      atomic.Int64 // documents in memory
}

// New returns the module, plugged into o.Mux.
func New(o Options) *Module {
	setDefault(&o.UnavailableAfter, 300*time.Millisecond)
	setDefault(&o.IdleAfter, time.Minute)
	setDefault(&o.GiveUpAfter, 30*time.Second)
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	m := &Module{
		opts: o, store: store{o.DB, o.Changed}, log: o.Logger,
		rooms:    make(map[string]*room),
		sessions: make(map[*mux.Session]map[string]*seat),
		chore:    make(chan struct{}, 1), closed: make(chan struct{}),
	}
	if o.DB.Shared() {
		m.running.Go(m.watch)
	}
	m.routes()
	o.Mux.Use(mux.Hooks{Refreshed: m.refreshed, Left: m.left})
	return m
}

func setDefault(v *time.Duration, def time.Duration) {
	if *v == 0 {
		*v = def
	}
}

// Stats returns the counters.
func (m *Module) Stats() *Stats { return &m.stats }

// post puts an event into a document's mailbox, opening the document if need
// be, and makes the session one of the room's.
func (m *Module) post(s *mux.Session, documentID string, e event) error {
	m.mu.Lock()
	if m.closing {
		m.mu.Unlock()
		return mux.NewError(mux.Unavailable, "the server is going away")
	}
	if _, open := m.sessions[s][documentID]; !open && len(m.sessions[s]) >= maxOpen {
		m.mu.Unlock()
		return mux.NewError(mux.BadRequest, "too many documents open in one session")
	}
	r := m.room(documentID)
	if m.sessions[s] == nil {
		m.sessions[s] = make(map[string]*seat)
	}
	st := m.sessions[s][documentID]
	if st == nil || st.room != r {
		st = newSeat(r)
		m.sessions[s][documentID] = st
	}
	if _, ok := e.(received); ok {
		st.syncs = true
	}
	st.pending.Add(1)
	r.mail.put(posted{e, st})
	m.mu.Unlock()
	if !r.mail.waitForSpace(mailboxPatience) {
		s.Refuse(mux.CloseGoingAway, mux.NewError(mux.Unavailable, "the document cannot take changes at the moment"))
	}
	return nil
}

// room returns a document's room, which it opens if need be. It is called with mu
// held.
func (m *Module) room(documentID string) *room {
	r := m.rooms[documentID]
	if r == nil {
		r = newRoom(m, documentID)
		m.rooms[documentID] = r
		m.stats.Open.Add(1)
		m.running.Go(r.run)
	}
	return r
}

// ask has something done in a document's room, unless ctx is done before the room
// is ready.
func (m *Module) ask(ctx context.Context, documentID string, do func(*room)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closing {
		return mux.NewError(mux.Unavailable, "the server is going away")
	}
	m.room(documentID).mail.put(asked{ctx, do})
	return nil
}

const (
	// mailboxPatience is how long a session's reading waits for a document
	// that does not keep up.
	mailboxPatience = 10 * time.Second
	maxOpen         = 10_000 // documents of one session
)

// isClosing reports whether Close has been called.
func (m *Module) isClosing() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.closing
}

// left is the end of a session.
func (m *Module) left(s *mux.Session) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, st := range m.sessions[s] {
		st.room.mail.put(leaving{s})
	}
	delete(m.sessions, s)
}

// refreshed acts on changed grants of the documents that a session has open.
func (m *Module) refreshed(s *mux.Session, before *auth.Identity) (reconnect bool) {
	now := s.Identity()
	var lost []string
	m.mu.Lock()
	for id, st := range m.sessions[s] {
		r := st.room
		switch had, has := before.Docs.Level(id), now.Docs.Level(id); {
		case has == had:
		case has == auth.None:
			delete(m.sessions[s], id)
			st.gone.Store(true)
			m.opts.Mux.Unsubscribe(s, r.topic)
			m.opts.Mux.Unsubscribe(s, r.events)
			r.mail.put(leaving{s})
			lost = append(lost, id)
		case has > had && st.syncs: // stock clients send again what they kept only on a new connection
			reconnect = true
		default:
			r.mail.put(regranted{s})
		}
	}
	m.mu.Unlock()
	for _, id := range lost {
		s.Send(mux.NewFrame(m.unavailable(id)))
	}
	return reconnect
}

// vacate gives up a session's place, unless it has asked for something since.
func (m *Module) vacate(s *mux.Session, st *seat) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if id := st.room.documentID; m.sessions[s][id] == st && st.pending.Load() == 0 {
		delete(m.sessions[s], id)
		st.gone.Store(true)
	}
}

// remove ends an idle room, unless something has come for it meanwhile.
func (m *Module) remove(r *room) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !r.mail.empty() {
		return false
	}
	delete(m.rooms, r.documentID)
	m.stats.Open.Add(-1)
	return true
}

// Close commits what has been accepted and ends all rooms. It waits until they
// are done or ctx is.
func (m *Module) Close(ctx context.Context) {
	m.mu.Lock()
	m.closing = true
	close(m.closed)
	for _, r := range m.rooms {
		r.mail.put(stopping{})
	}
	m.mu.Unlock()
	done := make(chan struct{})
	go func() {
		m.running.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
}

func (m *Module) routes() {
	h := m.opts.Mux.Handle
	syncRoute := mux.Route{Class: limit.Sync, MaxBytes: mux.MaxFrame, Handle: m.sync}
	h("sync", syncRoute)
	h("request", syncRoute)
	h("ephemeral", mux.Route{Class: limit.Ephemeral, MaxBytes: mux.MaxMessage, Handle: m.ephemeral})
	h("collab:join_document", mux.Route{Class: limit.Join, Handle: m.join})
	h("collab:leave_document", mux.Route{Class: limit.Join, Handle: m.leave})
	h("collab:edit", mux.Route{Class: limit.Sync, MaxBytes: mux.MaxFrame, Handle: m.edit})
	h("collab:cursor_move", mux.Route{Class: limit.Cursor, Handle: m.move})
	// Told by stock clients, and nothing to a server that keeps what it has.
	ignored := mux.Route{Class: limit.Sync, Handle: func(*mux.Message) (mux.Acknowledgement, error) { return nil, nil }}
	h("doc-unavailable", ignored)
	h("remote-subscription-change", ignored)
	h("remote-heads-changed", ignored)
}
