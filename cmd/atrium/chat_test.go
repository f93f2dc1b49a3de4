package main

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/google/uuid"
)

func chatMsg(what, room string, fields msg) msg {
	m := msg{"type": "chat:" + what, "roomId": room}
	for k, v := range fields {
		m[k] = v
	}
	return m
}

// acks asks, and fails unless the answer is an ack.
func (c *client) acks(m msg) msg {
	c.t.Helper()
	answer := c.ask(m)
	if outcome(answer) != "ack" {
		c.t.Fatalf("%s: %v got %v", c.user, m, answer)
	}
	return answer
}

// enters joins a room, and returns the ack.
func (c *client) enters(room string) msg {
	c.t.Helper()
	return c.acks(chatMsg("join", room, nil))
}

// says writes a message, and returns it as acknowledged.
func (c *client) says(room, text string) msg {
	c.t.Helper()
	return c.acks(chatMsg("message", room, msg{"message": text}))["message"].(map[string]any)
}

// lines are the events in an answer, as "seq text".
func lines(t *testing.T, answer msg) string {
	t.Helper()
	list, ok := answer["messages"].([]any)
	if !ok {
		t.Fatalf("got %v, want messages", answer)
	}
	var all []string
	for _, m := range list {
		all = append(all, line(m.(map[string]any)))
	}
	return strings.Join(all, ", ")
}

func line(m msg) string {
	switch {
	case m["type"] == "chat:edited":
		return fmt.Sprint(m["seq"], " edit ", m["content"])
	case m["type"] == "chat:deleted":
		return fmt.Sprint(m["seq"], " delete")
	case m["deleted"] == true:
		return fmt.Sprint(m["seq"], " gone")
	}
	return fmt.Sprint(m["seq"], " ", m["content"])
}

// TestChat: a room's life in both codecs.
func TestChat(t *testing.T) {
	t.Parallel()
	s := startServer(t, withAPIKey)
	alice := dial(t, s, "alice", rooms("team-*", "write"), named("Alice", "https://example.com/a.png"))
	bob := dial(t, s, "bob", rooms("team-*", "write"), inJSON)
	const room = "team-ä 1"

	answer := alice.enters(room)
	if !reflect.DeepEqual(answer.without("id", "type"), msg{
		"lastSeq": 0.0, "messages": []any{}, "readSeq": 0.0, "unread": 0.0, "memberCount": 1.0,
		"members": []any{map[string]any{"userId": "alice", "username": "Alice", "avatar": "https://example.com/a.png", "sessions": 1.0}},
	}) {
		t.Errorf("got %v", answer)
	}
	alice.expectNothing()
	if answer := bob.enters(room); len(answer["members"].([]any)) != 2 {
		t.Errorf("got %v", answer)
	}
	if got := alice.expect("chat:user_joined").msg; !reflect.DeepEqual(got, msg{"type": "chat:user_joined", "roomId": room, "userId": "bob", "username": "bob"}) {
		t.Errorf("got %v", got)
	}

	// A message: acknowledged, and told to everyone, the sender too.
	first := alice.acks(chatMsg("message", room, msg{"message": "hello\nbob", "clientId": "c1"}))["message"].(map[string]any)
	if id, err := uuid.Parse(first["id"].(string)); err != nil || id.Version() != 7 {
		t.Errorf("id is %v", first["id"])
	}
	want := map[string]any{
		"type": "chat:message", "id": first["id"], "roomId": room, "seq": 1.0, "content": "hello\nbob", "createdAt": first["createdAt"], "clientId": "c1",
		"user": map[string]any{"id": "alice", "name": "Alice", "avatar": "https://example.com/a.png"},
	}
	if !reflect.DeepEqual(first, want) {
		t.Errorf("acknowledged %v, want %v", first, want)
	}
	for _, c := range []*client{alice, bob} {
		if got := c.expect("chat:message").msg; !reflect.DeepEqual(map[string]any(got), want) {
			t.Errorf("%s: got %v, want %v", c.user, got, want)
		}
	}
	// The same once more is stored once, and told to nobody.
	again := alice.acks(chatMsg("message", room, msg{"message": "other words", "clientId": "c1"}))["message"]
	if !reflect.DeepEqual(again, any(want)) {
		t.Errorf("again: got %v, want %v", again, want)
	}
	bob.expectNothing()
	// The same client id of another user is another message.
	reply := bob.acks(chatMsg("message", room, msg{"message": "hi", "clientId": "c1", "replyTo": first["id"]}))["message"].(map[string]any)
	if reply["replyTo"] != first["id"] || reply["seq"] != 2.0 {
		t.Errorf("got %v", reply)
	}
	for _, c := range []*client{alice, bob} {
		c.expect("chat:message")
	}

	// Edited, deleted: the next seqs.
	if got := alice.acks(chatMsg("edit", room, msg{"messageId": first["id"], "message": "hello Bob"})); got["seq"] != 3.0 {
		t.Errorf("got %v", got)
	}
	for _, c := range []*client{alice, bob} {
		got := c.expect("chat:edited").msg
		if !reflect.DeepEqual(got.without("editedAt"), msg{"type": "chat:edited", "roomId": room, "seq": 3.0, "messageId": first["id"], "content": "hello Bob", "userId": "alice"}) {
			t.Errorf("%s: got %v", c.user, got)
		}
	}
	alice.acks(chatMsg("edit", room, msg{"messageId": first["id"], "message": "hello Bob"})) // which changes nothing
	bob.expectNothing()
	if got := bob.acks(chatMsg("delete", room, msg{"messageId": reply["id"]})); got["seq"] != 4.0 {
		t.Errorf("got %v", got)
	}
	for _, c := range []*client{alice, bob} {
		got := c.expect("chat:deleted").msg
		if !reflect.DeepEqual(got.without("deletedAt"), msg{"type": "chat:deleted", "roomId": room, "seq": 4.0, "messageId": reply["id"], "userId": "bob"}) {
			t.Errorf("%s: got %v", c.user, got)
		}
	}
	bob.acks(chatMsg("delete", room, msg{"messageId": reply["id"]}))
	alice.expectNothing()
	for what, want := range map[string]struct {
		m    msg
		code string
	}{
		"somebody else's":  {chatMsg("edit", room, msg{"messageId": first["id"], "message": "x"}), "forbidden"},
		"not there":        {chatMsg("edit", room, msg{"messageId": "nothing", "message": "x"}), "not_found"},
		"deleted":          {chatMsg("edit", room, msg{"messageId": reply["id"], "message": "x"}), "not_found"},
		"delete another's": {chatMsg("delete", room, msg{"messageId": first["id"]}), "forbidden"},
		"reply to nothing": {chatMsg("message", room, msg{"message": "x", "replyTo": "nothing"}), "not_found"},
	} {
		if got := outcome(bob.ask(want.m)); got != want.code {
			t.Errorf("%s: got %s, want %s", what, got, want.code)
		}
	}
	admin := dial(t, s, "root", rooms("*", "write"), func(d *dialing) { d.claims.Admin = true })
	if got := lines(t, admin.enters(room)); got != "1 hello Bob, 2 gone" {
		t.Errorf("who joins sees %s", got)
	}
	if got := lines(t, admin.acks(chatMsg("join", room, msg{"since": 1}))); got != "2 gone, 3 edit hello Bob, 4 delete" {
		t.Errorf("since 1: %s", got)
	}
	admin.acks(chatMsg("delete", room, msg{"messageId": first["id"]}))
	if got := lines(t, admin.acks(chatMsg("join", room, msg{"since": 0}))); got != "1 gone, 2 gone, 3 edit , 4 delete, 5 delete" {
		t.Errorf("since 0: %s", got)
	}
	for _, c := range []*client{alice, bob} {
		c.expect("chat:user_joined")
		c.expect("chat:deleted")
	}
	// Who goes is told of once, with the last session.
	tablet := dial(t, s, "bob", senderID("tablet"), rooms("team-*", "write"))
	tablet.enters(room)
	bob.acks(chatMsg("leave", room, nil))
	bob.acks(chatMsg("leave", room, nil))
	alice.expectNothing()
	tablet.ws.Close()
	if got := alice.expect("chat:user_left").msg; !reflect.DeepEqual(got, msg{"type": "chat:user_left", "roomId": room, "userId": "bob", "username": "bob"}) {
		t.Errorf("got %v", got)
	}
	alice.says(room, "still there?")
	alice.expect("chat:message")
	bob.expectNothing()
	if got := outcome(bob.ask(chatMsg("message", room, msg{"message": "x"}))); got != "forbidden" {
		t.Errorf("who has left writes: %s", got)
	}
}
