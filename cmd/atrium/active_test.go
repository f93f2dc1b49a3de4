package main

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func joinDocumentMsg(doc string) msg { return msg{"type": "collab:join_document", "documentId": doc} }

func leaveDocumentMsg(doc string) msg { return msg{"type": "collab:leave_document", "documentId": doc} }

// enter joins a document by collab:join_document, and returns the answer. The
// next that comes must be its users.
func (c *client) enter(doc string) msg {
	c.t.Helper()
	answer := c.ask(joinDocumentMsg(doc))
	if outcome(answer) != "ack" {
		c.t.Fatalf("%s: got %v, want to be let in", c.user, answer)
	}
	active := c.expect("collab:active_users").msg
	if active["documentId"] != doc || !reflect.DeepEqual(active["users"], answer["users"]) {
		c.t.Fatalf("%s: got %v, want the users of the answer %v", c.user, active, answer)
	}
	return answer
}

// quit leaves a document by collab:leave_document.
func (c *client) quit(doc string) {
	c.t.Helper()
	if answer := c.ask(leaveDocumentMsg(doc)); outcome(answer) != "ack" {
		c.t.Fatalf("%s: got %v, want an ack", c.user, answer)
	}
}

// usersIn are the users of an answer, or of collab:active_users, each with the
// number of sessions.
func usersIn(m msg) string {
	var all []string
	users, _ := m["users"].([]any)
	for _, u := range users {
		u := u.(map[string]any)
		all = append(all, fmt.Sprintf("%v×%v", u["userId"], u["sessions"]))
	}
	return strings.Join(all, " ")
}

// collab are the messages of this document that c has been sent by collab:*,
// when the document has dealt with what all clients have been answered before.
// by is any other client with a grant.
func (c *client) collab(doc string, by *client) (told []msg) {
	c.t.Helper()
	by.settle(doc)
	for _, f := range c.ping() {
		if typ, _ := f.msg["type"].(string); strings.HasPrefix(typ, "collab:") && f.msg["documentId"] == doc {
			told = append(told, f.msg)
		}
	}
	return told
}

// expectEvents fails unless these events of users, and nothing else, have come
// by collab:*, as "joined alice" and "left alice".
func (c *client) expectEvents(doc string, by *client, want ...string) {
	c.t.Helper()
	var got []string
	for _, m := range c.collab(doc, by) {
		event := strings.TrimPrefix(m["type"].(string), "collab:user_")
		got = append(got, fmt.Sprint(event, " ", m["userId"]))
	}
	if !slices.Equal(got, want) {
		c.t.Errorf("%s: got events %q, want %q", c.user, got, want)
	}
}

// settled waits until somebody who looks again and again sees these users.
func (c *client) settled(doc, users string) {
	c.t.Helper()
	got := ""
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) { // joins are limited
		if got = usersIn(c.enter(doc)); got == users {
			return
		}
	}
	c.t.Fatalf("%s sees %s, want %s", c.user, got, users)
}

func TestJoinDocument(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	doc := newDocument()
	head := dial(t, s, "olga", docs("*", "write"), named("Olga", "https://example.com/o.png")).author(doc).write()
	for name, inCodec := range everyCodec {
		for _, level := range []string{"read", "write"} {
			t.Run(name+"/"+level, func(t *testing.T) {
				alice := dial(t, s, "alice", docs("*", level), senderID(name+level), inCodec)
				got := alice.enter(doc)
				delete(got, "id")
				want := msg{
					"type": "ack", "access": level, "heads": []any{head.String()},
					"users": []any{
						map[string]any{"userId": "olga", "username": "Olga", "avatar": "https://example.com/o.png", "sessions": 1.0},
						map[string]any{"userId": "alice", "username": "alice", "avatar": "", "sessions": 1.0},
					},
				}
				if !reflect.DeepEqual(got, want) {
					t.Errorf("got  %v\nwant %v", got, want)
				}
				alice.quit(doc)
				alice.expectNothing()
			})
		}
		t.Run(name+"/refused", func(t *testing.T) {
			alice := dial(t, s, "alice", docs("*", "write"), docs(doc, "none"), senderID(name), inCodec)
			tests := []struct {
				name string
				m    msg
				want string
			}{
				{"unknown", joinDocumentMsg(newDocument()), "not_found"},
				{"not granted", joinDocumentMsg(doc), "forbidden"},
				{"a bad id", joinDocumentMsg(doc[1:]), "bad_request"},
				{"an empty id", joinDocumentMsg(""), "bad_request"},
				{"no id", msg{"type": "collab:join_document"}, "bad_request"},
				{"a number", msg{"type": "collab:join_document", "documentId": 7}, "bad_request"},
				{"leaving a bad id", leaveDocumentMsg(doc[1:]), "bad_request"},
				{"leaving what was not joined", leaveDocumentMsg(doc), "ack"},
				{"leaving what is unknown", leaveDocumentMsg(newDocument()), "ack"},
			}
			for _, test := range tests {
				if answer := alice.ask(test.m); outcome(answer) != test.want {
					t.Errorf("%s: got %v, want %s", test.name, answer, test.want)
				}
			}
			alice.send(joinDocumentMsg(newDocument()))
			alice.expectError("not_found", nil)
			alice.expectNothing()
		})
	}
}

// TestJoinBeforeThereIsADocument: who asked too early can join when there is one.
func TestJoinBeforeThereIsADocument(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	doc := newDocument()
	alice := dial(t, s, "alice", docs("*", "read"))
	syncs := dial(t, s, "syncs", docs("*", "read"))
	syncs.open(doc).expect("doc-unavailable")
	for _, c := range []*client{alice, syncs} {
		if answer := c.ask(joinDocumentMsg(doc)); outcome(answer) != "not_found" {
			t.Errorf("%s: got %v, want not_found", c.user, answer)
		}
	}
	olga := dial(t, s, "olga", docs("*", "write")).author(doc)
	h := olga.write()
	alice.expectEvents(doc, olga.client) // being refused, she joined nothing
	if users := usersIn(alice.enter(doc)); users != "syncs×1 olga×1 alice×1" {
		t.Errorf("got users %s", users)
	}
	syncs.receives(doc, h)
}

func TestUsersComeAndGo(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	doc := newDocument()
	read := docs("*", "read")
	olga := dial(t, s, "olga", docs("*", "write"))
	olga.author(doc).write()
	eve := dial(t, s, "eve", read) // who only shouts is not among the users
	alice := dial(t, s, "alice", read, named("Alice", ""))
	alice.enter(doc)

	bob := dial(t, s, "bob", read, inJSON, senderID("bob's first"))
	if users := usersIn(bob.enter(doc)); users != "olga×1 alice×1 bob×1" {
		t.Errorf("got users %s", users)
	}
	joined := alice.expect("collab:user_joined").msg
	if want := (msg{"type": "collab:user_joined", "documentId": doc, "userId": "bob", "username": "bob"}); !reflect.DeepEqual(joined, want) {
		t.Errorf("got %v, want %v", joined, want)
	}

	// More sessions of those who are there are no events.
	again := dial(t, s, "bob", read, senderID("bob's second"))
	if users := usersIn(again.enter(doc)); users != "olga×1 alice×1 bob×2" {
		t.Errorf("got users %s", users)
	}
	aliceJSON := dial(t, s, "alice", read, inJSON, senderID("alice's second"), named("Alice B.", ""))
	aliceJSON.enter(doc)
	// Who only syncs counts, but hears nothing of it.
	carol := dial(t, s, "carol", read)
	carol.open(doc).expect("sync")
	for _, c := range []*client{alice, aliceJSON, bob, again} {
		c.expectEvents(doc, eve, "joined carol")
	}
	// Joining once more changes nothing.
	if users := usersIn(bob.enter(doc)); users != "olga×1 alice×2 bob×2 carol×1" {
		t.Errorf("got users %s", users)
	}
	alice.expectEvents(doc, eve)

	// bob goes with his last session, however he leaves.
	bob.quit(doc)
	bob.quit(doc)
	alice.expectEvents(doc, eve)
	if users := usersIn(aliceJSON.enter(doc)); users != "olga×1 alice×2 bob×1 carol×1" {
		t.Errorf("got users %s", users)
	}
	again.quit(doc)
	left := alice.expect("collab:user_left").msg
	if want := (msg{"type": "collab:user_left", "documentId": doc, "userId": "bob", "username": "bob"}); !reflect.DeepEqual(left, want) {
		t.Errorf("got %v, want %v", left, want)
	}
	aliceJSON.expectEvents(doc, eve, "left bob")

	// carol goes with her connection; who comes back, comes anew.
	carol.ws.Close()
	if left := alice.expect("collab:user_left").msg; left["userId"] != "carol" {
		t.Errorf("got %v, want carol to have left", left)
	}
	bob.enter(doc)
	alice.expectEvents(doc, eve, "joined bob")
	aliceJSON.expectEvents(doc, eve, "left carol", "joined bob")

	// Of all that, they heard nothing who had left, nor who never joined.
	again.expectEvents(doc, eve)
	olga.expectEvents(doc, eve)
}

// TestUserLeavesWithTheLastSession: a connection that breaks is not a user who
// goes, while there is another one.
func TestUserLeavesWithTheLastSession(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	doc := newDocument()
	olga := dial(t, s, "olga", docs("*", "write"))
	olga.author(doc).write()
	alice, sees := dial(t, s, "alice", docs("*", "read")), dial(t, s, "sees", docs("*", "read"))
	alice.enter(doc)
	sees.enter(doc)
	alice.expect("collab:user_joined")
	var bobs []*client
	for _, id := range []string{"joined", "syncs", "both"} {
		bob := dial(t, s, "bob", docs("*", "read"), senderID(id))
		if id != "syncs" {
			bob.enter(doc)
		}
		if id != "joined" {
			bob.open(doc).expect("sync")
		}
		bobs = append(bobs, bob)
	}
	alice.expectEvents(doc, olga, "joined bob")
	for i, bob := range bobs {
		bob.ws.Close()
		if left := len(bobs) - i - 1; left > 0 {
			sees.settled(doc, fmt.Sprintf("olga×1 alice×1 sees×1 bob×%d", left))
			alice.expectEvents(doc, olga)
		}
	}
	if left := alice.expect("collab:user_left").msg; left["userId"] != "bob" {
		t.Errorf("got %v, want bob to have left", left)
	}
	if users := usersIn(sees.enter(doc)); users != "olga×1 alice×1 sees×1" {
		t.Errorf("got users %s", users)
	}
}

// TestReplacedSessionIsNoSecondOne: the same client on a new connection.
func TestReplacedSessionIsNoSecondOne(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	doc := newDocument()
	olga := dial(t, s, "olga", docs("*", "write"))
	olga.author(doc).write()
	old := dial(t, s, "alice", docs("*", "read"))
	old.enter(doc)
	replaces := dial(t, s, "alice", docs("*", "read"))
	if users := usersIn(replaces.enter(doc)); users != "olga×1 alice×1" {
		t.Errorf("got users %s", users)
	}
	old.expectClose(4409)
}

func TestLostGrantLeavesTheDocument(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	doc := newDocument()
	olga := dial(t, s, "olga", docs("*", "write"))
	author := olga.author(doc)
	author.write()
	alice := dial(t, s, "alice", docs("*", "read"))
	alice.enter(doc)
	for name, syncs := range map[string]bool{"joined": false, "joined and syncs": true} {
		t.Run(name, func(t *testing.T) {
			bob := dial(t, s, "bob", docs("*", "write"), senderID(name))
			bob.ask(msg{"type": "collab:join_document", "documentId": doc, "heads": []any{}})
			if syncs {
				bob.open(doc)
			}
			bob.settle(doc)
			alice.expectEvents(doc, olga, "joined bob")

			bob.send(msg{"type": "auth", "id": "a", "token": token(t, "bob", docs(newDocument(), "write"))})
			if told := bob.await("doc-unavailable", func(m msg) bool { return m["type"] == "doc-unavailable" }).msg; told["documentId"] != doc {
				t.Errorf("got %v, want it of the document that is lost", told)
			}
			bob.expect("ack")
			if left := alice.expect("collab:user_left").msg; left["userId"] != "bob" {
				t.Errorf("got %v, want bob to have left", left)
			}
			author.write()
			carol := dial(t, s, "carol", docs("*", "read"), senderID(name))
			carol.enter(doc)
			carol.quit(doc)
			alice.expectEvents(doc, olga, "joined carol", "left carol")
			bob.expectNothing()
			for _, typ := range []string{"collab:join_document", "collab:edit", "collab:cursor_move"} {
				if answer := bob.ask(msg{"type": typ, "documentId": doc}); outcome(answer) != "forbidden" {
					t.Errorf("%s: got %v, want forbidden", typ, answer)
				}
			}
			if answer := bob.ask(leaveDocumentMsg(doc)); outcome(answer) != "ack" {
				t.Errorf("got %v, want an ack", answer)
			}
			// Granted again, he comes anew.
			bob.refreshed(docs("*", "read"))
			bob.enter(doc)
			alice.expectEvents(doc, olga, "joined bob")
			bob.quit(doc)
			alice.expectEvents(doc, olga, "left bob")
		})
		if t.Failed() {
			return
		}
	}
}

// TestLeftSessionHearsNothing of what it heard before.
func TestLeftSessionHearsNothing(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	doc := newDocument()
	olga := dial(t, s, "olga", docs("*", "write"))
	author := olga.author(doc)
	author.write()
	olga.enter(doc)
	alice := dial(t, s, "alice", docs("*", "read"))
	join := joinDocumentMsg(doc)
	join["heads"] = []any{}
	alice.ask(join)
	all := func() (heard map[any]int) {
		bob := dial(t, s, "bob", docs("*", "read"))
		bob.enter(doc)
		author.write()
		bob.ask(msg{"type": "collab:cursor_move", "documentId": doc, "x": 1})
		olga.await("bob's cursor", func(m msg) bool { return m["type"] == "collab:cursor_update" })
		bob.quit(doc)
		heard = make(map[any]int)
		for _, m := range alice.collab(doc, olga) {
			heard[m["type"]]++
		}
		return heard
	}
	heard := all()
	for _, typ := range []string{"collab:user_joined", "collab:changes", "collab:cursor_update", "collab:user_left"} {
		if heard[typ] == 0 {
			t.Errorf("while she was there she heard %v, no %s", heard, typ)
		}
	}
	alice.quit(doc)
	if heard := all(); len(heard) > 0 {
		t.Errorf("after she had left she heard %v", heard)
	}
}

// TestGrantRaisedOfAJoinedDocument: only who syncs has to come again.
func TestGrantRaisedOfAJoinedDocument(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	doc := existingDocument(t, s)
	alice := dial(t, s, "alice", docs("*", "read"))
	if access := alice.enter(doc)["access"]; access != "read" {
		t.Fatalf("access is %v, want read", access)
	}
	alice.refreshed(docs("*", "write"))
	if access := alice.enter(doc)["access"]; access != "write" {
		t.Errorf("access is %v, want write", access)
	}
	alice.author(doc).submit()
}

// TestMoveAfterLeave: a cursor that comes right behind the leave is nobody's.
func TestMoveAfterLeave(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	doc := existingDocument(t, s)
	alice := dial(t, s, "alice", docs("*", "read"))
	bob := dial(t, s, "alice", docs("*", "read"), senderID("another"))
	bob.enter(doc)
	for range 20 {
		alice.enter(doc)
		alice.send(leaveDocumentMsg(doc))
		alice.ask(moveMsg(doc, msg{"x": 1})) // acknowledged, if it overtakes the leave
	}
	alice.ask(leaveDocumentMsg(doc))
	if answer := alice.ask(moveMsg(doc, msg{"x": 1})); outcome(answer) != "forbidden" {
		t.Errorf("got %v, want forbidden", answer)
	}
	for _, u := range bob.enter(doc)["users"].([]any) {
		if user := u.(map[string]any); user["x"] != nil {
			t.Errorf("%v has a cursor, and no session that is there", user)
		}
	}
}
