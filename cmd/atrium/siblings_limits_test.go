package main

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// aboutRooms are the messages that name a room, each as it would be taken. ONE is
// the id of a message in it.
var aboutRooms = map[string]msg{
	"join": {"since": 0}, "history": {"limit": 1}, "read": {"seq": 1}, "message": {"message": "x"}, "edit": {"messageId": "ONE", "message": "one"},
	"delete": {"messageId": "ONE"}, "typing": {"isTyping": false}, "leave": {},
}

// with returns a message with one more field, or another one.
func (m msg) with(field string, value any) msg {
	all := m.without()
	all[field] = value
	return all
}

// TestChatBounds: what is out of bounds or of the wrong type is refused as such,
// and leaves no trace.
func TestChatBounds(t *testing.T) {
	t.Parallel()
	s := startServer(t, withAPIKey)
	long, control := strings.Repeat("x", 257), "a\nb"
	wrong := map[string][]msg{
		"join": {{"since": -1}, {"since": "1"}, {"since": 1.5}, {"since": true}, {"since": uint64(1) << 63}},
		"history": {
			{"limit": 0}, {"limit": -1}, {"limit": 201}, {"limit": "1"}, {"limit": 1.5}, {"limit": 1 << 40},
			{"before": 0}, {"before": -1}, {"before": "1"}, {"before": 1.5}, {"after": -1}, {"after": "1"}, {"after": []any{}},
		},
		"read": {{}, {"seq": nil}, {"seq": -1}, {"seq": "1"}, {"seq": 1.5}, {"seq": uint64(1) << 63}},
		"message": {
			{}, {"message": nil}, {"message": ""}, {"message": 7}, {"message": []any{"x"}}, {"message": "a\x00b"},
			{"message": "x", "clientId": 7}, {"message": "x", "clientId": long}, {"message": "x", "clientId": control},
			{"message": "x", "replyTo": 7}, {"message": "x", "replyTo": long}, {"message": "x", "replyTo": control},
		},
		"edit": {
			{"messageId": "ONE"}, {"messageId": "ONE", "message": ""}, {"messageId": "ONE", "message": 7}, {"messageId": "ONE", "message": "a\x00b"},
			{"message": "x"}, {"message": "x", "messageId": ""}, {"message": "x", "messageId": 7}, {"message": "x", "messageId": long},
		},
		"delete": {{}, {"messageId": ""}, {"messageId": []any{"ONE"}}, {"messageId": long}},
		"typing": {{"isTyping": "yes"}, {"isTyping": 1}},
	}
	tooLarge := map[string][]msg{
		"message": {{"message": strings.Repeat("x", 16<<10+1)}, {"message": strings.Repeat("ü", 8<<10) + "x"}},
		"edit":    {{"messageId": "ONE", "message": strings.Repeat("x", 16<<10+1)}},
	}
	for what, good := range aboutRooms {
		for _, room := range []any{nil, "", 7, []any{"a"}, control, "a\x00", "a\x7f", "a\u0085", long, strings.Repeat("ü", 128) + "x"} {
			wrong[what] = append(wrong[what], good.with("roomId", room))
		}
		tooLarge[what] = append(tooLarge[what], good.with("filler", strings.Repeat("x", 64<<10)))
	}
	for name, inCodec := range everyCodec {
		room := "room " + name
		owner := dial(t, s, "alice", senderID("owner "+name), rooms("*", "write"))
		owner.enters(room)
		one := owner.says(room, "one")
		bob := dial(t, s, "bob", senderID(name), rooms("*", "write"))
		bob.enters(room)
		var alice *client
		asked := 0
		for code, messages := range map[string]map[string][]msg{"bad_request": wrong, "too_large": tooLarge} {
			for what, list := range messages {
				for _, fields := range list {
					if asked%15 == 0 { // limits are per session, and these are many
						alice = dial(t, s, "alice", senderID(fmt.Sprint(name, asked)), rooms("*", "write"), inCodec)
						alice.enters(room)
					}
					asked++
					m := chatMsg(what, room, fields)
					if m["messageId"] == "ONE" {
						m["messageId"] = one["id"]
					}
					if answer := alice.ask(m); outcome(answer) != code || answer["retryable"] != false {
						t.Errorf("%s: %s %.200s: got %v, want %s", name, what, fmt.Sprint(fields), answer, code)
					}
				}
			}
		}
		bob.says(room, "two") // behind all of it
		if got := bob.expect("chat:message").msg; got["content"] != "two" {
			t.Errorf("%s: of what was refused bob is told %v", name, got)
		}
		if got := bob.acks(chatMsg("history", room, nil)); lines(t, got) != "1 one, 2 two" {
			t.Errorf("%s: stored is %s", name, lines(t, got))
		}
	}
}

// TestChatAtItsBounds: what is just within them is taken, and kept as it is;
// fields that nobody knows are ignored.
func TestChatAtItsBounds(t *testing.T) {
	t.Parallel()
	s := startServer(t, withAPIKey)
	contents := []string{strings.Repeat("x", 16<<10), strings.Repeat("ü", 8<<10), strings.Repeat("\"\n", 8<<10), "\ufffd\u2028</script>\x01"}
	for name, inCodec := range everyCodec {
		for _, room := range []string{strings.Repeat(name, 64), strings.Repeat("ü", 126) + name, name + "/../*?%20 @"} {
			alice := dial(t, s, "alice", senderID(room), rooms("*", "write"), inCodec)
			alice.enters(room)
			fields := msg{"replyTo": nil}
			var ids []any
			for i, content := range contents {
				one := alice.acks(chatMsg("message", room, fields.with("message", content).with("clientId", fmt.Sprintf("%0256d", i))))["message"].(map[string]any)
				if got := alice.expect("chat:message").msg; got["content"] != content || got["roomId"] != room || !reflect.DeepEqual(map[string]any(got), one) {
					t.Errorf("%s: got %.400s, want %.100q", name, fmt.Sprint(got), content)
				}
				fields["replyTo"] = one["id"]
				ids = append(ids, one["id"])
			}
			var stored []string
			for _, m := range alice.acks(chatMsg("history", room, msg{"limit": 200, "before": 1 << 50, "after": nil}))["messages"].([]any) {
				stored = append(stored, m.(map[string]any)["content"].(string))
			}
			if !slices.Equal(stored, contents) {
				t.Errorf("%s: stored is %.100q", name, stored)
			}
			for what, good := range aboutRooms {
				m := chatMsg(what, room, good).with("unknown", msg{"a": []any{1, nil, "x"}}).with("", 1)
				switch what {
				case "edit":
					m["messageId"] = ids[0]
				case "delete":
					m["messageId"] = ids[1]
				}
				alice.enters(room)
				alice.acks(m)
			}
		}
	}
}

// TestBrokenFrameInARoom: what is no message at all ends the session, and the room
// sees its user go, and nothing else.
func TestBrokenFrameInARoom(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	bob := dial(t, s, "bob", rooms("*", "write"))
	bob.enters("a")
	for name, raw := range map[string]string{
		"json": `{"type":"chat:message","roomId":"a","message":"x","id":1`, "cbor": "\xa3\x64type\x6cchat:message\x66roomId\x61a\x67message",
	} {
		alice := dial(t, s, "alice", rooms("*", "write"), everyCodec[name])
		alice.enters("a")
		bob.expect("chat:user_joined")
		alice.sendRaw([]byte(raw))
		alice.expectError("bad_request", nil)
		alice.expectClose(4400)
		bob.expect("chat:user_left")
		bob.expectNothing()
	}
}

// TestChatRetryAfter: a refusal says how long to wait, neither too short nor too
// long.
func TestChatRetryAfter(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	alice := dial(t, s, "alice", rooms("*", "write"))
	alice.enters("a")
	said := 0
	// say writes a message, and returns how long it is to wait, 0 if it was taken.
	say := func() (wait time.Duration) {
		said++
		answer := alice.ask(chatMsg("message", "a", msg{"message": "x"}))
		ms, _ := answer["retryAfterMs"].(float64)
		switch {
		case outcome(answer) == "ack":
			return 0
		case outcome(answer) != "rate_limited" || answer["retryable"] != true || ms < 1 || ms > 100 || said <= 20: // 20 at once, ten a second
			t.Fatalf("the %dth got %v", said, answer)
		}
		return time.Duration(ms) * time.Millisecond
	}
	const want = 5
	deadline := time.Now().Add(patience)
	for early, inTime := 0, 0; early < want || inTime < want; {
		if time.Now().After(deadline) {
			t.Fatalf("in %v it could be told %d times what comes of too early, and %d times what of the right time", patience, early, inTime)
		}
		before := time.Now()
		wait := say()
		if wait == 0 {
			continue
		}
		refused := time.Now()
		time.Sleep(time.Until(before.Add(wait / 2)))
		again := say()
		if elapsed := time.Since(before); elapsed < wait-time.Millisecond { // that is rounded up
			early++
			if again == 0 {
				t.Fatalf("told to wait %v, it is taken within %v", wait, elapsed)
			}
		}
		if again == 0 {
			time.Sleep(200 * time.Millisecond) // a slow machine; 100 refusals within 10 s would end the session
			continue
		}
		time.Sleep(time.Until(refused.Add(wait)))
		inTime++
		if again := say(); again != 0 {
			t.Fatalf("told to wait %v, it is refused after %v, for another %v", wait, time.Since(refused), again)
		}
	}
}

// flood writes to a room until it is thrown out, and returns what was taken.
func flood(t *testing.T, s *testServer, user, text string) (taken []string, err error) {
	c, err := tryConnect(t, s, user)
	if err != nil {
		return nil, err
	}
	c.join(rooms("*", "write"))
	c.send(chatMsg("join", "a", nil))
	const most = 400 // 20 at once and 10 a second go through, and then 100 are refused
	for i := range most {
		c.send(chatMsg("message", "a", msg{"id": i, "message": fmt.Sprint(text, i)}))
	}
	refusals := 0
	for {
		f, err := c.tryNext()
		if err != nil {
			if !websocket.IsCloseError(err, 4429) || refusals != 100 || len(taken) < 20 {
				return nil, fmt.Errorf("%d were taken and %d refused, and then: %w", len(taken), refusals, err)
			}
			return taken, nil
		}
		i, ok := f.msg["id"].(float64)
		switch {
		case !ok: // what others hear, too
		case outcome(f.msg) == "ack":
			taken = append(taken, fmt.Sprint(text, i))
		case outcome(f.msg) == "rate_limited":
			refusals++
		default:
			return nil, fmt.Errorf("got %v", f.msg)
		}
	}
}

// TestChatFlood: of a flood comes as much as is allowed, then it is closed; and
// others in the room hear each other all the while.
func TestChatFlood(t *testing.T) {
	t.Parallel()
	s := startServer(t, withAPIKey)
	bob := dial(t, s, "bob", rooms("*", "write"))
	carol := dial(t, s, "carol", rooms("*", "write"), inJSON)
	for _, c := range []*client{bob, carol} {
		c.enters("a")
	}
	stop := make(chan struct{})
	var flooding sync.WaitGroup
	var mu sync.Mutex
	acknowledged := make(map[string]bool) // contents; guarded by mu
	floods := 0                           // guarded by mu
	for user := range 2 {
		flooding.Go(func() {
			for round := 0; ; round++ {
				select {
				case <-stop:
					return
				default:
				}
				taken, err := flood(t, s, fmt.Sprint("mallory ", user), fmt.Sprint(user, " ", round, " "))
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				floods++
				for _, content := range taken {
					acknowledged[content] = true
				}
				mu.Unlock()
			}
		})
	}
	var slowest time.Duration
	for i := range 40 {
		content := fmt.Sprint("of bob ", i)
		sent := time.Now()
		bob.says("a", content)
		carol.await(content, func(m msg) bool { return m["content"] == content })
		slowest = max(slowest, time.Since(sent))
		time.Sleep(time.Until(sent.Add(110 * time.Millisecond))) // ten a second are allowed
	}
	close(stop)
	flooding.Wait()
	t.Logf("%d floods, %d messages of them; the slowest of bob's took %v", floods, len(acknowledged), slowest)
	if slowest > time.Second {
		t.Errorf("a message took %v while others flooded the room", slowest)
	}
	if floods < 4 {
		t.Errorf("%d floods: that is none", floods)
	}
	after, stored := 0.0, 0
	for more := true; more; {
		page := s.read(fmt.Sprintf("/api/v1/rooms/a/messages?limit=200&after=%.0f", after)).expect(t, 200).msg
		for _, m := range page["messages"].([]any) {
			m := m.(map[string]any)
			after = m["seq"].(float64)
			if content := m["content"].(string); !strings.HasPrefix(content, "of bob") {
				stored++
				if !acknowledged[content] {
					t.Errorf("%q was refused, and is stored", content)
				}
			}
		}
		more = page["more"].(bool)
	}
	if stored != len(acknowledged) {
		t.Errorf("%d are stored, %d were acknowledged", stored, len(acknowledged))
	}
}
