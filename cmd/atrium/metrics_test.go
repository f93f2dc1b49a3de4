package main

import (
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// metric returns a metric's value, as Prometheus would read it.
func (s *testServer) metric(name string) float64 {
	s.t.Helper()
	status, body := s.get("/metrics")
	if status != http.StatusOK {
		s.t.Fatalf("/metrics: %d %s", status, body)
	}
	line := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(name) + ` (.*)$`).FindStringSubmatch(body)
	if line == nil {
		return 0
	}
	v, err := strconv.ParseFloat(line[1], 64)
	if err != nil {
		s.t.Fatal(err)
	}
	return v
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	doc := newDocument()
	alice := dial(t, s, "alice", docs("*", "write"))
	alice.author(doc).write()
	alice.ask(msg{"type": "?"})
	bob := dial(t, s, "bob", docs("*", "read"))
	bob.enter(doc)
	bob.ask(moveMsg(doc, msg{"x": 1}))
	dial(t, s, "carol").goodbye()
	for s.metric("atrium_sessions") > 2 { // it takes a moment to leave
		time.Sleep(time.Millisecond)
	}
	for name, want := range map[string]float64{
		"atrium_sessions":                          2,
		"atrium_documents_open":                    1,
		`atrium_messages_in_total{class="sync"}`:   1,
		`atrium_messages_in_total{class="cursor"}`: 1,
		`atrium_messages_in_total{class="join"}`:   1,
		`atrium_refused_total{code="bad_request"}`: 1,
		`atrium_closed_total{code="1000"}`:         1,
		`atrium_changes_refused_total`:             0,
	} {
		if got := s.metric(name); got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	for _, name := range []string{"atrium_commit_seconds_count", "atrium_commit_seconds_sum", "atrium_writes_total", `atrium_messages_out_total{way="offered"}`, "go_goroutines"} {
		if s.metric(name) <= 0 {
			t.Errorf("%s is not there", name)
		}
	}
	if _, body := s.get("/metrics"); strings.Contains(body, "alice") || strings.Contains(body, doc) {
		t.Error("metrics tell of users")
	}
}

// TestMetricsNeedAKey: but for those on the same machine.
func TestMetricsNeedAKey(t *testing.T) {
	t.Parallel()
	s := newServer(t, withAPIKey)
	s.addr = "0.0.0.0:0"
	s.start()
	_, port, _ := strings.Cut(strings.TrimPrefix(s.addr, "[::]"), ":")
	s.addr = "127.0.0.1:" + port
	for credential, want := range map[string]int{"": 401, "wrong": 401, apiKey: 200, token(t, "alice"): 401} {
		if a := s.call(request{method: "GET", path: "/metrics", credential: credential}); a.status != want {
			t.Errorf("with %.10q: got %d, want %d", credential, a.status, want)
		}
	}
}
