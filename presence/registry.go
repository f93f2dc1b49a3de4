package presence

import (
	"context"
	"time"

	"atrium/internal/mux"
)

// registry is where users' sessions and statuses are kept: in memory, or in Redis
// for all nodes. It tells Module.learn of every change, and fails nobody.
type registry interface {
	join(s *mux.Session)
	leave(s *mux.Session)
	set(userID string, status Status)
	// look returns how users are, in their order.
	look(ctx context.Context, userIDs []string) []state
	close()
}

// state is how a user is at a version of their status.
type state struct {
	userID   string
	status   Status
	version  int64     // rises with each change of status; 0: not known
	sessions int       // on all nodes
	at       time.Time // when somebody offline was seen last; zero: the store knows
	where    []session // the sessions, oldest first; only from look
	here     bool      // online here, whatever others know
	guessed  bool      // nobody could be asked
}

// session is one of a user's, as backends are shown it.
type session struct {
	Node        string `json:"node,omitempty" doc:"The node that has it; none if there is one node only"`
	SessionID   string `json:"sessionId"`
	SenderID    string `json:"senderId"`
	ConnectedAt string `json:"connectedAt" format:"date-time"`
}

func newSession(s *mux.Session, node string) session {
	return session{node, s.ID, s.SenderID, mux.Timestamp(s.Since)}
}
