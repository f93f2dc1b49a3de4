// Package dashboard is live values by name: metrics that backends put, and
// Atrium's own. It keeps the newest of each, and brings it to the sessions that
// have subscribed to its name or to a prefix of that.
//
// It keeps no history and computes nothing. Every value is checked against a
// session's grants at the moment of its delivery.
package dashboard

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

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

	// Own returns Atrium's own values as of now; their names begin with atrium.
	// It is called at most once every OwnEvery, and not while nobody is
	// subscribed to any. nil: there are none.
	Own      func() []Value
	OwnEvery time.Duration // default: 1 s

	Logger *slog.Logger // default: slog.Default()
}

// Value is what a metric has been at a time.
type Value struct {
	Metric    string // 1 to 256 bytes, without control characters and asterisks
	Value     mux.Value
	Timestamp time.Time // zero: now
}

// put is a value that has been stored.
type put struct {
	Value
	version int64
}

// Module is safe for concurrent use.
type Module struct {
	opts  Options
	log   *slog.Logger
	subs  subscriptions
	lines inorder.Lines[put] // by name
	own   *own               // nil: there are no own values

	running sync.WaitGroup // watch
	closed  chan struct{}  // closed by Close
	stop    func()         // ends listening to the other nodes; set once

	mu   sync.Mutex
	told map[string]told // by metric, of what was stored a moment ago; guarded by mu
}

// Bounds, in bytes but for the last two.
const (
	maxName          = 256
	maxValue         = 16 << 10 // as JSON
	maxSubscriptions = 1000     // of one session
	maxAhead         = time.Minute
)

// ownPrefix begins the names of Atrium's own metrics.
const ownPrefix = "atrium."

// New returns the module, plugged into o.Mux.
func New(o Options) *Module {
	if o.OwnEvery == 0 {
		o.OwnEvery = time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	m := &Module{opts: o, log: o.Logger, subs: newSubscriptions(), closed: make(chan struct{}), told: make(map[string]told)}
	m.stop = m.hearNodes()
	if o.DB.Shared() {
		m.running.Go(m.watch)
	}
	if o.Own != nil {
		m.own = newOwn(o.Own, o.OwnEvery, m.Publish)
	}
	o.Mux.Use(mux.Hooks{Refreshed: m.refreshed, Left: m.left})
	o.Mux.Handle("dashboard:subscribe", mux.Route{Class: limit.Join, Handle: m.subscribe})
	o.Mux.Handle("dashboard:unsubscribe", mux.Route{Class: limit.Join, Handle: m.unsubscribe})
	return m
}

// Close ends the publishing of own values, and listening to other nodes. It comes
// before the end of what Options.Own looks at.
func (m *Module) Close() {
	close(m.closed)
	m.stop()
	m.running.Wait()
	if m.own != nil {
		m.own.close()
	}
}

// Publish tells values to those who have subscribed, and stores nothing. Of one
// metric, the caller publishes one value after the other.
func (m *Module) Publish(values []Value) {
	for _, v := range values {
		if v.Timestamp.IsZero() {
			v.Timestamp = time.Now()
		}
		m.tell(v.Metric, update(v))
	}
}

// Put stores values in the caller's transaction, each unless there is a newer
// one. deliver is to be called after the commit, and not at all without one: it
// tells those who have subscribed. Its error for what is out of bounds is a
// *mux.Error.
func (m *Module) Put(tx *db.Tx, values []Value) (deliver func(), err error) {
	now := time.Now()
	values = slices.Clone(values)
	for i := range values {
		v := &values[i]
		if v.Timestamp.IsZero() {
			v.Timestamp = now
		}
		if err := v.check(now); err != nil {
			return nil, err
		}
	}
	// The same order for all who write.
	slices.SortStableFunc(values, func(a, b Value) int { return strings.Compare(a.Metric, b.Metric) })
	newest := make(map[string]int64, len(values)) // versions
	for _, v := range values {
		version, err := save(tx, v)
		switch {
		case errors.Is(err, errOlder):
			continue
		case err != nil:
			return nil, err
		}
		m.lines.Put(v.Metric, version, put{v, version})
		newest[v.Metric] = version
	}
	return func() {
		for metric, version := range newest {
			m.lines.Send(metric, version, func(values []put) {
				newest := values[len(values)-1]
				m.tellStored(newest.Value, newest.version)
			})
		}
	}, nil
}

func (v *Value) check(now time.Time) error {
	switch {
	case !mux.ValidName(v.Metric) || strings.Contains(v.Metric, "*"):
		return mux.NewError(mux.BadRequest, "a metric's name must have 1 to 256 bytes, without control characters and asterisks")
	case strings.HasPrefix(v.Metric, ownPrefix):
		return mux.NewError(mux.Forbidden, "names that begin with atrium. are Atrium's own")
	case v.Timestamp.After(now.Add(maxAhead)):
		return mux.NewError(mux.BadRequest, "a timestamp is more than a minute ahead")
	case v.Timestamp.Unix() < 0:
		return mux.NewError(mux.BadRequest, "a timestamp is before 1970")
	}
	data, err := json.Marshal(v.Value)
	if err != nil || len(data) > maxValue {
		return mux.NewError(mux.BadRequest, "a metric's value must be a JSON value of at most 16 KiB")
	}
	return nil
}

// tell sends an update to those who have subscribed and may see it.
func (m *Module) tell(metric string, update any) {
	f := mux.NewFrame(update)
	key := "dashboard\x00" + metric
	for _, s := range m.subs.to(metric) {
		if mayRead(s, metric) {
			s.SendLatest(key, f)
		}
	}
}

// unavailable tells a client of a store that failed.
func (m *Module) unavailable(err error) error {
	if err == nil {
		return nil
	}
	m.log.Error("metrics cannot be read", "error", err)
	return mux.NewError(mux.Unavailable, "metrics are not available at the moment")
}

func (m *Module) read(fn func(tx *db.Tx) error) error {
	return m.unavailable(m.opts.DB.Read(context.Background(), fn))
}
