package collab

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/gorilla/websocket"

	"atrium/collab/change"
	"atrium/collab/change/changetest"
	"atrium/collab/docsync"
	"atrium/internal/db"
)

// What can happen between a message and its turn: a commit takes its time, and
// meanwhile grants are lost, sessions leave, and cursors move.

const otherDocument = "fwaoKqDyZ5CbBM9gJn6sXgFZrfo"

// about is a message about the test document.
func about(typ string, kv ...any) map[string]any {
	m := map[string]any{"type": typ, "documentId": testDocument}
	for i := 0; i < len(kv); i += 2 {
		m[kv[i].(string)] = kv[i+1]
	}
	return m
}

func editOf(changes ...changetest.Change) map[string]any {
	var chunks [][]byte
	for _, c := range changes {
		chunks = append(chunks, c.Encode())
	}
	return about("collab:edit", "changes", chunks)
}

// ask sends a message with an id and returns the answer, nil if none comes.
func (p *peer) ask(id int, m map[string]any) map[string]any {
	p.t.Helper()
	m["id"] = id
	p.send(m)
	return p.await(func(m map[string]any) bool { return m["id"] == float64(id) })
}

// await returns the next message that is ok, nil if none comes.
func (p *peer) await(ok func(m map[string]any) bool) map[string]any {
	p.ws.SetReadDeadline(time.Now().Add(20 * time.Second))
	for {
		var m map[string]any
		if err := p.ws.ReadJSON(&m); err != nil {
			return nil
		}
		if ok(m) {
			return m
		}
	}
}

// refresh gives the session a token that grants these documents alone.
func (p *peer) refresh(user, grants string) {
	p.t.Helper()
	if m := p.ask(1000, map[string]any{"type": "auth", "token": user + " " + grants}); m == nil || m["type"] != "ack" {
		p.t.Fatalf("got %v, want the token to be taken", m)
	}
}

const nothing = "none=read"

// stop keeps every commit waiting until the function that it returns is called.
func (h *house) stop() (goOn func()) {
	hold, held := make(chan struct{}), make(chan struct{})
	go h.db.Write(h.t.Context(), func(*db.Tx) error { close(held); <-hold; return nil })
	<-held
	return func() { close(hold) }
}

// soon is enough for a room to take what it has been posted. Where it is not,
// a test sees less than it could, and does not fail.
const soon = 50 * time.Millisecond

// by returns a change of somebody else that builds on the first.
func by(actor byte) changetest.Change {
	return changetest.Change{
		Actor: changetest.Actor(actor), StartOp: 2, Deps: []change.Hash{first.Hash()},
		Ops: []changetest.Op{changetest.Set(changetest.ID{}, "y", 1)},
	}
}

func (h *house) room() *room {
	h.module.mu.Lock()
	defer h.module.mu.Unlock()
	return h.module.rooms[testDocument]
}

func TestEventsStayInTheirDocument(t *testing.T) {
	h := build(t, Options{})
	owner := h.join("owner")
	owner.ask(1, editOf(first))
	other := editOf(first)
	other["documentId"] = otherDocument
	owner.ask(2, other)
	alice, bob := h.join("alice "+testDocument+"=read"), h.join("bob "+otherDocument+"=read")
	alice.ask(1, about("collab:join_document"))
	join := about("collab:join_document")
	join["documentId"] = otherDocument
	if m := bob.ask(1, join); m == nil || m["type"] != "ack" {
		t.Fatalf("got %v", m)
	}
	alice.send(map[string]any{"type": "ping", "id": 2})
	alice.await(func(m map[string]any) bool {
		if m["documentId"] == otherDocument {
			t.Errorf("told of a document that is not granted: %v", m)
		}
		return m["id"] == 2.0
	})
}

func TestGrantLostBeforeTheAnswer(t *testing.T) {
	h := build(t, Options{})
	alice := h.join("alice")
	alice.ask(1, editOf(first))
	goOn := h.stop()
	m := editOf(by(5))
	m["id"] = 2
	alice.send(m)
	time.Sleep(soon)
	alice.refresh("alice", nothing)
	goOn()
	if m := alice.await(func(m map[string]any) bool { return m["id"] == 2.0 }); m == nil {
		t.Error("the edit has never been answered")
	}
}

func TestLeaveBehindAnEdit(t *testing.T) {
	h := build(t, Options{})
	alice, bob, carol := h.join("alice"), h.join("bob"), h.join("carol")
	alice.ask(1, editOf(first))
	goOn := h.stop()
	carol.send(editOf(by(5)))
	time.Sleep(soon)
	again := editOf(first)
	again["id"] = 2
	alice.send(again)
	leave := about("collab:leave_document")
	leave["id"] = 3
	alice.send(leave)
	bob.send(editOf(by(6)))
	time.Sleep(soon)
	goOn()
	seen := make(map[any]bool)
	alice.await(func(m map[string]any) bool { seen[m["id"]] = true; return seen[2.0] && seen[3.0] })
	if !seen[2.0] || !seen[3.0] {
		t.Errorf("answers came to %v only", slices.Collect(maps.Keys(seen)))
	}
}

func TestWhoLeavesAndSyncsIsStillAUser(t *testing.T) {
	h := build(t, Options{})
	alice, bob := h.join("alice"), h.join("bob")
	alice.sync("alice", offer(first))
	alice.hears(first.Hash())
	alice.ask(1, about("collab:join_document"))
	alice.ask(2, about("collab:leave_document"))
	if m := bob.ask(1, about("collab:join_document")); len(m["users"].([]any)) != 2 {
		t.Errorf("users are %v, want alice too, who syncs", m["users"])
	}
	if m := alice.ask(3, about("collab:cursor_move", "x", 1)); m["type"] != "ack" {
		t.Errorf("she may not move: %v", m)
	}
}

func TestUnloadableDocumentWithACursorIsLeftAlone(t *testing.T) {
	h := build(t, Options{IdleAfter: 20 * time.Millisecond})
	bob := h.join("bob")
	bob.ask(1, editOf(first))
	bob.ws.Close()
	h.waitForOpen(0)
	h.exec(`DELETE FROM document_changes`)
	alice := h.join("alice")
	alice.send(about("collab:join_document"))
	alice.ask(1, about("collab:cursor_move", "x", 7))
	alice.ws.Close()
	h.waitForOpen(0)
}

// TestEditsCostTheirOperations: also where each comes from a session that is a
// member for no longer than the edit takes.
func TestEditsCostTheirOperations(t *testing.T) {
	h := build(t, Options{})
	bob := h.join("bob")
	bob.ask(1, editOf(first))
	for i := range 30 {
		deletions := append(change.AppendLeb(nil, int64(1<<21-i)), changetest.Del)
		c := changetest.Change{Actor: changetest.Actor(byte(i)), Replace: []changetest.Column{{Spec: changetest.Action, Data: deletions}}}
		if bob.ask(2+i, editOf(c)) == nil {
			return // closed
		}
	}
	t.Error("30 edits of two million operations each were looked at")
}

// TestSeatIsGone: a session that lost its grant and has it again is heard.
func TestSeatIsGone(t *testing.T) {
	h := build(t, Options{})
	alice, bob := h.join("alice"), h.join("bob")
	alice.sync("alice", offer(first))
	alice.hears(first.Hash())
	// In CBOR, as that is looked at before it is decoded.
	says := func(head change.Hash) {
		m := docsync.Message{Heads: []change.Hash{head}, Have: []docsync.Have{{LastSync: []change.Hash{head}}}}
		raw, err := cbor.Marshal(about("sync", "senderId", "alice", "data", docsync.AppendMessage(nil, m)))
		if err != nil {
			t.Fatal(err)
		}
		if err := alice.ws.WriteMessage(websocket.BinaryMessage, raw); err != nil {
			t.Fatal(err)
		}
	}
	says(first.Hash())
	time.Sleep(soon)
	says(first.Hash())
	goOn := h.stop()
	bob.send(editOf(by(5)))
	time.Sleep(soon)
	alice.refresh("alice", nothing)
	goOn()
	time.Sleep(soon)
	alice.refresh("alice", "*=write")
	says(by(5).Hash())
	if m := alice.await(func(m map[string]any) bool { return m["type"] == "sync" }); m == nil {
		t.Error("the room does not know of her")
	}
}

func TestCursorGoesWithALostGrant(t *testing.T) {
	h := build(t, Options{})
	bob, alice := h.join("bob"), h.join("alice")
	bob.ask(1, editOf(first))
	bob.ask(2, about("collab:join_document"))
	goOn := h.stop()
	bob.send(editOf(by(5)))
	time.Sleep(soon)
	alice.send(about("collab:join_document"))
	alice.send(about("collab:cursor_move", "x", 7))
	alice.refresh("alice", nothing)
	alice.ws.Close()
	goOn()
	r := h.room()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		r.cursors.mu.Lock()
		left := slices.ContainsFunc(r.cursors.set.Since(0), func(u *cursorUpdate) bool { return u.session != nil })
		r.cursors.mu.Unlock()
		if !left {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the cursor of a session that has gone is still there")
		}
	}
}
