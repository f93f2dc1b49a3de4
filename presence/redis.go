package presence

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"atrium/internal/bus"
	"atrium/internal/mux"
)

// cluster is the registry of all nodes, in Redis. Each session is there until it
// expires unless its node says again that it is there. A script makes each change,
// and publishes it: what is told of a user is in the order of their versions.
type cluster struct {
	bus    *bus.Bus
	client *redis.Client
	prefix string // of keys
	node   string // as backends are shown it
	pace   pace
	grace  time.Duration
	news   func(state)
	gone   func(lastSeen map[string]time.Time) // takes those whose sessions have expired here
	log    *slog.Logger

	ctx     context.Context // done when close has been called
	cancel  context.CancelFunc
	running sync.WaitGroup
	stop    func()        // ends listening
	wake    chan struct{} // holds a token when run has something to do
	since   string        // when Redis began to have what it has, as of the last sweep; owned by run
	next    time.Time     // of refreshing; owned by run

	mu    sync.Mutex
	here  map[string]*resident // users with sessions on this node; guarded by mu
	queue []*operation         // what Redis is still to be told; guarded by mu
	stale bool                 // Redis may lack sessions of this node; guarded by mu
}

// resident is a user with sessions on this node.
type resident struct {
	status   Status    // as far as is known here
	sessions []session // on this node, oldest first
}

// pace is how often things are done; all but lifetime vary by a fifth.
type pace struct {
	lifetime time.Duration // of a session in Redis
	refresh  time.Duration // of this node's sessions
	sweep    time.Duration // of all nodes' sessions that have expired
	reread   time.Duration // of users subscribed to
}

// Bounds of what is asked of Redis at once.
const (
	batch     = 200
	patience  = time.Second            // for an answer
	impatient = 200 * time.Millisecond // the same while Redis is away
)

func newCluster(o Options, p pace, news func(state), gone func(map[string]time.Time)) *cluster {
	r := &cluster{
		bus: o.Bus, node: bus.NodeName(o.Bus.Node()), pace: p, grace: o.Grace, news: news, gone: gone, log: o.Logger,
		wake: make(chan struct{}, 1), here: make(map[string]*resident),
	}
	r.client, r.prefix = o.Bus.Redis()
	r.ctx, r.cancel = context.WithCancel(context.Background())
	r.stop = o.Bus.Listen("presence", bus.Listener{ // nobody publishes there
		Message: func(string, []byte) {},
		Missed:  r.suspect,
	})
	r.running.Go(r.run)
	return r
}

func (r *cluster) close() {
	r.stop()
	r.cancel()
	r.running.Wait()
}

// suspect has all sessions of this node told to Redis again.
func (r *cluster) suspect() {
	r.mu.Lock()
	r.stale = true
	r.mu.Unlock()
	r.rouse()
}

func (r *cluster) rouse() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

func (r *cluster) join(s *mux.Session) {
	id, x := s.Identity().UserID, newSession(s, r.node)
	r.mu.Lock()
	u := r.here[id]
	if u == nil {
		u = &resident{status: Online}
		r.here[id] = u
	}
	u.sessions = append(slices.Clip(u.sessions), x)
	// Who has come from elsewhere is as they were there: the status is for who was offline.
	op := r.enqueue(joining(id, x, Online))
	r.mu.Unlock()
	r.wait(op)
}

func (r *cluster) leave(s *mux.Session) {
	id, kind := s.Identity().UserID, opDrop
	if s.SaidGoodbye() {
		kind = opLeave
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if u := r.here[id]; u != nil {
		u.sessions = slices.DeleteFunc(slices.Clone(u.sessions), func(x session) bool { return x.SessionID == s.ID })
		if len(u.sessions) == 0 {
			delete(r.here, id)
		}
	}
	r.enqueue(&operation{Kind: kind, UserID: id, SessionID: s.ID})
}

func (r *cluster) set(id string, status Status) {
	r.mu.Lock()
	if u := r.here[id]; u != nil {
		u.status = status
	}
	op := r.enqueue(&operation{Kind: opSet, UserID: id, Status: status})
	r.mu.Unlock()
	r.wait(op)
}

// wait waits a moment until Redis knows. If it does not, those here are told at
// least.
func (r *cluster) wait(op *operation) {
	timer := time.NewTimer(r.patience())
	defer timer.Stop()
	select {
	case ok := <-op.done:
		if ok {
			return
		}
	case <-timer.C:
	}
	r.mu.Lock()
	st := state{userID: op.UserID}
	known := r.overlay(&st)
	r.mu.Unlock()
	if known {
		r.news(st)
	}
}

func (r *cluster) patience() time.Duration {
	if r.bus.Connected() {
		return patience
	}
	return impatient
}

// overlay makes a state that of a user who is here. It is called with mu held, and
// reports false for who is not.
func (r *cluster) overlay(st *state) bool {
	u := r.here[st.userID]
	if u == nil {
		return false
	}
	*st = state{userID: st.userID, status: u.status, sessions: len(u.sessions), where: u.sessions, here: true}
	return true
}

func (r *cluster) userKey(id string) string { return r.prefix + "presence:user:" + id }

func (r *cluster) look(ctx context.Context, userIDs []string) []state {
	states := make([]state, 0, len(userIDs))
	var err error
	for ids := range slices.Chunk(userIDs, batch) {
		var answers []*redis.MapStringStringCmd
		if err == nil { // or none of them is asked for any more
			answers, err = r.ask(ctx, ids)
		}
		for i, id := range ids {
			st := state{userID: id, status: Offline, guessed: err != nil}
			if err == nil {
				st.read(answers[i].Val())
			}
			states = append(states, st)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range states {
		if states[i].status == Offline {
			r.overlay(&states[i])
		}
	}
	return states
}

func (r *cluster) ask(ctx context.Context, ids []string) ([]*redis.MapStringStringCmd, error) {
	ctx, cancel := context.WithTimeout(ctx, r.patience())
	defer cancel()
	answers := make([]*redis.MapStringStringCmd, len(ids))
	_, err := r.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, id := range ids {
			answers[i] = p.HGetAll(ctx, r.userKey(id))
		}
		return nil
	})
	return answers, err
}

// read takes in a user's hash.
func (st *state) read(hash map[string]string) {
	if hash["status"] == "" {
		return
	}
	st.status = Status(hash["status"])
	st.version, _ = strconv.ParseInt(hash["version"], 10, 64)
	if ms, err := strconv.ParseInt(hash["at"], 10, 64); err == nil {
		st.at = time.UnixMilli(ms)
	}
	for field, text := range hash {
		var x entry
		id, ok := strings.CutPrefix(field, "s:")
		if ok && json.Unmarshal([]byte(text), &x) == nil && x.Leaving == 0 {
			st.where = append(st.where, session{x.Node, id, x.SenderID, x.ConnectedAt})
		}
	}
	slices.SortFunc(st.where, func(a, b session) int { return strings.Compare(a.SessionID, b.SessionID) })
	st.sessions = len(st.where)
}

// entry is a session in a user's hash.
type entry struct {
	Node        string  `json:"node"`
	SenderID    string  `json:"senderId"`
	ConnectedAt string  `json:"connectedAt"`
	Leaving     float64 `json:"leaving,omitempty"` // ms; since when
}

// parseUpdate reads what the scripts publish.
func parseUpdate(data []byte) (st state, err error) {
	var x struct {
		UserID   string `json:"userId"`
		Status   Status `json:"status"`
		Version  int64  `json:"version,string"`
		Sessions int    `json:"sessions"`
		At       int64  `json:"at"`
	}
	if err := json.Unmarshal(data, &x); err != nil {
		return st, fmt.Errorf("parse presence update: %w", err)
	}
	st = state{userID: x.UserID, status: x.Status, version: x.Version, sessions: x.Sessions}
	if x.At != 0 {
		st.at = time.UnixMilli(x.At)
	}
	return st, nil
}
