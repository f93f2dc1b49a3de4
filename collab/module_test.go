package collab

import (
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"atrium/collab/change"
	"atrium/collab/change/changetest"
	"atrium/collab/docsync"
	"atrium/internal/auth"
	"atrium/internal/db"
	"atrium/internal/mux"
)

const testDocument = "4NMNnkMhL8jXrdJ9jamS58PAVdXu"

// house is a module with all that stands below it, on a real socket.
type house struct {
	t      *testing.T
	db     *db.DB
	module *Module
	url    string
}

func build(t *testing.T, o Options) *house {
	t.Helper()
	d, err := db.Open(t.Context(), db.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	// A token is a user, and perhaps what is granted: "alice *=read".
	m := mux.New(mux.Options{SenderID: "server", Verify: func(token string) (*auth.Identity, error) {
		user, grant, _ := strings.Cut(token, " ")
		pattern, level, ok := strings.Cut(grant, "=")
		if !ok {
			pattern, level = "*", "write"
		}
		docs, err := auth.ParseGrants(map[string]string{pattern: level})
		return &auth.Identity{UserID: user, Name: user, Docs: docs, Expires: time.Now().Add(time.Hour)}, err
	}})
	o.DB, o.Mux, o.SenderID = d, m, "server"
	h := &house{t: t, db: d, module: New(o)}
	srv := httptest.NewServer(m)
	h.url = "ws" + strings.TrimPrefix(srv.URL, "http")
	t.Cleanup(func() {
		m.StopReading()
		h.module.Close(t.Context())
		m.Close(t.Context())
		srv.Close()
		d.Close()
	})
	return h
}

type peer struct {
	t  *testing.T
	ws *websocket.Conn
}

func (h *house) join(token string) *peer {
	h.t.Helper()
	user, _, _ := strings.Cut(token, " ")
	ws, _, err := websocket.DefaultDialer.Dial(h.url, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { ws.Close() })
	p := &peer{h.t, ws}
	p.send(map[string]any{"type": "join", "senderId": user, "token": token})
	if m, err := p.next(); err != nil || m.Type != "peer" {
		h.t.Fatalf("got %+v, %v, want to be admitted", m, err)
	}
	return p
}

func (p *peer) send(m map[string]any) {
	p.t.Helper()
	if err := p.ws.WriteJSON(m); err != nil {
		p.t.Fatal(err)
	}
}

func (p *peer) sync(user string, m docsync.Message) {
	p.send(map[string]any{"type": "sync", "senderId": user, "documentId": testDocument, "data": docsync.AppendMessage(nil, m)})
}

func (p *peer) next() (m syncMessage, err error) {
	p.ws.SetReadDeadline(time.Now().Add(20 * time.Second))
	err = p.ws.ReadJSON(&m)
	return m, err
}

// hears waits for a sync message with those heads.
func (p *peer) hears(head change.Hash) {
	p.t.Helper()
	for {
		m, err := p.next()
		if err != nil {
			p.t.Fatal(err)
		}
		if m.Type != "sync" {
			continue
		}
		if got, err := docsync.ParseMessage(m.Data); err != nil {
			p.t.Fatal(err)
		} else if len(got.Heads) == 1 && got.Heads[0] == head {
			return
		}
	}
}

var first = changetest.Change{Ops: []changetest.Op{changetest.Set(changetest.ID{}, "x", 1)}}

func offer(c changetest.Change) docsync.Message {
	return docsync.Message{Heads: []change.Hash{c.Hash()}, Have: []docsync.Have{{}}, Changes: [][]byte{c.Encode()}}
}

func (h *house) waitForOpen(n int64) {
	h.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); h.module.Stats().Open.Load() != n; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			h.t.Fatalf("%d documents are open, want %d", h.module.Stats().Open.Load(), n)
		}
	}
}

func TestIdleDocumentLeavesMemory(t *testing.T) {
	h := build(t, Options{IdleAfter: 20 * time.Millisecond})
	alice := h.join("alice")
	alice.sync("alice", offer(first))
	alice.hears(first.Hash())
	time.Sleep(100 * time.Millisecond) // it must not leave while somebody has it open
	h.waitForOpen(1)
	alice.ws.Close()
	h.waitForOpen(0)

	bob := h.join("bob")
	bob.sync("bob", docsync.Message{Have: []docsync.Have{{}}})
	bob.hears(first.Hash())
	h.waitForOpen(1)
}

// A store that fails for too long sends authors away, who keep their changes
// and bring them again.
func TestStoreThatFailsForTooLong(t *testing.T) {
	h := build(t, Options{GiveUpAfter: 200 * time.Millisecond})
	h.exec(`CREATE TRIGGER fail BEFORE INSERT ON document_changes BEGIN SELECT RAISE(ABORT, 'injected'); END`)
	alice := h.join("alice")
	alice.sync("alice", offer(first))
	for {
		m, err := alice.next()
		var closed *websocket.CloseError
		if errors.As(err, &closed) {
			if closed.Code != int(mux.CloseGoingAway) {
				t.Errorf("closed with %d, want %d", closed.Code, mux.CloseGoingAway)
			}
			break
		}
		if err != nil || m.Type == "sync" {
			t.Fatalf("got %+v, %v", m, err)
		}
	}
	if n := h.module.Stats().Abandoned.Load(); n != 1 {
		t.Errorf("%d batches were abandoned, want 1", n)
	}
	h.exec(`DROP TRIGGER fail`)
	alice = h.join("alice")
	alice.sync("alice", offer(first))
	alice.hears(first.Hash())
}

func (h *house) exec(statement string) {
	h.t.Helper()
	err := h.db.Write(h.t.Context(), func(tx *db.Tx) error {
		_, err := tx.Exec(statement)
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
}

// Starting over again and again fetches the whole document each time: that has
// an end.
func TestStartingOverTooOften(t *testing.T) {
	h := build(t, Options{})
	alice := h.join("alice")
	alice.sync("alice", offer(first))
	alice.hears(first.Hash())
	has := docsync.Message{Heads: []change.Hash{first.Hash()}, Have: []docsync.Have{{LastSync: []change.Hash{first.Hash()}}}}
	answers := 0
	for ; answers < costBurst+20; answers++ {
		alice.sync("alice", docsync.Message{Have: []docsync.Have{{}}})
		m, err := alice.next()
		for err == nil && m.Type != "sync" {
			m, err = alice.next()
		}
		var closed *websocket.CloseError
		if errors.As(err, &closed) && closed.Code == int(mux.CloseGoingAway) {
			break
		}
		if err != nil {
			t.Fatalf("after %d answers: %v", answers, err)
		}
		alice.send(map[string]any{"type": "sync", "id": 1, "senderId": "alice", "documentId": testDocument, "data": docsync.AppendMessage(nil, has)})
		if m, err := alice.next(); err != nil || m.Type != "ack" {
			t.Fatalf("got %+v, %v, want an ack", m, err)
		}
	}
	if answers < costBurst-1 || answers > costBurst+10 {
		t.Errorf("the document was sent %d times, want about %d", answers, costBurst)
	}
}

func TestDocumentsOfOneSessionAreBounded(t *testing.T) {
	h := build(t, Options{})
	alice := h.join("alice")
	alice.sync("alice", offer(first))
	alice.hears(first.Hash())
	h.module.mu.Lock()
	for _, open := range h.module.sessions {
		r := open[testDocument]
		delete(open, testDocument)
		for i := range maxOpen {
			open[string(rune(i))+" another"] = r
		}
	}
	h.module.mu.Unlock()
	alice.send(map[string]any{"type": "sync", "id": 7, "senderId": "alice", "documentId": testDocument, "data": docsync.AppendMessage(nil, offer(first))})
	var answer struct {
		Type, Code string
		ID         int
	}
	for answer.ID != 7 {
		if err := alice.ws.ReadJSON(&answer); err != nil {
			t.Fatal(err)
		}
	}
	if answer.Type != "error" || answer.Code != string(mux.BadRequest) {
		t.Errorf("one document more than %d: got %+v, want a bad_request", maxOpen, answer)
	}
}
