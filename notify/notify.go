// Package notify is every user's inbox: what backends and other modules want
// somebody to know, kept until it is read and after, and told to all of the
// user's sessions.
//
// It asks nobody whether a notification is welcome, and it shows an inbox to no
// one but its user and to backends.
package notify

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"

	"atrium/internal/bus"
	"atrium/internal/db"
	"atrium/internal/inorder"
	"atrium/internal/limit"
	"atrium/internal/mux"
)

// Options of New.
type Options struct {
	DB     *db.DB       // required
	Mux    *mux.Mux     // required; New registers routes and hooks
	Bus    *bus.Bus     // to the other nodes; nil: there are none
	Logger *slog.Logger // default: slog.Default()
}

// Module is safe for concurrent use.
type Module struct {
	opts  Options
	log   *slog.Logger
	lines inorder.Lines[event] // messages to a user's sessions, by user id and version of the inbox

	running sync.WaitGroup // what goes on in the background
	closed  chan struct{}  // closed by Close

	mu      sync.Mutex
	inboxes map[string]*inbox // by user id; guarded by mu
}

// Notification is one for one user.
type Notification struct {
	UserID string
	Kind   string // for programs: 1 to 64 bytes without control characters
	Title  string // for people: 1 to 256 bytes
	Body   string // up to 4 KiB
	Data   mux.Value
}

// Bounds of a notification, in bytes.
const (
	maxKind  = 64
	maxTitle = 256
	maxBody  = 4 << 10
	maxData  = 16 << 10 // as JSON
)

// New returns the module, plugged into o.Mux.
func New(o Options) *Module {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	m := &Module{opts: o, log: o.Logger, closed: make(chan struct{}), inboxes: make(map[string]*inbox)}
	if o.DB.Shared() {
		o.Mux.Use(mux.Hooks{Joined: m.joined, Left: m.left})
		o.Mux.HandleUser(noteKind, mux.UserRoute{Message: m.noted, Missed: m.missedSome})
		m.running.Go(m.watch)
	}
	o.Mux.Handle("notification:list", mux.Route{Class: limit.Control, Handle: m.list})
	o.Mux.Handle("notification:mark_read", mux.Route{Class: limit.Control, Handle: m.markRead})
	return m
}

// Add stores a notification in the caller's transaction. deliver is to be called
// after the commit, and not at all without one: it tells all sessions of the
// user, in the order of the inbox. Its error for what is out of bounds is a
// *mux.Error.
func (m *Module) Add(tx *db.Tx, n Notification) (deliver func(), err error) {
	_, deliver, err = m.add(tx, n)
	return deliver, err
}

// add also returns what has been stored.
func (m *Module) add(tx *db.Tx, n Notification) (*Stored, func(), error) {
	data, err := n.check()
	if err != nil {
		return nil, nil, err
	}
	s := &Stored{
		ID: uuid.Must(uuid.NewV7()).String(), Kind: n.Kind, Title: n.Title, Body: n.Body,
		Data: data, created: time.Now(),
	}
	s.CreatedAt = mux.Timestamp(s.created)
	at, err := insert(tx, n.UserID, s)
	if err != nil {
		return nil, nil, err
	}
	message, err := newMessageOf(s, at.unread)
	if err != nil {
		return nil, nil, err
	}
	return s, m.announce(n.UserID, at, message), nil
}

// Close waits for what goes on in the background. It comes after the end of all
// sessions.
func (m *Module) Close() {
	close(m.closed)
	m.running.Wait()
}

// check returns the data as JSON.
func (n *Notification) check() (data json.RawMessage, err error) {
	switch {
	case !mux.ValidName(n.UserID):
		return nil, mux.NewError(mux.BadRequest, "userId must have 1 to 256 bytes, without control characters")
	case !mux.ValidName(n.Kind) || len(n.Kind) > maxKind:
		return nil, mux.NewError(mux.BadRequest, "kind must have 1 to 64 bytes, without control characters")
	case n.Title == "" || !mux.ValidText(n.Title, maxTitle):
		return nil, mux.NewError(mux.BadRequest, "title must have 1 to 256 bytes")
	case !mux.ValidText(n.Body, maxBody):
		return nil, mux.NewError(mux.BadRequest, "body must have at most 4 KiB")
	}
	if data, err = json.Marshal(n.Data); err != nil {
		return nil, mux.NewError(mux.BadRequest, "data must be a JSON value")
	}
	if len(data) > maxData {
		return nil, mux.NewError(mux.BadRequest, "data must have at most 16 KiB")
	}
	return data, nil
}

// unavailable tells a client of a store that failed; coded errors pass.
func (m *Module) unavailable(err error) error {
	var coded *mux.Error
	if err == nil || errors.As(err, &coded) {
		return err
	}
	m.log.Error("inbox cannot be used", "error", err)
	return mux.NewError(mux.Unavailable, "notifications are not available at the moment")
}

func (m *Module) write(fn func(tx *db.Tx) error) error {
	return m.unavailable(m.opts.DB.Write(context.Background(), fn))
}
