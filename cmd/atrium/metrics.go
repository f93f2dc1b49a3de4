package main

import (
	"net"
	"net/http"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"atrium/internal/limit"
	"atrium/internal/mux"
)

// exporter exports the counters that the modules keep, for Prometheus. No label
// comes from users.
type exporter struct{ *server }

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("atrium_"+name, help, labels, nil)
}

var (
	sessionsDesc    = describe("sessions", "Sessions that have joined.")
	documentsDesc   = describe("documents_open", "Documents in memory.")
	quarantinedDesc = describe("documents_quarantined", "Documents whose contents are not read for some minutes, since that failed again and again.")
	messagesInDesc  = describe("messages_in_total", "Messages that have come, by the class of their limit.", "class")
	messagesOutDesc = describe("messages_out_total", "Messages sent: queued answers and events, offered documents, latest values.", "way")
	refusedDesc     = describe("refused_total", "Errors told to clients, by code.", "code")
	closedDesc      = describe("closed_total", "Sessions ended, by close code; 1000 where the client ended it.", "code")
	slowedDesc      = describe("slowed_total", "Messages after which reading paused.")
	coalescedDesc   = describe("coalesced_total", "Cursor messages over the limit.")
	badOriginsDesc  = describe("bad_origins_total", "Connections refused for their origin.")
	badChangesDesc  = describe("changes_refused_total", "Changes that failed a check.")
	abandonedDesc   = describe("changes_abandoned_total", "Batches of changes given up because the store failed.")
	commitsDesc     = describe("commit_seconds", "How long commits took.")
	writesDesc      = describe("writes_total", "Writes, many of which may share a commit.")
	busDesc         = describe("bus_connected", "Whether other nodes can be heard.")
	busMessagesDesc = describe("bus_messages_total", "Messages from and to other nodes, and those that could not be sent.", "way")
	busLostDesc     = describe("bus_lost_total", "Times that Redis went away.")
	webhooksDesc    = describe("webhooks_total", "Webhooks delivered and given up, and attempts that are made again.", "outcome")
)

// Describe and Collect are prometheus.Collector.
func (m exporter) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(m, ch) }

func (m exporter) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v int64) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(v))
	}
	count := func(d *prometheus.Desc, v int64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	stats, docs := m.mux.Stats(), m.collab.Stats()
	gauge(sessionsDesc, stats.Sessions())
	gauge(documentsDesc, docs.Open.Load())
	gauge(quarantinedDesc, int64(len(m.contents.Quarantined())))
	for c := range limit.NumClasses {
		count(messagesInDesc, stats.MessagesIn(c), c.String())
	}
	for _, w := range mux.Ways() {
		count(messagesOutDesc, stats.MessagesOut(w), w.String())
	}
	for code, n := range stats.AllRefusals() {
		count(refusedDesc, n, string(code))
	}
	for code, n := range stats.AllCloses() {
		count(closedDesc, n, strconv.Itoa(int(code)))
	}
	count(slowedDesc, stats.Slowed())
	count(coalescedDesc, stats.Coalesced())
	count(badOriginsDesc, stats.BadOrigins())
	count(badChangesDesc, docs.Refused.Load())
	count(abandonedDesc, docs.Abandoned.Load())
	latencies := m.db.Latencies()
	n, upTo := latencies.Cumulative()
	ch <- prometheus.MustNewConstHistogram(commitsDesc, n, latencies.Sum.Seconds(), upTo)
	_, writes := m.db.Commits()
	count(writesDesc, writes)
	if m.bus != nil {
		connected := int64(0)
		if m.bus.Connected() {
			connected = 1
		}
		gauge(busDesc, connected)
		stats := m.bus.Stats()
		count(busMessagesDesc, stats.In.Load(), "in")
		count(busMessagesDesc, stats.Out.Load(), "out")
		count(busMessagesDesc, stats.Dropped.Load(), "dropped")
		count(busLostDesc, stats.Lost.Load())
	}
	if m.webhooks != nil {
		hooks := m.webhooks.Stats()
		count(webhooksDesc, hooks.Delivered.Load(), "delivered")
		count(webhooksDesc, hooks.Retried.Load(), "retried")
		count(webhooksDesc, hooks.GivenUp.Load(), "given_up")
	}
}

// handler answers GET /metrics: to anybody on a loopback listener, elsewhere to
// who has an API key.
func (m exporter) handler() http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(m, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	export := promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, key, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		if addr, ok := m.listener.Addr().(*net.TCPAddr); (!ok || !addr.IP.IsLoopback()) && !m.api.IsKey(strings.TrimSpace(key)) {
			w.Header().Set("WWW-Authenticate", "Bearer")
			http.Error(w, "an API key is needed", http.StatusUnauthorized)
			return
		}
		export.ServeHTTP(w, r)
	})
}
