package main

import (
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"
)

// TestChatReading: read marks, unread counts, the list of rooms.
func TestChatReading(t *testing.T) {
	t.Parallel()
	s := startServer(t, withAPIKey)
	alice := dial(t, s, "alice", rooms("*", "write"))
	alice.enters("a")
	for i := range 3 {
		alice.says("a", fmt.Sprint(i+1))
	}
	doomed := alice.says("a", "doomed")
	alice.acks(chatMsg("delete", "a", msg{"messageId": doomed["id"]}))
	bob := dial(t, s, "bob", rooms("*", "read"), rooms("secret", "none"))
	phone := dial(t, s, "bob", senderID("phone"), inJSON)
	if got := bob.enters("a"); got["readSeq"] != 0.0 || got["unread"] != 3.0 || got["lastSeq"] != 5.0 {
		t.Errorf("got %v", got)
	}
	for _, test := range []struct {
		seq         int
		unread, now float64
	}{{2, 1, 2}, {1, 1, 2}, {99, 0, 5}, {99, 0, 5}} {
		if got := bob.acks(chatMsg("read", "a", msg{"seq": test.seq})); got["unread"] != test.unread {
			t.Errorf("read up to %v: got %v", test.seq, got)
		}
		if got := bob.enters("a"); got["readSeq"] != test.now || got["unread"] != test.unread {
			t.Errorf("read up to %v: joining again got %v", test.seq, got)
		}
	}
	for _, want := range []msg{{"seq": 2.0, "unread": 1.0}, {"seq": 5.0, "unread": 0.0}} { // what moved
		if got := phone.expect("chat:read").msg; got["roomId"] != "a" || !reflect.DeepEqual(got.without("type", "roomId"), want) {
			t.Errorf("got %v, want %v", got, want)
		}
	}
	phone.expectNothing()
	if got := outcome(bob.ask(chatMsg("read", "never joined", msg{"seq": 1}))); got != "forbidden" {
		t.Errorf("a mark where one has never been: %s", got)
	}

	carol := dial(t, s, "carol", rooms("*", "write"))
	for _, room := range []string{"b", "secret", "a"} {
		carol.enters(room)
	}
	carol.says("b", strings.Repeat("ü", 1000))
	carol.says("secret", "x")
	carol.says("a", "of carol")
	list := carol.acks(msg{"type": "chat:rooms"})
	var got []string
	for _, r := range list["rooms"].([]any) {
		r := msg(r.(map[string]any))
		got = append(got, fmt.Sprint(r["roomId"], " ", r["lastSeq"], " ", r["readSeq"], " ", r["unread"], " ", len(r["lastMessage"].(map[string]any)["content"].(string))))
	}
	if want := []string{"a 6 0 3 8", "secret 1 0 0 1", "b 1 0 0 1024"}; !reflect.DeepEqual(got, want) || list["more"] != false {
		t.Errorf("got %q, want %q", got, want)
	}
	// Only what the token grants is listed, joined before or not.
	again := dial(t, s, "carol", senderID("again"), rooms("*", "write"), rooms("secret", "none"))
	if n := len(again.acks(msg{"type": "chat:rooms"})["rooms"].([]any)); n != 2 {
		t.Errorf("%d rooms are listed, want 2", n)
	}
	empty := dial(t, s, "dave", rooms("*", "read"))
	if got := empty.acks(msg{"type": "chat:rooms"})["rooms"]; !reflect.DeepEqual(got, []any{}) {
		t.Errorf("got %v, want none", got)
	}
	empty.enters("void")
	if got := empty.acks(msg{"type": "chat:rooms"})["rooms"]; !reflect.DeepEqual(got, []any{map[string]any{"roomId": "void", "lastSeq": 0.0, "readSeq": 0.0, "unread": 0.0, "lastMessage": nil}}) {
		t.Errorf("got %v", got)
	}
}

// TestChatHistory: pages both ways, over the socket and over HTTP, and what
// somebody gets who comes back.
func TestChatHistory(t *testing.T) {
	t.Parallel()
	s := startServer(t, withAPIKey)
	path := "/api/v1/rooms/a/messages"
	const n = 560
	for i := range n {
		s.post(path, map[string]any{"content": fmt.Sprint("m", i+1)}).expect(t, 201)
	}
	span := func(from, to int) string {
		var all []string
		for i := from; i <= to; i++ {
			all = append(all, fmt.Sprint(i, " m", i))
		}
		return strings.Join(all, ", ")
	}
	for name, inCodec := range everyCodec {
		alice := dial(t, s, "alice", senderID(name), rooms("*", "read"), inCodec)
		for _, test := range []struct {
			fields msg
			want   string
			more   bool
		}{
			{msg{}, span(n-49, n), true},
			{msg{"limit": 3}, span(n-2, n), true},
			{msg{"limit": 3, "before": 3}, span(1, 2), false},
			{msg{"limit": 3, "before": 10}, span(7, 9), true},
			{msg{"limit": 3, "after": 0}, span(1, 3), true},
			{msg{"limit": 3, "after": 3}, span(4, 6), true},
			{msg{"limit": 200, "after": 3, "before": 8}, span(4, 7), false},
			{msg{"limit": 3, "after": n}, "", false},
		} {
			got := alice.acks(chatMsg("history", "a", test.fields))
			if lines(t, got) != test.want || got["more"] != test.more {
				t.Errorf("%s: %v: got %s, more %v", name, test.fields, lines(t, got), got["more"])
			}
			query := "?"
			for k, v := range test.fields {
				query += fmt.Sprint(k, "=", v, "&")
			}
			page := s.read(path+query).expect(t, 200)
			if lines(t, page.msg) != test.want || page.msg["more"] != test.more {
				t.Errorf("HTTP: %v: got %s", test.fields, page.raw)
			}
		}
		if got := alice.enters("a"); lines(t, got) != span(n-49, n) || got["lastSeq"] != float64(n) || got["truncated"] != nil {
			t.Errorf("%s: joining got %s", name, lines(t, got))
		}
		for since, want := range map[int]string{n: "", n - 1: span(n, n), n - 500: span(n-499, n), n + 5: ""} {
			if got := alice.acks(chatMsg("join", "a", msg{"since": since})); lines(t, got) != want || got["truncated"] != nil {
				t.Errorf("%s: since %d got %s, truncated %v", name, since, lines(t, got), got["truncated"])
			}
		}
		if got := alice.acks(chatMsg("join", "a", msg{"since": n - 501})); lines(t, got) != span(n-499, n) || got["truncated"] != true {
			t.Errorf("%s: since long ago got %s, truncated %v", name, lines(t, got), got["truncated"])
		}
	}
}

// TestLargeChat: answers do not grow beyond what a session's queue may hold.
func TestLargeChat(t *testing.T) {
	t.Parallel()
	s := startServer(t, withAPIKey)
	for range 100 {
		s.post("/api/v1/rooms/a/messages", map[string]any{"content": strings.Repeat("x", 16<<10)}).expect(t, 201)
	}
	alice := dial(t, s, "alice", rooms("*", "read"))
	if got := alice.enters("a"); len(got["messages"].([]any)) != 8 {
		t.Errorf("joining got %d messages", len(got["messages"].([]any)))
	}
	got := alice.acks(chatMsg("join", "a", msg{"since": 50}))
	if list := got["messages"].([]any); len(list) != 8 || got["truncated"] != true || line(list[7].(map[string]any))[:4] != "100 " {
		t.Errorf("since 50 got %d messages, truncated %v", len(list), got["truncated"])
	}
	got = alice.acks(chatMsg("history", "a", msg{"after": 10}))
	if list := got["messages"].([]any); len(list) != 8 || got["more"] != true || line(list[0].(map[string]any))[:3] != "11 " {
		t.Errorf("after 10 got %d messages, more %v", len(list), got["more"])
	}
}

// TestTyping: told when it begins and when it ends, which it does by itself, by a
// message, and by going away.
func TestTyping(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	alice := dial(t, s, "alice", rooms("*", "write"))
	bob := dial(t, s, "bob", rooms("*", "write"), inJSON)
	reader := dial(t, s, "reader", rooms("*", "read"))
	for _, c := range []*client{alice, bob, reader} {
		c.enters("a")
	}
	bob.expect("chat:user_joined")
	types := func(is bool) { bob.acks(chatMsg("typing", "a", msg{"isTyping": is})) }
	told := func(is bool) {
		t.Helper()
		got := alice.await("typing", func(m msg) bool { return m["type"] == "chat:typing" }).msg
		if !reflect.DeepEqual(got, msg{"type": "chat:typing", "roomId": "a", "userId": "bob", "username": "bob", "isTyping": is}) {
			t.Fatalf("got %v, want %v", got, is)
		}
	}
	types(true)
	told(true)
	types(true)
	types(false)
	told(false)
	types(false)
	alice.expectNothing()

	types(true)
	told(true)
	bob.says("a", "done")
	told(false)

	begun := time.Now()
	types(true)
	told(true)
	time.Sleep(2 * time.Second)
	types(true) // from here on 6 s
	told(false)
	if d := time.Since(begun); d < 8*time.Second || d > 12*time.Second {
		t.Errorf("typing ended by itself after %v, want 8 s", d)
	}

	types(true)
	told(true)
	bob.ws.Close()
	told(false)
	if got := outcome(reader.ask(chatMsg("typing", "a", msg{"isTyping": true}))); got != "forbidden" {
		t.Errorf("a reader types: %s", got)
	}
}

// TestMentions: those who have joined before are notified, ten at most, each once.
func TestMentions(t *testing.T) {
	t.Parallel()
	s := startServer(t, withAPIKey)
	alice := dial(t, s, "alice", rooms("*", "write"), named("Alice", ""))
	alice.enters("a")
	var members []*client
	for i := range 12 {
		c := dial(t, s, fmt.Sprintf("user %d", i), rooms("*", "write"))
		c.enters("a")
		c.acks(chatMsg("leave", "a", nil))
		members = append(members, c)
	}
	stranger := dial(t, s, "stranger", rooms("*", "write"))
	sent := alice.says("a", "@{user 0} @{user 0} @{stranger} @{alice} @{} @user 1 @{user 1}")
	for i := range 2 {
		got := members[i].await("a mention", func(m msg) bool { return m["type"] == "notification:new" }).msg
		want := map[string]any{"roomId": "a", "messageId": sent["id"], "seq": sent["seq"], "user": sent["user"]}
		if got["kind"] != "mention" || got["title"] != "Alice mentioned you" || got["body"] != sent["content"] || !reflect.DeepEqual(got["data"], any(want)) {
			t.Errorf("got %v", got)
		}
	}
	all := ""
	for i := range members {
		all += fmt.Sprintf("@{user %d}", i)
	}
	s.post("/api/v1/rooms/a/messages", map[string]any{"content": all}).expect(t, 201)
	for i, want := range []int{2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0} {
		if got := members[i].acks(listMsg(nil))["notifications"].([]any); len(got) != want {
			t.Errorf("user %d has %d notifications, want %d", i, len(got), want)
		}
	}
	for _, c := range []*client{stranger, alice} {
		if got := c.acks(listMsg(nil))["notifications"].([]any); len(got) != 0 {
			t.Errorf("%s has %v", c.user, got)
		}
	}
}

// TestChatFromBackends: messages and events by HTTP.
func TestChatFromBackends(t *testing.T) {
	t.Parallel()
	s := startServer(t, withAPIKey)
	alice := dial(t, s, "alice", rooms("*", "read"), named("Alice", ""))
	alice.enters("a b")
	const path = "/api/v1/rooms/a%20b/messages"
	first := s.post(path, map[string]any{"content": "from alice", "userId": "alice", "clientId": "c"}).expect(t, 201)
	again := s.post(path, map[string]any{"content": "x", "userId": "alice", "clientId": "c"}).expect(t, 201)
	if again.msg["id"] != first.msg["id"] || again.msg["content"] != "from alice" {
		t.Errorf("again: got %s", again.raw)
	}
	s.post(path, map[string]any{"content": "from nobody"}).expect(t, 201)
	s.post(path, map[string]any{"content": "from one never seen", "userId": "zoe"}).expect(t, 201)
	for i, want := range []map[string]any{
		{"id": "alice", "name": "Alice", "avatar": ""}, {"id": "", "name": "", "avatar": ""}, {"id": "zoe", "name": "zoe", "avatar": ""},
	} {
		got := alice.expect("chat:message").msg
		if got["seq"] != float64(i+1) || !reflect.DeepEqual(got["user"], any(want)) {
			t.Errorf("got %v, want %v", got, want)
		}
	}
	key := http.Header{"Idempotency-Key": {"k"}}
	for range 2 {
		s.call(request{method: "POST", path: path, credential: apiKey, body: map[string]any{"content": "once"}, header: key}).expect(t, 201)
	}
	alice.expect("chat:message")
	s.post("/api/v1/rooms/a%20b/broadcast", map[string]any{"event": "deploy", "data": map[string]any{"version": 7}}).expect(t, 202)
	if got := alice.expect("event").msg; !reflect.DeepEqual(got, msg{"type": "event", "event": "deploy", "data": map[string]any{"version": 7.0}, "roomId": "a b"}) {
		t.Errorf("got %v", got)
	}
	s.post("/api/v1/rooms/elsewhere/broadcast", map[string]any{"event": "deploy"}).expect(t, 202)
	alice.expectNothing()
	for _, test := range []struct {
		path   string
		body   map[string]any
		status int
	}{
		{path, map[string]any{"content": ""}, 400},
		{path, map[string]any{}, 422},
		{path, map[string]any{"content": 1}, 422},
		{path, map[string]any{"content": strings.Repeat("x", 16<<10+1)}, 413},
		{path, map[string]any{"content": "x", "userId": "a\nb"}, 400},
		{"/api/v1/rooms/a%0Ab/messages", map[string]any{"content": "x"}, 400},
		{"/api/v1/rooms/a/broadcast", map[string]any{"event": ""}, 400},
		{"/api/v1/rooms/a%0Ab/broadcast", map[string]any{"event": "x"}, 400},
	} {
		if got := s.post(test.path, test.body).expect(t, test.status); got.status != test.status {
			t.Errorf("%s %v: got %s", test.path, test.body, got.raw)
		}
	}
	s.read("/api/v1/rooms/a%0Ab/messages").expect(t, 400)
	s.read(path+"?limit=201").expect(t, 422)
}

// TestChatRefresh: a token that grants less takes its user out at once.
func TestChatRefresh(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	alice := dial(t, s, "alice", rooms("*", "write"))
	bob := dial(t, s, "bob", rooms("*", "write"))
	for _, room := range []string{"a", "b", "c"} {
		alice.enters(room)
		bob.enters(room)
	}
	bob.ping()
	alice.ping()
	bob.acks(chatMsg("typing", "b", msg{"isTyping": true}))
	alice.expect("chat:typing")
	bob.send(msg{"type": "auth", "id": "r", "token": token(t, "bob", rooms("c", "write"), rooms("b", "read"))})
	alice.await("leaving", func(m msg) bool { return m["type"] == "chat:user_left" && m["roomId"] == "a" })
	bob.expectError("forbidden", nil)
	bob.await("an ack", func(m msg) bool { return m["id"] == "r" })
	for _, room := range []string{"a", "b", "c"} {
		alice.says(room, "who hears "+room)
	}
	var heard []string
	bob.await("the last", func(m msg) bool {
		heard = append(heard, fmt.Sprint(m["content"]))
		return m["roomId"] == "c"
	})
	if want := []string{"who hears b", "who hears c"}; !reflect.DeepEqual(heard, want) {
		t.Errorf("bob hears %q, want %q", heard, want)
	}
	for room, want := range map[string]string{"a": "forbidden", "b": "forbidden", "c": "ack"} {
		if got := outcome(bob.ask(chatMsg("message", room, msg{"message": "x"}))); got != want {
			t.Errorf("%s: got %s, want %s", room, got, want)
		}
	}
}
