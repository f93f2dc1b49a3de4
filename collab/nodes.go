package collab

import (
	"slices"
	"time"

	"github.com/fxamacker/cbor/v2"
	"golang.org/x/time/rate"

	"atrium/internal/bus"
	"atrium/internal/mux"
	"atrium/internal/roster"
)

// A document is open on as many nodes as it is wanted on. They tell each other, in
// the document's topic of the bus, of changes that are committed, of who is there,
// and of what is not kept. The database is the truth: whoever doubts reads that.

func busTopic(documentID string) string { return "document/" + documentID }

// note is what a node tells the others. One of its fields is there, or two.
type note struct {
	Changes *changesNote  `cbor:"c,omitempty"`
	Erased  bool          `cbor:"e,omitempty"` // the document has been deleted
	Shout   []byte        `cbor:"s,omitempty"` // an ephemeral message
	Cursors []cursorNote  `cbor:"m,omitempty"` // those that have moved
	User    *roster.User  `cbor:"u,omitempty"` // how many sessions of one are here now
	Users   []roster.User `cbor:"a,omitempty"` // all who are here, if All
	All     bool          `cbor:"w,omitempty"`
	Hello   bool          `cbor:"h,omitempty"` // the others are to tell the same of theirs
}

// changesNote is an append to the log.
type changesNote struct {
	First   int64       `cbor:"v"` // version of the first entry
	Last    int64       `cbor:"l"`
	Entries []entryNote `cbor:"e,omitempty"` // none: they are too long, and in the database
}

type entryNote struct {
	UserID string `cbor:"u"`
	Chunks []byte `cbor:"c"`
}

// cursorNote is where a session is.
type cursorNote struct {
	UserID    string      `cbor:"u"`
	Username  string      `cbor:"n"`
	SessionID string      `cbor:"s"`
	X         *mux.Number `cbor:"x,omitempty"`
	Y         *mux.Number `cbor:"y,omitempty"`
	Cursor    *mux.Value  `cbor:"c,omitempty"`
	Gone      bool        `cbor:"g,omitempty"` // it has no cursor any more
}

// maxNote is how long changes may be that are told over the bus.
const maxNote = 256 << 10

// listen has the room hear the other nodes, until stop is called.
func (r *room) listen() (stop func()) {
	return r.module.opts.Bus.Listen(busTopic(r.documentID), bus.Listener{
		Message: func(node string, data []byte) { r.mail.offer(noted{node, data}) },
		Missed:  func() { r.mail.put(reunited{}) },
	})
}

// tellNodes tells the other nodes.
func (r *room) tellNodes(n *note) {
	if b := r.module.opts.Bus; b != nil {
		b.Publish(busTopic(r.documentID), bus.Encode(n))
	}
}

// tellAppended tells them of entries that are committed, the first with a version.
func (r *room) tellAppended(first int64, entries []entry) {
	if r.module.opts.Bus == nil {
		return
	}
	n := &changesNote{First: first, Last: first + int64(len(entries)) - 1}
	size := 0
	for _, e := range entries {
		size += len(e.chunks)
		n.Entries = append(n.Entries, entryNote{e.userID, e.chunks})
	}
	if size > maxNote {
		n.Entries = nil
	}
	r.tellNodes(&note{Changes: n})
}

// tellHere tells them who is here, and on the first occasion where.
func (r *room) tellHere(hello, cursors bool) {
	n := &note{All: true, Hello: hello}
	for _, u := range r.here {
		n.Users = append(n.Users, *u)
	}
	if cursors {
		r.cursors.mu.Lock()
		n.Cursors = r.movedHere(0)
		r.cursors.mu.Unlock()
	}
	r.tellNodes(n)
}

// hear takes in what another node has told.
func (r *room) hear(e noted) {
	var n note
	if cbor.Unmarshal(e.data, &n) != nil {
		return // of an atrium that knows more
	}
	if n.Changes != nil {
		r.append(n.Changes)
	}
	if n.Erased {
		r.look()
	}
	if n.Shout != nil {
		r.module.opts.Mux.Publish(r.topic, mux.Raw(n.Shout), nil)
	}
	now := time.Now()
	if n.All {
		r.meet(r.others.Replace(e.node, n.Users, now))
	}
	if n.User != nil {
		r.meet(r.others.Set(e.node, *n.User, now))
	}
	r.moveOthers(e.node, n.Cursors)
	if n.Hello {
		r.tellHere(false, true)
	}
}

// append adds what another node has appended to the log.
func (r *room) append(n *changesNote) {
	if r.gone || n.Last <= r.version {
		return
	}
	if n.First != r.version+1 || len(n.Entries) == 0 {
		r.look()
		return
	}
	var runs []run
	for _, e := range n.Entries {
		from := r.doc.Len()
		refused, err := r.doc.Extend(e.Chunks)
		r.refuse(refused, nil)
		if err != nil {
			r.log.Error("another node's changes cannot be read", "error", err)
			r.look()
			return
		}
		runs = append(runs, run{from: from, to: r.doc.Len(), userID: e.UserID})
		r.bytes += len(e.Chunks)
	}
	r.setVersion(n.Last)
	r.hasGrown()
	r.runs = runs
}

// look adds what the database has and the room does not. It reports whether that
// was anything.
func (r *room) look() (grown bool) {
	if r.gone || !r.module.opts.DB.Shared() {
		return false
	}
	before := r.version
	if err := r.extend(); err != nil {
		r.log.Warn("document cannot be read; trying again", "error", err)
	}
	return r.version > before
}

// How often a room looks in vain because of what its peers say.
const (
	vainBurst     = 20
	vainPerSecond = 5
)

// lookFor is look because of a peer that names what is not here.
func (r *room) lookFor() (grown bool) {
	if r.vain == nil {
		r.vain = rate.NewLimiter(vainPerSecond, vainBurst)
	}
	if r.vain.Tokens() < 1 {
		return false
	}
	if r.look() {
		return true
	}
	r.vain.Allow()
	return false
}

// meet counts who is on other nodes among the users.
func (r *room) meet(changes []roster.Change) {
	for _, c := range changes {
		for range c.By {
			r.countIn(c.User, nil)
		}
		for range -c.By {
			r.countOut(c.ID, c.Name, nil)
		}
		if c.Sessions == 0 {
			r.forgetOthers(c.Node, c.ID)
		}
	}
}

// countHere counts a session of this node, or one fewer, and tells the others.
func (r *room) countHere(u roster.User, by int) {
	if r.module.opts.Bus == nil {
		return
	}
	h := r.here[u.ID]
	if h == nil {
		h = new(roster.User)
		r.here[u.ID] = h
	}
	u.Sessions = h.Sessions + by
	if *h = u; u.Sessions == 0 {
		delete(r.here, u.ID)
	}
	r.tellNodes(&note{User: &u})
}

// moveOthers takes in the cursors of another node.
func (r *room) moveOthers(node string, moved []cursorNote) {
	if len(moved) == 0 {
		return
	}
	c := &r.cursors
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range moved {
		who := whose{node: node, sessionID: n.SessionID}
		u := &cursorUpdate{UserID: n.UserID, Username: n.Username, SessionID: n.SessionID, node: node}
		if n.Gone {
			c.set.Leave(who, u)
			continue
		}
		u.position, u.here = position{n.X, n.Y, n.Cursor}, true
		c.set.Move(who, u)
	}
	r.tickAt = r.pace.Next(time.Now())
}

// forgetOthers drops the cursors of a user on another node.
func (r *room) forgetOthers(node, userID string) {
	var gone []cursorNote
	r.cursors.mu.Lock()
	for _, u := range r.cursors.set.Since(0) {
		if u.node == node && u.UserID == userID && u.here {
			gone = append(gone, cursorNote{UserID: userID, Username: u.Username, SessionID: u.SessionID, Gone: true})
		}
	}
	r.cursors.mu.Unlock()
	r.moveOthers(node, gone)
}

// movedHere returns the cursors of this node that have moved after a version. It
// is called with cursors.mu held.
func (r *room) movedHere(version uint64) (moved []cursorNote) {
	for _, u := range r.cursors.set.Since(version) {
		if u.node != "" || u.session != nil && !r.isAmong(u.session) {
			continue
		}
		moved = append(moved, cursorNote{u.UserID, u.Username, u.SessionID, u.X, u.Y, u.Cursor, !u.here})
	}
	slices.Reverse(moved) // the newest last
	return moved
}

// announce tells the other nodes again what they may have missed, and forgets
// those that are silent.
func (r *room) announce() {
	r.meet(r.others.Expire(time.Now()))
	if len(r.here) > 0 || r.announced {
		r.tellHere(false, false)
	}
	r.announced = len(r.here) > 0
}
