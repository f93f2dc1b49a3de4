// Package chat is rooms in which people write to each other: messages that last
// and are told in one order, who is there, who is typing, and how far everybody
// has read.
//
// A room needs no making; who may do what in it is up to tokens alone. What a
// mention leads to is the business of whoever made the module.
//
// Locks: under room.mu those of Module and of mux may be taken.
package chat

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"atrium/internal/auth"
	"atrium/internal/bus"
	"atrium/internal/db"
	"atrium/internal/inorder"
	"atrium/internal/limit"
	"atrium/internal/mux"
)

// Options of New.
type Options struct {
	DB  *db.DB   // required
	Mux *mux.Mux // required; New registers routes and hooks

	Bus *bus.Bus // to the other nodes; nil: there are none

	// Mentioned is called in the transaction that stores a message, for each user
	// whom it mentions and who has joined its room before. deliver is called after
	// the commit. nil: mentions mean nothing.
	Mentioned func(tx *db.Tx, userID string, by *Message) (deliver func(), err error)

	TypingFor time.Duration // after which typing ends by itself; default: 6 s

	Logger *slog.Logger // default: slog.Default()
}

// Module is safe for concurrent use.
type Module struct {
	opts  Options
	log   *slog.Logger
	lines inorder.Lines[live] // by room, at the seq

	telling sync.WaitGroup // goroutines that tell those in rooms
	closed  chan struct{}  // closed by Close

	mu    sync.Mutex
	rooms map[string]*room                  // those that somebody is in, or about to join; guarded by mu
	in    map[*mux.Session]map[string]*room // which rooms a session is in; guarded by mu
}

// New returns the module, plugged into o.Mux.
func New(o Options) *Module {
	if o.TypingFor == 0 {
		o.TypingFor = 6 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	m := &Module{
		opts: o, log: o.Logger,
		rooms:  make(map[string]*room),
		in:     make(map[*mux.Session]map[string]*room),
		closed: make(chan struct{}),
	}
	if o.DB.Shared() {
		m.telling.Go(m.watch)
	}
	o.Mux.Use(mux.Hooks{Refreshed: m.refreshed, Left: m.left})
	for name, r := range map[string]mux.Route{
		"chat:join":    {Class: limit.Join, Handle: m.join},
		"chat:leave":   {Class: limit.Join, Handle: m.leave},
		"chat:message": {Handle: m.send},
		"chat:edit":    {Handle: m.edit},
		"chat:delete":  {Handle: m.delete},
		"chat:typing":  {Handle: m.typing},
		"chat:read":    {Handle: m.read},
		"chat:history": {Handle: m.history},
		"chat:rooms":   {Handle: m.list},
	} {
		o.Mux.Handle(name, r)
	}
	return m
}

// Close waits until all that is committed has been told. It comes after the end
// of all sessions and calls.
func (m *Module) Close() {
	close(m.closed)
	m.telling.Wait()
}

// left is the end of a session.
func (m *Module) left(s *mux.Session) {
	for _, r := range m.roomsOf(s) {
		m.remove(r, s)
	}
}

// refreshed takes a session out of rooms that a new token does not grant any
// more, and says so.
func (m *Module) refreshed(s *mux.Session, _ *auth.Identity) (reconnect bool) {
	for _, r := range m.roomsOf(s) {
		switch s.Identity().Rooms.Level(r.id) {
		case auth.None:
			m.remove(r, s)
			reply := mux.Reply{Session: s}
			reply.Fail(mux.NewError(mux.Forbidden, "the new token does not grant the room "+r.id))
		case auth.Read:
			m.stopTyping(r, s)
		}
	}
	return false
}

// decode reads a message about a room, whose name it puts into *roomID, and
// checks that the sender may do as much there.
func decode(msg *mux.Message, v any, roomID *string, least auth.Level) error {
	if err := msg.Decode(v); err != nil {
		return err
	}
	if !mux.ValidName(*roomID) {
		return mux.NewError(mux.BadRequest, msg.Type+": roomId must have 1 to 256 bytes, without control characters")
	}
	switch level := msg.Session.Identity().Rooms.Level(*roomID); {
	case level >= least:
		return nil
	case level == auth.None:
		return mux.NewError(mux.Forbidden, "no access to this room")
	default:
		return mux.NewError(mux.Forbidden, "this room may only be read")
	}
}

// unavailable tells a client of a store that failed; coded errors pass.
func (m *Module) unavailable(err error) error {
	var coded *mux.Error
	if err == nil || errors.As(err, &coded) {
		return err
	}
	m.log.Error("chat cannot be used", "error", err)
	return mux.NewError(mux.Unavailable, "chat is not available at the moment")
}

func (m *Module) loading(fn func(tx *db.Tx) error) error {
	return m.unavailable(m.opts.DB.Read(context.Background(), fn))
}

func (m *Module) storing(fn func(tx *db.Tx) error) error {
	return m.unavailable(m.opts.DB.Write(context.Background(), fn))
}
