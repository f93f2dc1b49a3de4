package main

import (
	"encoding/base64"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// mover is a session in a document, with a cursor there.
type mover struct {
	*client
	doc       string
	sessionID string
}

// moverIn connects, joins a document and knows its session by name.
func moverIn(t *testing.T, s *testServer, doc, user string, options ...option) *mover {
	t.Helper()
	c := connect(t, s, user, append(options, docs("*", "read"))...)
	c.join(append(options, docs("*", "read"))...)
	id := c.expect("peer").msg["sessionId"].(string)
	c.enter(doc)
	return &mover{c, doc, id}
}

// moveMsg is collab:cursor_move with these fields.
func moveMsg(doc string, at msg) msg {
	m := msg{"type": "collab:cursor_move", "documentId": doc}
	for k, v := range at {
		m[k] = v
	}
	return m
}

func (c *mover) move(at msg) {
	c.t.Helper()
	if answer := c.ask(moveMsg(c.doc, at)); outcome(answer) != "ack" {
		c.t.Fatalf("%s: got %v, want an ack", c.user, answer)
	}
}

// update is how others are told of the mover's cursor.
func (c *mover) update(at msg) map[string]any {
	u := map[string]any{"userId": c.user, "username": c.user, "sessionId": c.sessionID}
	for k, v := range at {
		u[k] = v
	}
	return u
}

// updatesIn are the updates of collab:cursor_update by session; other messages
// have none.
func updatesIn(m msg) map[any]map[string]any {
	if m["type"] != "collab:cursor_update" {
		return nil
	}
	by := make(map[any]map[string]any)
	for _, u := range m["updates"].([]any) {
		u := u.(map[string]any)
		by[u["sessionId"]] = u
	}
	return by
}

// sees waits until the client is told that the mover's cursor is just there;
// older places may come first.
func (c *client) sees(of *mover, at msg) {
	c.t.Helper()
	want := of.update(at)
	c.await(fmt.Sprintf("%s to be at %.100v", of.user, at), func(m msg) bool {
		return m["documentId"] == of.doc && reflect.DeepEqual(updatesIn(m)[of.sessionID], want)
	})
}

func existingDocument(t *testing.T, s *testServer) string {
	t.Helper()
	doc := newDocument()
	dial(t, s, "olga", docs("*", "write"), senderID(doc)).author(doc).submit()
	return doc
}

func TestCursorsOfEveryKind(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	doc := existingDocument(t, s)
	deep := msg{"anchor": []any{1.0, "x", nil}, "head": map[string]any{"a": true, "b": 1.5, "": ""}}
	positions := []msg{
		{"x": 1.5, "y": -2.0}, {"x": 0.0, "y": 0.0}, {"x": 1e300, "y": float64(1 << 40)}, {"x": 7.0}, {"y": -1.0},
		{"cursor": "12@0123abcd"}, {"cursor": ""}, {"cursor": 7.0}, {"cursor": -1.5}, {"cursor": float64(1 << 40)}, {"cursor": false},
		{"cursor": []any{}}, {"cursor": map[string]any{}}, {"cursor": []any{"ünï ☃", 1e-3}}, {"cursor": map[string]any(deep)},
		{"x": 3.0, "y": 4.0, "cursor": "both"},
		{"cursor": []byte("\x00\xffbytes")}, {"cursor": map[string]any{"at": []byte("deep")}},
		{}, // none
	}
	watchers := map[string]*client{}
	for name, inCodec := range everyCodec {
		watchers[name] = moverIn(t, s, doc, "watcher", senderID(name), inCodec).client
	}
	// told is what a value of a mover in one codec is to a client in the other.
	var told func(v any, toJSON bool) any
	told = func(v any, toJSON bool) any {
		switch v := v.(type) {
		case []byte:
			if toJSON {
				return base64.StdEncoding.EncodeToString(v)
			}
		case map[string]any:
			m := make(map[string]any)
			for k := range v {
				m[k] = told(v[k], toJSON)
			}
			return m
		}
		return v
	}
	for name, inCodec := range everyCodec {
		alice := moverIn(t, s, doc, "alice", senderID(name), inCodec)
		for _, at := range positions {
			alice.move(at)
			for _, watcher := range watchers {
				want := msg(told(map[string]any(at), watcher.json || alice.json).(map[string]any))
				watcher.sees(alice, want)
			}
		}
	}
}

func TestBadCursors(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	for name, inCodec := range everyCodec {
		t.Run(name, func(t *testing.T) {
			doc, other, forbidden := existingDocument(t, s), existingDocument(t, s), existingDocument(t, s)
			alice := moverIn(t, s, doc, "alice", senderID(name), inCodec, docs(forbidden, "none"))
			bob := moverIn(t, s, doc, "bob", senderID(name), inCodec)
			quotes := 3 // bytes of a text's length in CBOR
			if alice.json {
				quotes = 2
			}
			tests := []struct {
				name string
				m    msg
				want string
			}{
				{"a bad document", moveMsg(doc[1:], msg{"x": 1}), "bad_request"},
				{"no document", msg{"type": "collab:cursor_move", "x": 1}, "bad_request"},
				{"a document that was not joined", moveMsg(other, msg{"x": 1}), "forbidden"},
				{"a document that is unknown", moveMsg(newDocument(), msg{"x": 1}), "forbidden"},
				{"a document that is not granted", moveMsg(forbidden, msg{"x": 1}), "forbidden"},
				{"x is a text", moveMsg(doc, msg{"x": "1"}), "bad_request"},
				{"y is a list", moveMsg(doc, msg{"x": 1, "y": []any{1}}), "bad_request"},
				{"too large", moveMsg(doc, msg{"cursor": strings.Repeat("x", 4097-quotes)}), "too_large"},
				{"far too large", moveMsg(doc, msg{"cursor": strings.Repeat("x", 60_000)}), "too_large"},
				{"more than a message", moveMsg(doc, msg{"cursor": strings.Repeat("x", 70_000)}), "too_large"},
			}
			if !alice.json { // which cannot say these
				for what, f := range map[string]float64{"NaN": math.NaN(), "infinite": math.Inf(1), "minus infinite": math.Inf(-1)} {
					for _, field := range []string{"x", "y", "cursor"} {
						tests = append(tests, struct {
							name string
							m    msg
							want string
						}{field + " is " + what, moveMsg(doc, msg{field: f}), "bad_request"})
					}
				}
			}
			for _, test := range tests {
				if answer := alice.ask(test.m); outcome(answer) != test.want {
					t.Errorf("%s: got %v, want %s", test.name, answer, test.want)
				}
			}
			alice.send(moveMsg(doc, msg{"x": "1"}))
			alice.expectError("bad_request", nil)
			// The longest that may be is the first that others are told of.
			largest := msg{"cursor": strings.Repeat("x", 4096-quotes)}
			alice.move(largest)
			if u := updatesIn(bob.expect("collab:cursor_update").msg); !reflect.DeepEqual(u[alice.sessionID], alice.update(largest)) {
				t.Errorf("got %.300v, want the largest cursor", u)
			}
		})
	}
}

// TestCursorsBearTheirSession: whatever the sender claims to be.
func TestCursorsBearTheirSession(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	doc := existingDocument(t, s)
	bob := moverIn(t, s, doc, "bob")
	alice := moverIn(t, s, doc, "alice", named("Alice A.", ""))
	alice.move(msg{"x": 1, "userId": "bob", "username": "Bob", "sessionId": bob.sessionID, "type": "collab:cursor_move"})
	want := alice.update(msg{"x": 1.0})
	want["username"] = "Alice A."
	got := bob.await("alice's cursor", func(m msg) bool { return m["type"] == "collab:cursor_update" }).msg
	if !reflect.DeepEqual(got, msg{"type": "collab:cursor_update", "documentId": doc, "updates": []any{want}}) {
		t.Errorf("got %v, want %v", got, want)
	}
	// Who only syncs may show a cursor too.
	carol := connect(t, s, "carol", docs("*", "read"))
	carol.join(docs("*", "read"))
	syncs := &mover{carol, doc, carol.expect("peer").msg["sessionId"].(string)}
	syncs.open(doc).expect("sync")
	syncs.move(msg{"cursor": "here"})
	bob.sees(syncs, msg{"cursor": "here"})
	syncs.ws.Close()
	bob.sees(syncs, nil)
}

// TestOneFrameForAllWhoMoved, sooner or later.
func TestOneFrameForAllWhoMoved(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	doc := existingDocument(t, s)
	watcher := moverIn(t, s, doc, "watcher")
	var movers []*mover
	for i := range 3 {
		movers = append(movers, moverIn(t, s, doc, fmt.Sprint("mover ", i)))
	}
	most, x := 0, 0
	for deadline := time.Now().Add(patience); most < len(movers) && time.Now().Before(deadline); {
		x++
		for _, m := range movers {
			m.send(moveMsg(doc, msg{"x": x}))
		}
		for last := 0; last < len(movers); {
			u := updatesIn(watcher.next().msg)
			for _, at := range u {
				if at["x"] == float64(x) {
					last++
				}
			}
			most = max(most, len(u))
		}
	}
	if most < len(movers) {
		t.Errorf("no frame had more than %d sessions' moves of %d", most, len(movers))
	}
}

// TestNewcomerGetsAllCursors right after joining, in one frame.
func TestNewcomerGetsAllCursors(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	doc := existingDocument(t, s)
	watcher := moverIn(t, s, doc, "watcher")
	alice, again := moverIn(t, s, doc, "alice", senderID("1")), moverIn(t, s, doc, "alice", senderID("2"), inJSON)
	bob, left := moverIn(t, s, doc, "bob"), moverIn(t, s, doc, "left")
	for _, step := range []struct {
		of *mover
		at msg
	}{
		{again, msg{"x": 9.0}}, {bob, msg{"x": 5.0, "y": 6.0}}, {left, msg{"x": 0.0}}, {alice, msg{"cursor": "old"}},
		{again, msg{"x": 1.0, "y": 2.0}}, {alice, msg{"cursor": map[string]any{"a": 1.0}}},
	} {
		step.of.move(step.at)
		watcher.sees(step.of, step.at)
	}
	left.quit(doc)
	watcher.sees(left, nil)
	for name, inCodec := range everyCodec {
		t.Run(name, func(t *testing.T) {
			newcomer := dial(t, s, "newcomer", docs("*", "read"), senderID(name), inCodec)
			users := make(map[any]map[string]any)
			for _, u := range newcomer.enter(doc)["users"].([]any) {
				u := u.(map[string]any)
				users[u["userId"]] = u
			}
			for user, want := range map[string]map[string]any{
				"alice":   {"userId": "alice", "username": "alice", "avatar": "", "sessions": 2.0, "cursor": map[string]any{"a": 1.0}}, // the one that moved last
				"bob":     {"userId": "bob", "username": "bob", "avatar": "", "sessions": 1.0, "x": 5.0, "y": 6.0},
				"watcher": {"userId": "watcher", "username": "watcher", "avatar": "", "sessions": 1.0},
			} {
				if got := users[user]; !reflect.DeepEqual(got, want) {
					t.Errorf("among the users: got %v, want %v", got, want)
				}
			}
			got := updatesIn(newcomer.expect("collab:cursor_update").msg)
			if gone := got[left.sessionID]; len(gone) == 3 { // that it has gone may be told
				delete(got, left.sessionID)
			}
			want := map[any]map[string]any{
				alice.sessionID: alice.update(msg{"cursor": map[string]any{"a": 1.0}}),
				again.sessionID: again.update(msg{"x": 1.0, "y": 2.0}),
				bob.sessionID:   bob.update(msg{"x": 5.0, "y": 6.0}),
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got  %v\nwant %v", got, want)
			}
			newcomer.quit(doc)
			newcomer.expectNothing()
		})
	}
}

// TestFirstMoveIsNotLost of who joins and moves at once, while the document is
// busy with a commit and about to tell of other cursors.
func TestFirstMoveIsNotLost(t *testing.T) {
	t.Parallel()
	s := startServer(t, onFile)
	doc := existingDocument(t, s)
	watcher, busy := moverIn(t, s, doc, "watcher"), moverIn(t, s, doc, "busy")
	author := dial(t, s, "author", docs("*", "write")).author(doc)
	db := openDB(t, s)
	exec := func(query string) {
		t.Helper()
		if _, err := db.Exec(query); err != nil {
			t.Fatal(err)
		}
	}
	for x := range 5 {
		newcomer := connect(t, s, "newcomer", docs("*", "read"))
		newcomer.join(docs("*", "read"))
		id := newcomer.expect("peer").msg["sessionId"].(string)
		newcomer.ping() // the user is stored
		exec(`BEGIN IMMEDIATE`)
		for i := range 3 { // the later ones are not told at once
			busy.send(moveMsg(doc, msg{"x": i}))
		}
		author.send(editMsg(doc, author.next().Encode()))
		author.ping()
		newcomer.send(joinDocumentMsg(doc))
		newcomer.send(moveMsg(doc, msg{"x": x}))
		newcomer.ping()
		exec(`ROLLBACK`)
		watcher.sees(&mover{newcomer, doc, id}, msg{"x": float64(x)})
	}
}

// TestCursorGoesWithItsSession, however that goes.
func TestCursorGoesWithItsSession(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	doc := existingDocument(t, s)
	watcher := moverIn(t, s, doc, "watcher", inJSON)
	for name, leave := range map[string]func(*mover){
		"leaves":          func(m *mover) { m.quit(doc) },
		"disconnects":     func(m *mover) { m.ws.Close() },
		"loses its grant": func(m *mover) { m.refreshed(docs(newDocument(), "read")) },
		"is replaced":     func(m *mover) { moverIn(t, s, doc, m.user) },
		"has none":        func(m *mover) { m.move(nil) },
	} {
		t.Run(name, func(t *testing.T) {
			alice := moverIn(t, s, doc, "alice "+name)
			alice.move(msg{"x": 1, "y": 2, "cursor": "c"})
			watcher.sees(alice, msg{"x": 1.0, "y": 2.0, "cursor": "c"})
			leave(alice)
			watcher.sees(alice, nil)
			if name == "leaves" {
				if answer := alice.ask(moveMsg(doc, msg{"x": 1})); outcome(answer) != "forbidden" {
					t.Errorf("got %v, want forbidden to who has left", answer)
				}
			}
		})
	}
	for _, u := range dial(t, s, "newcomer", docs("*", "read")).enter(doc)["users"].([]any) {
		if u := u.(map[string]any); u["x"] != nil || u["cursor"] != nil {
			t.Errorf("a cursor is left: %v", u)
		}
	}
}

// TestCursorFlood: too many moves are no error; the others are told of some, and
// of the last.
func TestCursorFlood(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	doc := existingDocument(t, s)
	bob, alice := moverIn(t, s, doc, "bob"), moverIn(t, s, doc, "alice")
	bob.expect("collab:user_joined")
	const moves = 500
	began := time.Now()
	for x := range moves {
		alice.send(moveMsg(doc, msg{"x": x}))
	}
	updates, x := 0, -1.0
	for x < moves-1 {
		at := updatesIn(bob.expect("collab:cursor_update").msg)[alice.sessionID]["x"].(float64)
		if at <= x {
			t.Fatalf("got x %v after %v", at, x)
		}
		x = at
		updates++
	}
	took := time.Since(began)
	t.Logf("%d moves were told in %d updates in %v", moves, updates, took)
	if most := 3 + int(took.Seconds()*60); updates > most {
		t.Errorf("%d updates in %v, want %d at most", updates, took, most)
	}
	alice.expectNothing()
	bob.expectNothing()
}

// TestPausedViewer: who does not read is told of the newest cursors later; what
// came before is not kept.
func TestPausedViewer(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	doc := existingDocument(t, s)
	watcher := moverIn(t, s, doc, "watcher")
	viewer := moverIn(t, s, doc, "viewer", receiveBuffer(4096))
	var movers []*mover
	for i := range 4 {
		movers = append(movers, moverIn(t, s, doc, fmt.Sprint("mover ", i)))
	}
	at := func(x int) msg { return msg{"x": float64(x), "cursor": strings.Repeat("c", 4000)} }
	viewer.ping() // who has joined
	viewer.pause()
	told, x := 0, 0
	for told < 3<<20 { // more than sockets hold, and than may be queued
		x++
		for _, m := range movers {
			m.send(moveMsg(doc, at(x)))
		}
		for last := 0; last < len(movers); {
			f := watcher.next()
			for _, u := range updatesIn(f.msg) {
				if u["x"] == float64(x) {
					last++
				}
			}
			told += len(f.raw)
		}
	}
	viewer.resume()
	missing := slices.Clone(movers)
	frames, bytes := 0, 0
	for ; len(missing) > 0; frames++ {
		f := viewer.expect("collab:cursor_update")
		bytes += len(f.raw)
		updates := updatesIn(f.msg)
		missing = slices.DeleteFunc(missing, func(m *mover) bool {
			return reflect.DeepEqual(updates[m.sessionID], m.update(at(x)))
		})
	}
	t.Logf("%d bytes were told; the viewer got %d of them in %d frames", told, bytes, frames)
	if bytes > told/4 {
		t.Errorf("the viewer got %d bytes of %d: what was old was kept for it", bytes, told)
	}
	viewer.expectNothing()
	movers[0].move(at(x + 1))
	viewer.sees(movers[0], at(x+1))
}

// TestLoneCursor: nobody is told of nothing but the own cursor.
func TestLoneCursor(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	doc := existingDocument(t, s)
	alice := moverIn(t, s, doc, "alice")
	move := func(x int) { alice.send(moveMsg(doc, msg{"x": x})) } // what comes to alice stays to be looked at
	move(0)
	alice.expectNothing()
	bob := moverIn(t, s, doc, "bob")
	for x := range 20 {
		move(x)
		bob.sees(alice, msg{"x": float64(x)})
	}
	alice.expect("collab:user_joined")
	alice.expectNothing()
	bob.move(msg{"y": 1})
	if updates := updatesIn(alice.expect("collab:cursor_update").msg); !reflect.DeepEqual(updates[bob.sessionID], bob.update(msg{"y": 1.0})) {
		t.Errorf("alice was told of %v, want bob's cursor", updates)
	}
	alice.expectNothing()
}
