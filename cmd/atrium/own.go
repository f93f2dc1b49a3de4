package main

import (
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
}

type heardFigures struct {
	figures []figure
	at      time.Time
}

const (
	vitalsTopic = "vitals"
	vitalsEvery = time.Second     // how often nodes tell each other
	vitalsAge   = 5 * time.Second // after which those of a node count no more
)

func newVitals(s *server) *vitals {
	v := &vitals{here: meter{server: s}, others: make(map[string]heardFigures)}
	s.bus.Listen(vitalsTopic, bus.Listener{Message: func(node string, data []byte) {
		var figures []figure
		if cbor.Unmarshal(data, &figures) == nil {
			v.mu.Lock()
			defer v.mu.Unlock()
			v.others[node] = heardFigures{figures, time.Now()}
		}
	}})
	return v
}

// values returns what is, and what has been since the last call, as the dashboard
// module asks for it. It is not safe for concurrent use.
func (v *vitals) values() []dashboard.Value {
	figures := v.here.measure()
	v.mu.Lock()
	for node, other := range v.others {
		if time.Since(other.at) > vitalsAge {
			delete(v.others, node)
			continue
		}
		add(figures, other.figures)
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

// tellVitals tells the other nodes of this one, until done is closed.
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
