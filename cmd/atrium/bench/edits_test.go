package bench

import (
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/gorilla/websocket"

	"atrium/collab/change"
)

func TestServerCheck(t *testing.T) {
	t.Parallel()
	for says, s := range map[string]Server{
		"":                     {Nodes: 1},
		"all of them":          {URLs: []string{"ws://a/ws"}, Nodes: 2},
		"1 processes":          {URLs: []string{"ws://a/ws", "ws://b/ws"}, PIDs: []int{1}},
		"at least one node":    {},
		"Postgres and a Redis": {Nodes: 2, DatabaseURL: "postgres://a"},
	} {
		if err := s.check(); (err != nil) != (says != "") || err != nil && !strings.Contains(err.Error(), says) {
			t.Errorf("%+v: got %v, want %q", s, err, says)
		}
	}
}

func TestMetric(t *testing.T) {
	t.Parallel()
	page := []byte("# HELP atrium_writes_total Writes.\n# TYPE atrium_writes_total counter\natrium_writes_total 1.5e+06\n" +
		"atrium_commit_seconds_bucket{le=\"+Inf\"} 9\natrium_commit_seconds_sum 0.5\natrium_commit_seconds_count 9\n")
	for name, want := range map[string]float64{"atrium_writes_total": 1.5e6, "atrium_commit_seconds_count": 9} {
		if got, ok := metric(page, name); !ok || got != want {
			t.Errorf("%s is %g, want %g", name, got, want)
		}
	}
	if _, ok := metric(page, "atrium_commit_seconds"); ok {
		t.Error("half a name was found")
	}
}

// TestCosts: 1,000 edits in 100 commits of 250 writes, at 500 edits a second, for
// half a second of CPU.
func TestCosts(t *testing.T) {
	t.Parallel()
	p := EditsPhase{Rate: 500, Acknowledged: 1000}
	p.costs(spent{cpu: time.Second, commits: 7, writes: 9}, spent{cpu: 1500 * time.Millisecond, commits: 107, writes: 259})
	if p.CommitsPerSecond != 50 || p.WritesPerCommit != 2.5 || p.EditsPerCommit != 10 || p.CPUPerEditUS != 500 || p.CPUPercent != 25 {
		t.Errorf("got %+v", p)
	}
	p.costs(spent{}, spent{})
	if p.CommitsPerSecond != 0 || p.EditsPerCommit != 0 {
		t.Errorf("without commits it is %+v", p)
	}
}

// editFrame is a collab:edit as a server gets it.
type editFrame struct {
	Type    string   `json:"type"`
	ID      string   `json:"id"`
	Changes [][]byte `json:"changes"`
}

// TestAuthorKeepsItsWindow: an author has as many edits on their way as it may,
// each on top of the one before, and ends when the last is acknowledged.
func TestAuthorKeepsItsWindow(t *testing.T) {
	t.Parallel()
	got := make(chan editFrame, 100)
	acks := make(chan string)
	url := serveWebSocket(t, func(ws *websocket.Conn) {
		ws.ReadMessage()
		ws.WriteMessage(websocket.BinaryMessage, mustCBOR(map[string]any{"type": "peer", "senderId": "the server"}))
		go func() {
			for id := range acks {
				ws.WriteMessage(websocket.BinaryMessage, mustCBOR(map[string]any{"type": "ack", "id": id, "heads": []string{"x"}}))
			}
			ws.Close()
		}()
		for {
			_, msg, err := ws.ReadMessage()
			if err != nil {
				close(got)
				return
			}
			var f editFrame
			if err := cbor.Unmarshal(msg, &f); err != nil {
				t.Error(err)
			}
			got <- f
		}
	})
	r := &editsRun{load: &EditsLoad{Window: 3}, target: &target{urls: []string{url}}, left: newCountdown(1)}
	r.clock = schedule{start: time.Now()}
	begun := make(chan *author)
	go func() {
		a, err := r.newAuthor(t.Context(), 0)
		if err != nil {
			t.Error(err)
		}
		begun <- a
	}()
	var last change.Hash // of what it has sent
	next := func() string {
		f := <-got
		if f.Type != "collab:edit" || len(f.Changes) != 1 {
			t.Fatalf("it sends %+v", f)
		}
		c, err := change.Parse(f.Changes[0])
		if err != nil || last != (change.Hash{}) && (c.NumDeps() != 1 || c.Dep(0) != last) {
			t.Fatalf("%v: an edit does not build on the last one, %v", err, last)
		}
		last = c.Hash
		return f.ID
	}
	acks <- next()
	a := <-begun
	if a == nil {
		return
	}
	defer a.Close()
	done := make(chan error, 1)
	go func() { done <- a.rush() }()

	ids := []string{next(), next(), next()}
	acks <- ids[1]
	ids = append(ids, next())
	r.over.Store(true)
	for _, id := range []string{ids[3], ids[0], ids[2]} {
		if r.left.left.Load() != 1 {
			t.Error("the author has ended before all is acknowledged")
		}
		acks <- id
	}
	<-r.left.zero
	acks <- ids[2] // again
	if err := <-done; err == nil || !strings.Contains(err.Error(), "does not wait") {
		t.Errorf("got %v, want that nobody waits for this", err)
	}
	if a.late.n != 4 || r.acks.Load() != 4 {
		t.Errorf("%d acknowledgements, want 4", a.late.n)
	}
	close(acks)
	for f := range got {
		t.Errorf("it sends %+v after the time", f)
	}
}
