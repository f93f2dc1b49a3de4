package collab

import (
	"bytes"
	"math"
	"sync"
	"sync/atomic"

	"atrium/collab/change"
	"atrium/collab/docsync"
	"atrium/internal/mux"
)

// seat is a session's place in a room, as far as the session's reader needs it:
// so that what changes nothing does not have to go to the room.
type seat struct {
	room    *room
	pending atomic.Int32 // events on their way to the room
	among   atomic.Bool  // the session is among the document's users
	top     atomic.Int64 // of the newest heads that it told; see docsync.Peer.Settled
	gone    atomic.Bool  // it has been given up
	syncs   bool         // its reader has posted sync messages; owned by the reader
}

// unsettled is a top that no answer reaches.
const unsettled = math.MaxInt64

func newSeat(r *room) *seat {
	st := &seat{room: r}
	st.top.Store(unsettled)
	return st
}

// mayMove reports whether the session may have a cursor: it is among the users,
// or perhaps about to be.
func (st *seat) mayMove() bool { return st.among.Load() || st.pending.Load() > 0 }

// seat returns the session's place in a room, nil if it has none. It allocates
// nothing.
func (m *Module) seat(s *mux.Session, documentID []byte) *seat {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.sessions[s][string(documentID)]
}

// usual is the seat that a session's reader has used last.
type usual struct {
	documentID string
	seat       *seat
}

// usualSeat is seat, quicker for sessions that have one document open.
func (m *Module) usualSeat(s *mux.Session, documentID []byte) *seat {
	u, _ := s.Memo.(*usual)
	if u != nil && u.documentID == string(documentID) && !u.seat.gone.Load() {
		return u.seat
	}
	s.Memo = nil
	st := m.seat(s, documentID)
	if st != nil {
		s.Memo = &usual{st.room.documentID, st}
	}
	return st
}

// answers reports whether a sync message only says that its sender has what it
// was sent a moment ago. Of all messages these are the most: one for every
// session and change. They end here.
func (m *Module) answers(msg *mux.Message) bool {
	s := msg.Session
	if !msg.ID.IsZero() || string(msg.Text("senderId")) != s.SenderID {
		return false
	}
	heads, ok := docsync.ParseAnswer(msg.Bytes("data"))
	if !ok || len(heads) == 0 {
		return false
	}
	st := m.usualSeat(s, msg.Text("documentId"))
	// While events are on their way, the room may be about to change its mind.
	if st == nil || st.pending.Load() > 0 {
		return false
	}
	top, ok := st.room.recent.top(heads)
	if !ok || top < st.top.Load() {
		return false
	}
	st.top.Store(top)
	return true
}

// recent are the last few heads of a document's log. It is safe for concurrent
// use.
type recent struct {
	newest atomic.Pointer[past] // nil: none

	mu   sync.Mutex
	last [32]*past // guarded by mu
	n    int       // how many there have been; guarded by mu
}

// past is what the heads were at a time.
type past struct {
	heads []byte // one hash after the other, as in messages
	top   int64  // position of the newest change
}

const maxRecentHeads = 64

// add says what the heads are since there are changes changes in the log.
func (rc *recent) add(heads []change.Hash, changes int) {
	if len(heads) > maxRecentHeads { // what has so many is not answered in haste
		return
	}
	p := &past{make([]byte, 0, len(heads)*len(change.Hash{})), int64(changes - 1)} // the newest change is always a head
	for i := range heads {
		p.heads = append(p.heads, heads[i][:]...)
	}
	rc.mu.Lock()
	defer rc.mu.Unlock()
	rc.last[rc.n%len(rc.last)] = p
	rc.n++
	rc.newest.Store(p)
}

// top returns the position of the newest change of these heads. Nearly all who
// ask have the newest.
func (rc *recent) top(heads []byte) (int64, bool) {
	if p := rc.newest.Load(); p != nil && bytes.Equal(p.heads, heads) {
		return p.top, true
	}
	rc.mu.Lock()
	defer rc.mu.Unlock()
	for i := rc.n - 1; i >= max(0, rc.n-len(rc.last)); i-- {
		if p := rc.last[i%len(rc.last)]; bytes.Equal(p.heads, heads) {
			return p.top, true
		}
	}
	return 0, false
}
