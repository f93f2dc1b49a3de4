package main

import (
	"encoding/json"
	"runtime"
	"time"

	"atrium/dashboard"
	"atrium/internal/db"
	"atrium/internal/limit"
	"atrium/internal/mux"
)

// vitals are what Atrium publishes of itself, as the dashboard module asks for
// it. It is not safe for concurrent use.
type vitals struct {
	server *server

	at      time.Time // when values was called last
	in, out int64     // messages until then
	commits db.LatencyCounts
}

// values returns what is, and what has been since the last call.
func (v *vitals) values() []dashboard.Value {
	stats, now := v.server.mux.Stats(), time.Now()
	var in, out int64
	for c := range limit.NumClasses {
		in += stats.MessagesIn(c)
	}
	for _, w := range mux.Ways() {
		out += stats.MessagesOut(w)
	}
	commits := v.server.db.Latencies()
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	perSecond := func(n int64) float64 {
		if v.at.IsZero() {
			return 0
		}
		return float64(n) / now.Sub(v.at).Seconds()
	}
	values := []dashboard.Value{
		vital("sessions", float64(stats.Sessions())),
		vital("documents_open", float64(v.server.collab.Stats().Open.Load())),
		vital("messages_in_per_second", perSecond(in-v.in)),
		vital("messages_out_per_second", perSecond(out-v.out)),
		vital("memory_bytes", float64(memory.Sys-memory.HeapReleased)),
		vital("commit_p99_ms", float64(commits.P99(v.commits))/float64(time.Millisecond)),
	}
	v.at, v.in, v.out, v.commits = now, in, out, commits
	return values
}

func vital(name string, n float64) dashboard.Value {
	raw, err := json.Marshal(n)
	if err != nil {
		panic(err) // a finite number
	}
	value, err := mux.ValueOf(raw)
	if err != nil {
		panic(err) // made just now
	}
	return dashboard.Value{Metric: "atrium." + name, Value: value}
}
