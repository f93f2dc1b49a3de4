package presence

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"atrium/internal/bus"
)

// operation is a change that Redis is to be told of.
type operation struct {
	Kind      string `json:"kind"`
	UserID    string `json:"user"`
	SessionID string `json:"session"`
	Entry     string `json:"entry,omitempty"`  // of join
	Status    Status `json:"status,omitempty"` // of join: for who was offline

	queued time.Time
	done   chan bool // gets whether Redis has been told; has room for it
}

// Kinds of operations. They may be applied twice.
const (
	opJoin  = "join"  // a session is there, maybe still
	opDrop  = "drop"  // it has gone, and may be back soon
	opLeave = "leave" // it has gone
	opSet   = "set"
)

var (
	//go:embed common.lua
	common string
	//go:embed apply.lua
	apply string
	//go:embed sweep.lua
	sweep string

	applyScript, sweepScript = redis.NewScript(common + apply), redis.NewScript(common + sweep)
)

func joining(id string, s session, ifOffline Status) *operation {
	data, err := json.Marshal(entry{Node: s.Node, SenderID: s.SenderID, ConnectedAt: s.ConnectedAt})
	if err != nil {
		panic(err) // plain strings
	}
	return &operation{Kind: opJoin, UserID: id, SessionID: s.SessionID, Entry: string(data), Status: ifOffline}
}

// enqueue is called with mu held.
func (r *cluster) enqueue(op *operation) *operation {
	op.queued, op.done = time.Now(), make(chan bool, 1)
	r.queue = append(r.queue, op)
	r.rouse()
	return op
}

// run tells Redis what happens here, in order, and keeps up what is there, until
// close.
func (r *cluster) run() {
	tick := time.NewTimer(0)
	defer tick.Stop()
	failing := false
	for {
		due := false
		select {
		case <-r.ctx.Done():
			r.flush(context.Background())
			return
		case <-r.wake:
		case <-tick.C:
			due = true
		}
		err := r.flush(r.ctx)
		if err == nil {
			err = r.refresh()
		}
		if due {
			if err == nil {
				err = r.sweep()
			}
			tick.Reset(bus.Near(r.pace.sweep))
		}
		if err != nil && !failing && r.ctx.Err() == nil {
			r.log.Warn("presence cannot be kept in Redis; trying again", "error", err) // that Redis is away, the bus says
		}
		failing = err != nil
	}
}

// flush applies what is queued.
func (r *cluster) flush(ctx context.Context) error {
	r.mu.Lock()
	queue := r.queue
	r.queue = nil
	r.mu.Unlock()
	var err error
	for ops := range slices.Chunk(queue, batch) {
		if err = r.apply(ctx, ops); err != nil {
			r.putBack(queue)
			break
		}
		queue = queue[len(ops):]
	}
	return err
}

// putBack keeps of what could not be applied what refreshing does not bring, and
// what has not passed by itself.
func (r *cluster) putBack(ops []*operation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var rest []*operation
	last := make(map[string]*operation) // statuses set, by user
	for _, op := range ops {
		if op.Kind == opSet {
			last[op.UserID] = op
		}
	}
	for _, op := range ops {
		select {
		case op.done <- false:
		default: // it was put back before
		}
		switch op.Kind {
		case opJoin:
			r.stale = true
		case opSet:
			if last[op.UserID] == op && r.here[op.UserID] != nil {
				rest = append(rest, op)
			}
		default:
			if time.Since(op.queued) < r.pace.lifetime {
				rest = append(rest, op)
			}
		}
	}
	r.queue = append(rest, r.queue...)
}

// refresh says again that this node's sessions are there, if it is time.
func (r *cluster) refresh() error {
	r.mu.Lock()
	if !r.stale && time.Now().Before(r.next) {
		r.mu.Unlock()
		return nil
	}
	ids := slices.Collect(maps.Keys(r.here))
	r.stale = false
	r.mu.Unlock()
	r.next = time.Now().Add(bus.Near(r.pace.refresh))
	for part := range slices.Chunk(ids, batch/2) {
		err := r.flush(r.ctx) // before who is here is looked at: nobody who has left is brought back
		if err == nil {
			err = r.apply(r.ctx, r.present(part))
		}
		if err != nil {
			r.mu.Lock()
			r.stale = true
			r.mu.Unlock()
			return err
		}
	}
	return nil
}

func (r *cluster) present(ids []string) (ops []*operation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, id := range ids {
		if u := r.here[id]; u != nil {
			for _, s := range u.sessions {
				ops = append(ops, joining(id, s, u.status))
			}
		}
	}
	return ops
}

// arguments are those of all scripts.
func (r *cluster) arguments(more ...any) []any {
	return append([]any{r.userKey(""), r.bus.Channel(topic("")), bus.Nobody}, more...)
}

func (r *cluster) expiryKey() string { return r.prefix + "presence:expiry" }

func (r *cluster) apply(ctx context.Context, ops []*operation) error {
	if len(ops) == 0 {
		return nil
	}
	data, err := json.Marshal(ops)
	if err != nil {
		return fmt.Errorf("apply presence: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	statuses, err := applyScript.Run(ctx, r.client, []string{r.expiryKey()},
		r.arguments(r.pace.lifetime.Milliseconds(), r.grace.Milliseconds(), data)...).StringSlice()
	if err != nil {
		return fmt.Errorf("apply presence: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, op := range ops {
		if u := r.here[op.UserID]; u != nil && Status(statuses[i]) != Offline {
			u.status = Status(statuses[i])
		}
		if op.done != nil {
			select {
			case op.done <- true:
			default: // it was put back before
			}
		}
	}
	return nil
}

// sweep ends sessions whose nodes have not said for long that they are there, and
// those that have dropped and are not back.
func (r *cluster) sweep() error {
	for {
		ctx, cancel := context.WithTimeout(r.ctx, patience)
		answer, err := sweepScript.Run(ctx, r.client, []string{r.expiryKey(), r.prefix + "presence:sweep"},
			r.arguments(batch, (r.pace.lifetime/9).Milliseconds(), (r.pace.lifetime/2).Milliseconds(), r.pace.lifetime.Milliseconds())...).Slice()
		cancel()
		if err != nil {
			return fmt.Errorf("sweep presence: %w", err)
		}
		since, _ := answer[0].(string)
		if r.since != "" && r.since != since { // it has lost what it had
			r.suspect()
		}
		r.since = since
		users, _ := answer[2].([]any)
		if len(users) > 0 {
			lastSeen := make(map[string]time.Time, len(users)/2)
			for pair := range slices.Chunk(users, 2) {
				lastSeen[pair[0].(string)] = time.UnixMilli(pair[1].(int64))
			}
			r.running.Go(func() { r.gone(lastSeen) })
		}
		if answer[1] != int64(batch) {
			return nil
		}
	}
}
