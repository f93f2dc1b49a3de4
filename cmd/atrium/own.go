package main

import (
	"context"
	"encoding/json"
	"runtime"
	"sync"
	"time"

	"github.com/fxamacker/cbor/v2"

	"atrium/dashboard"
	"atrium/internal/bus"
	"atrium/internal/db"
	"atrium/internal/limit"
	"atrium/internal/mux"
)

// figure is one that Atrium publishes of itself.
type figure struct {
	Name  string  `cbor:"n"`
	Value float64 `cbor:"v"`
}

// meter measures one node. It is not safe for concurrent use.
type meter struct {
	server *server

	at      time.Time // when measure was called last
	in, out int64     // messages until then
	commits db.LatencyCounts
}

// measure returns what is, and what has been since the last call.
func (m *meter) measure() []figure {
	stats, now := m.server.mux.Stats(), time.Now()
	var in, out int64
	for c := range limit.NumClasses {
		in += stats.MessagesIn(c)
	}
	for _, w := range mux.Ways() {
		out += stats.MessagesOut(w)
	}
	commits := m.server.db.Latencies()
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	perSecond := func(n int64) float64 {
		if m.at.IsZero() {
			return 0
		}
		return float64(n) / now.Sub(m.at).Seconds()
	}
	figures := []figure{
		{"sessions", float64(stats.Sessions())},
		{"documents_open", float64(m.server.collab.Stats().Open.Load())},
		{"messages_in_per_second", perSecond(in - m.in)},
		{"messages_out_per_second", perSecond(out - m.out)},
		{"memory_bytes", float64(memory.Sys - memory.HeapReleased)},
		{slowest, float64(commits.P99(m.commits)) / float64(time.Millisecond)},
	}
	m.at, m.in, m.out, m.commits = now, in, out, commits
	return figures
}

// slowest is the figure of which a cluster has that of its slowest node. Of the
// others it has the sum.
const slowest = "commit_p99_ms"

// vitals are what Atrium publishes of itself, of all nodes together.
type vitals struct {
	here meter // owned by who asks for values

	mu     sync.Mutex
	others map[string]heardFigures // by node; guarded by mu
	since  time.Time               // when the others could be heard again; zero: never yet; guarded by mu
}

type heardFigures struct {
	figures []figure
	at      time.Time
}

const (
	vitalsTopic = "vitals"
	vitalsEvery = time.Second            // how often nodes tell each other
	vitalsAge   = 5 * time.Second        // after which those of a node count no more
	vitalsDelay = 500 * time.Millisecond // that they may take on their way
)

func newVitals(s *server) *vitals {
	v := &vitals{here: meter{server: s}, others: make(map[string]heardFigures)}
	s.bus.Listen(vitalsTopic, bus.Listener{Message: v.hear, Missed: func() {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.since = time.Now()
	}})
	return v
}

func (v *vitals) hear(node string, data []byte) {
	var figures []figure
	if cbor.Unmarshal(data, &figures) != nil {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(figures) == 0 { // it has stopped
		delete(v.others, node)
		return
	}
	v.others[node] = heardFigures{figures, time.Now()}
}

// nodes returns the other nodes that there are: those while Redis is away that
// there were before. Those that have stopped without a word count for vitalsAge.
// If they cannot be known yet, it waits until they are, or ctx is done.
func (v *vitals) nodes(ctx context.Context) (nodes []string) {
	b := v.here.server.bus
	if b == nil {
		return nil
	}
	if b.Connected() {
		v.mu.Lock()
		since := v.since
		v.mu.Unlock()
		if since.IsZero() {
			since = time.Now()
		}
		select {
		case <-time.After(time.Until(since.Add(vitalsEvery + vitalsDelay))):
		case <-ctx.Done():
		}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.forget()
	for node := range v.others {
		nodes = append(nodes, node)
	}
	return nodes
}

// forget drops the nodes that tell nothing, unless Redis is to blame. It is called
// with mu held.
func (v *vitals) forget() {
	if !v.here.server.bus.Connected() {
		return
	}
	for node, other := range v.others {
		if time.Since(other.at) > vitalsAge {
			delete(v.others, node)
		}
	}
}

// values returns what is, and what has been since the last call, as the dashboard
// module asks for it. It is not safe for concurrent use.
func (v *vitals) values() []dashboard.Value {
	figures := v.here.measure()
	v.mu.Lock()
	v.forget()
	for _, other := range v.others {
		if time.Since(other.at) <= vitalsAge {
			add(figures, other.figures)
		}
	}
	v.mu.Unlock()
	values := make([]dashboard.Value, len(figures))
	for i, f := range figures {
		values[i] = vital(f)
	}
	return values
}

func add(to, more []figure) {
	for _, f := range more {
		for i := range to {
			switch {
			case to[i].Name != f.Name:
			case f.Name == slowest:
				to[i].Value = max(to[i].Value, f.Value)
			default:
				to[i].Value += f.Value
			}
		}
	}
}

func vital(f figure) dashboard.Value {
	raw, err := json.Marshal(f.Value)
	if err != nil {
		panic(err) // a finite number
	}
	value, err := mux.ValueOf(raw)
	if err != nil {
		panic(err) // made just now
	}
	return dashboard.Value{Metric: "atrium." + f.Name, Value: value}
}

// tellVitals tells the other nodes of this one, until done is closed. After that,
// tellEnd has it count no more.
func (s *server) tellVitals(done <-chan struct{}) {
	m := meter{server: s}
	for tick := time.NewTicker(vitalsEvery); ; {
		select {
		case <-done:
			tick.Stop()
			return
		case <-tick.C:
			s.bus.Publish(vitalsTopic, bus.Encode(m.measure()))
		}
	}
}

// tellEnd tells the other nodes that this one has stopped.
func (s *server) tellEnd() { s.bus.Publish(vitalsTopic, bus.Encode([]figure{})) }
