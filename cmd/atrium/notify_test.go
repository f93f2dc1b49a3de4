package main

import (
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
)

// notification is what a backend posts for a user.
func notification(title string) map[string]any {
	return map[string]any{"kind": "test", "title": title}
}

func inboxPath(user string) string { return "/api/v1/users/" + user + "/notifications" }

// notify posts a notification, and returns its id.
func (s *testServer) notify(user, title string) string {
	s.t.Helper()
	return s.post(inboxPath(user), notification(title)).expect(s.t, 201).msg["id"].(string)
}

// titles are those in an answer with notifications, with an r for each that is read.
func titles(t *testing.T, m msg) string {
	t.Helper()
	if outcome, ok := m["code"]; ok {
		t.Fatalf("got %v %v, want notifications", outcome, m)
	}
	all := []string{}
	for _, n := range m["notifications"].([]any) {
		title := n.(map[string]any)["title"].(string)
		if n.(map[string]any)["read"] == true {
			title += "(r)"
		}
		all = append(all, title)
	}
	return strings.Join(all, " ")
}

func listMsg(fields msg) msg {
	m := msg{"type": "notification:list"}
	for k, v := range fields {
		m[k] = v
	}
	return m
}

func markMsg(fields msg) msg {
	m := msg{"type": "notification:mark_read"}
	for k, v := range fields {
		m[k] = v
	}
	return m
}

// without returns a message without some of its fields.
func (m msg) without(fields ...string) msg {
	rest := msg{}
	for k, v := range m {
		rest[k] = v
	}
	for _, f := range fields {
		delete(rest, f)
	}
	return rest
}

// isToldOfReading fails unless the next message is of a reading.
func (c *client) isToldOfReading(want msg) {
	c.t.Helper()
	if got := c.expect("notification:read").msg.without("type"); !reflect.DeepEqual(got, want) {
		c.t.Errorf("%s: got %v, want %v", c.user, got, want)
	}
}

// TestNotification: stored, told to every session in its codec, listed, and
// read everywhere once it is read on one device.
func TestNotification(t *testing.T) {
	t.Parallel()
	s := startServer(t, withAPIKey)
	phone := dial(t, s, "alice", senderID("phone"))
	laptop := dial(t, s, "alice", senderID("laptop"), inJSON)
	bob := dial(t, s, "bob")
	data := map[string]any{"n": 1.5, "deep": []any{true, nil, "x"}, "big": 1e15}
	posted := s.post(inboxPath("alice"), map[string]any{"kind": "order", "title": "Order", "body": "has come", "data": data}).expect(t, 201)
	id := posted.msg["id"].(string)
	if parsed, err := uuid.Parse(id); err != nil || parsed.Version() != 7 {
		t.Errorf("id is %s, want a uuid v7", id)
	}
	want := msg{"type": "notification:new", "id": id, "kind": "order", "title": "Order", "body": "has come", "data": data, "unread": 1.0, "seq": 1.0}
	var created any
	for _, c := range []*client{phone, laptop} {
		got := c.expect("notification:new").msg
		if !reflect.DeepEqual(got.without("createdAt"), want) {
			t.Errorf("%s: got %v, want %v", c.senderID, got, want)
		}
		created = got["createdAt"]
	}
	second := s.notify("alice", "second")
	s.notify("alice", "third")
	for _, c := range []*client{phone, laptop} {
		for i := range 2 {
			if got := c.expect("notification:new").msg; got["seq"] != float64(i+2) || got["unread"] != float64(i+2) || got["data"] != nil || got["body"] != "" {
				t.Errorf("%s: got %v", c.senderID, got)
			}
		}
		answer := c.ask(listMsg(nil))
		if got := titles(t, answer); got != "third second Order" || answer["unread"] != 3.0 || answer["more"] != false {
			t.Errorf("%s: got %s in %v", c.senderID, got, answer)
		}
		first := answer["notifications"].([]any)[2]
		want := map[string]any(want.without("type", "unread"))
		want["createdAt"], want["read"] = created, false
		if !reflect.DeepEqual(first, want) {
			t.Errorf("%s: got %v, want %v", c.senderID, first, want)
		}
	}

	if answer := phone.ask(markMsg(msg{"notificationId": second})); outcome(answer) != "ack" || answer["unread"] != 2.0 {
		t.Fatalf("got %v", answer)
	}
	laptop.isToldOfReading(msg{"notificationId": second, "unread": 2.0})
	if answer := laptop.ask(markMsg(msg{"notificationIds": []any{second, id, id}})); outcome(answer) != "ack" || answer["unread"] != 1.0 {
		t.Fatalf("got %v", answer)
	}
	if got := titles(t, phone.ask(listMsg(nil))); got != "third second(r) Order(r)" {
		t.Errorf("got %s", got)
	}
	if got := titles(t, phone.ask(listMsg(msg{"unreadOnly": true}))); got != "third" {
		t.Errorf("unread are %s", got)
	}
	// Once more changes nothing, and is no news.
	phone.ping()
	if answer := laptop.ask(markMsg(msg{"notificationIds": []any{second, id}})); outcome(answer) != "ack" || answer["unread"] != 1.0 {
		t.Fatalf("got %v", answer)
	}
	phone.expectNothing()
	if answer := laptop.ask(markMsg(msg{"all": true})); outcome(answer) != "ack" || answer["unread"] != 0.0 {
		t.Fatalf("got %v", answer)
	}
	phone.isToldOfReading(msg{"all": true, "unread": 0.0})
	if answer := laptop.ask(markMsg(msg{"all": true})); outcome(answer) != "ack" || answer["unread"] != 0.0 {
		t.Fatalf("got %v", answer)
	}
	phone.expectNothing()
	bob.expectNothing()
}

// TestInboxPages: the newest first, and on from an id or a seq.
func TestInboxPages(t *testing.T) {
	t.Parallel()
	s := startServer(t, withAPIKey)
	var ids []string
	for i := range 60 {
		ids = append(ids, s.notify("alice", fmt.Sprint(i+1)))
	}
	for name, inCodec := range everyCodec {
		alice := dial(t, s, "alice", senderID(name), inCodec)
		tests := []struct {
			fields msg
			want   string
			more   bool
		}{
			{msg{"limit": 2}, "60 59", true},
			{msg{"limit": 2, "before": 3}, "2 1", false},
			{msg{"limit": 2, "before": 59}, "58 57", true},
			{msg{"limit": 1, "before": ids[10]}, "10", true},
			{msg{"before": ids[0]}, "", false},
			{msg{"before": 1, "unreadOnly": true}, "", false},
			{msg{"before": nil, "limit": 1, "unknown": true}, "60", true},
		}
		for _, test := range tests {
			answer := alice.ask(listMsg(test.fields))
			if got := titles(t, answer); got != test.want || answer["more"] != test.more || answer["unread"] != 60.0 {
				t.Errorf("%s: %v: got %q in %v, want %q", name, test.fields, got, answer, test.want)
			}
		}
		if n := len(alice.ask(listMsg(nil))["notifications"].([]any)); n != 50 {
			t.Errorf("%s: %d without a limit, want 50", name, n)
		}
	}
	own := token(t, "alice")
	page := s.call(request{method: "GET", path: inboxPath("alice") + "?limit=2&before=" + ids[10], credential: own}).expect(t, 200)
	if got := titles(t, page.msg); got != "10 9" || page.msg["unread"] != 60.0 {
		t.Errorf("got %s", page.raw)
	}
	if got := titles(t, s.read(inboxPath("alice")+"?limit=1&before=5&unreadOnly=true").expect(t, 200).msg); got != "4" {
		t.Errorf("got %s", got)
	}
	if got := titles(t, s.read(inboxPath("nobody")).expect(t, 200).msg); got != "" {
		t.Errorf("an empty inbox has %s", got)
	}
}

// TestLargePage: an answer is cut so that it does not fill a session's queue.
func TestLargePage(t *testing.T) {
	t.Parallel()
	s := startServer(t, withAPIKey)
	big := map[string]any{"kind": "test", "title": "t", "body": strings.Repeat("b", 4096), "data": strings.Repeat("d", 16000)}
	for range 30 {
		s.post(inboxPath("alice"), big).expect(t, 201)
	}
	alice := dial(t, s, "alice", inJSON)
	got, before := 0, any(nil)
	for more := true; more; {
		answer := alice.ask(listMsg(msg{"before": before}))
		list := answer["notifications"].([]any)
		if len(list) == 0 || len(list) > 15 {
			t.Fatalf("%d of 20 KB each in one answer", len(list))
		}
		got += len(list)
		before = list[len(list)-1].(map[string]any)["seq"]
		more = answer["more"].(bool)
	}
	if got != 30 {
		t.Errorf("%d came by pages, want 30", got)
	}
}

// TestInboxIsPrivate: nobody reads, marks or fills another's.
func TestInboxIsPrivate(t *testing.T) {
	t.Parallel()
	s := startServer(t, withAPIKey)
	id := s.notify("alice", "secret")
	s.notify("bob", "own")
	everything := []option{docs("*", "write"), metric("*", "write")}
	for name, inCodec := range everyCodec {
		bob := dial(t, s, "bob", append(everything, senderID(name), inCodec)...)
		for _, m := range []msg{
			markMsg(msg{"notificationId": id}), markMsg(msg{"notificationIds": []any{id}}),
			listMsg(msg{"before": id}), listMsg(msg{"before": id, "userId": "alice"}),
		} {
			if answer := bob.ask(m); outcome(answer) != "not_found" {
				t.Errorf("%v: got %v, want not_found", m, answer)
			}
		}
		if got := titles(t, bob.ask(listMsg(msg{"userId": "alice"}))); strings.TrimSuffix(got, "(r)") != "own" {
			t.Errorf("bob reads %s", got)
		}
		if answer := bob.ask(markMsg(msg{"all": true, "userId": "alice"})); outcome(answer) != "ack" {
			t.Errorf("got %v", answer)
		}
	}
	if inbox := s.read(inboxPath("alice")).expect(t, 200).msg; titles(t, inbox) != "secret" || inbox["unread"] != 1.0 {
		t.Errorf("got %v", inbox)
	}
	admin := token(t, "root", func(d *dialing) { d.claims.Admin = true })
	credentials := map[string]string{
		"nobody": "", "a wrong key": apiKey + "x", "alice": token(t, "alice"), "bob": token(t, "bob", everything...),
		"an admin": admin, "a key": apiKey,
	}
	calls := []struct {
		request
		allowed map[string]int
	}{
		{request{method: "GET", path: inboxPath("alice")}, map[string]int{"alice": 200, "an admin": 200, "a key": 200}},
		{request{method: "POST", path: inboxPath("alice"), body: notification("more")}, map[string]int{"an admin": 201, "a key": 201}},
		{request{method: "POST", path: "/api/v1/notifications", body: map[string]any{"userIds": []any{"alice"}, "kind": "test", "title": "many"}}, map[string]int{"an admin": 201, "a key": 201}},
		{request{method: "POST", path: "/api/v1/users/alice/send", body: map[string]any{"event": "e"}}, map[string]int{"an admin": 202, "a key": 202}},
	}
	for _, c := range calls {
		for who, credential := range credentials {
			want, ok := c.allowed[who]
			if !ok {
				if want = 403; who == "nobody" || who == "a wrong key" {
					want = 401
				}
			}
			c.request.credential = credential
			if a := s.call(c.request); a.status != want {
				t.Errorf("%s: %s %s: got %d %s, want %d", who, c.method, c.path, a.status, a.raw, want)
			}
		}
	}
}

func TestNotificationsRefused(t *testing.T) {
	t.Parallel()
	s := startServer(t, withAPIKey)
	s.notify("alice", "one")
	for name, inCodec := range everyCodec {
		// Limits are per session, and these are many.
		var alice *client
		asked := 0
		for _, m := range []msg{
			listMsg(msg{"limit": 0}), listMsg(msg{"limit": 201}), listMsg(msg{"limit": -1}), listMsg(msg{"limit": "1"}), listMsg(msg{"limit": 1.5}),
			listMsg(msg{"before": ""}), listMsg(msg{"before": 0}), listMsg(msg{"before": -1}), listMsg(msg{"before": 1.5}), listMsg(msg{"before": []any{}}),
			listMsg(msg{"before": strings.Repeat("x", 65)}), listMsg(msg{"unreadOnly": "yes"}),
			markMsg(nil), markMsg(msg{"all": false}), markMsg(msg{"all": "yes"}), markMsg(msg{"notificationId": 7}),
			markMsg(msg{"notificationIds": []any{}}), markMsg(msg{"notificationIds": "x"}),
			markMsg(msg{"notificationIds": []any{"x"}, "all": true}), markMsg(msg{"notificationIds": []any{"x"}, "notificationId": "x"}),
		} {
			if asked%15 == 0 {
				alice = dial(t, s, "alice", senderID(fmt.Sprint(name, asked)), inCodec)
			}
			asked++
			if answer := alice.ask(m); outcome(answer) != "bad_request" {
				t.Errorf("%s: %v: got %v, want bad_request", name, m, answer)
			}
		}
		for _, m := range []msg{
			listMsg(msg{"before": "no such"}), markMsg(msg{"notificationId": ""}), markMsg(msg{"notificationId": "no such"}),
			markMsg(msg{"notificationIds": []any{"no such"}}),
		} {
			if answer := alice.ask(m); outcome(answer) != "not_found" {
				t.Errorf("%s: %v: got %v, want not_found", name, m, answer)
			}
		}
	}
	post := func(fields map[string]any) map[string]any {
		body := notification("t")
		for k, v := range fields {
			body[k] = v
		}
		return body
	}
	tests := []struct {
		name, path string
		body       map[string]any
		status     int
	}{
		{"at its bounds", inboxPath("eve"), post(map[string]any{"kind": strings.Repeat("k", 64), "title": strings.Repeat("t", 256), "body": strings.Repeat("b", 4096), "data": strings.Repeat("d", 16382)}), 201},
		{"no kind", inboxPath("bob"), post(map[string]any{"kind": ""}), 400},
		{"a long kind", inboxPath("bob"), post(map[string]any{"kind": strings.Repeat("k", 65)}), 400},
		{"a kind with control characters", inboxPath("bob"), post(map[string]any{"kind": "a\nb"}), 400},
		{"no title", inboxPath("bob"), post(map[string]any{"title": ""}), 400},
		{"a long title", inboxPath("bob"), post(map[string]any{"title": strings.Repeat("t", 257)}), 400},
		{"a long title in few characters", inboxPath("bob"), post(map[string]any{"title": strings.Repeat("ü", 129)}), 400},
		{"a title with NUL", inboxPath("bob"), post(map[string]any{"title": "a\x00"}), 400},
		{"a long body", inboxPath("bob"), post(map[string]any{"body": strings.Repeat("b", 4097)}), 400},
		{"long data", inboxPath("bob"), post(map[string]any{"data": strings.Repeat("d", 16383)}), 400},
		{"a number as title", inboxPath("bob"), post(map[string]any{"title": 7}), 422},
		{"no title at all", inboxPath("bob"), map[string]any{"kind": "k"}, 422},
		{"a long user id", inboxPath(strings.Repeat("u", 257)), post(nil), 400},
		{"a user id with control characters", inboxPath("a%0ab"), post(nil), 400},
		{"no users", "/api/v1/notifications", post(map[string]any{"userIds": []any{}}), 422},
		{"null as users", "/api/v1/notifications", post(map[string]any{"userIds": nil}), 422},
		{"many without a title", "/api/v1/notifications", map[string]any{"userIds": []any{"bob"}, "kind": "k"}, 422},
		{"one bad user of two", "/api/v1/notifications", post(map[string]any{"userIds": []any{"bob", ""}}), 400},
		{"too many users", "/api/v1/notifications", post(map[string]any{"userIds": make([]string, 1001)}), 422},
		{"no event", "/api/v1/users/bob/send", map[string]any{"event": ""}, 400},
		{"a long event", "/api/v1/users/bob/send", map[string]any{"event": strings.Repeat("e", 257)}, 400},
		{"large event data", "/api/v1/users/bob/send", map[string]any{"event": "e", "data": strings.Repeat("e", 65536)}, 400},
	}
	for _, test := range tests {
		if a := s.post(test.path, test.body); a.status != test.status {
			t.Errorf("%s: got %d %.300s, want %d", test.name, a.status, a.raw, test.status)
		}
	}
	for _, query := range []string{"?limit=0", "?limit=201", "?limit=x"} {
		s.read(inboxPath("bob")+query).expect(t, 422)
	}
	s.read(inboxPath("bob")+"?before=0").expect(t, 400)
	s.read(inboxPath("bob")+"?before=nothing").expect(t, 404)
	if got := titles(t, s.read(inboxPath("bob")).expect(t, 200).msg); got != "" {
		t.Errorf("of what was refused there is %q", got)
	}
}

// TestNotifyMany: one for each, once, and events that are not stored.
func TestNotifyMany(t *testing.T) {
	t.Parallel()
	s := startServer(t, withAPIKey)
	alice, bob := dial(t, s, "alice"), dial(t, s, "bob", inJSON)
	many := s.post("/api/v1/notifications", map[string]any{"userIds": []any{"bob", "alice", "absent", "bob"}, "kind": "k", "title": "for all", "data": []any{1}}).expect(t, 201)
	if n := len(many.msg["notifications"].([]any)); n != 3 {
		t.Errorf("got %s, want 3 notifications", many.raw)
	}
	for _, c := range []*client{alice, bob} {
		if got := c.expect("notification:new").msg; got["title"] != "for all" || got["seq"] != 1.0 || !reflect.DeepEqual(got["data"], []any{1.0}) {
			t.Errorf("%s: got %v", c.user, got)
		}
		c.expectNothing()
	}
	if got := titles(t, dial(t, s, "absent").ask(listMsg(nil))); got != "for all" {
		t.Errorf("who was absent got %q", got)
	}
	key := request{method: "POST", path: inboxPath("alice"), credential: apiKey, body: notification("once"), header: map[string][]string{"Idempotency-Key": {"k1"}}}
	first, again := s.call(key).expect(t, 201), s.call(key).expect(t, 201)
	if first.raw != again.raw {
		t.Errorf("got %s, and then %s", first.raw, again.raw)
	}
	if got := alice.expect("notification:new").msg; got["title"] != "once" {
		t.Errorf("got %v", got)
	}
	for _, c := range []*client{alice, bob} {
		s.post("/api/v1/users/"+c.user+"/send", map[string]any{"event": "poke", "data": map[string]any{"n": 1}}).expect(t, 202)
		if got, want := c.expect("event").msg, (msg{"type": "event", "event": "poke", "data": map[string]any{"n": 1.0}}); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %v, want %v", c.user, got, want)
		}
		c.expectNothing()
	}
	s.post("/api/v1/users/absent/send", map[string]any{"event": "nothing"}).expect(t, 202)
}

// TestNotificationsComeInOrder: though many are posted, and some read, at once.
func TestNotificationsComeInOrder(t *testing.T) {
	t.Parallel()
	s := startServer(t, withAPIKey)
	watchers := []*client{dial(t, s, "alice", senderID("1")), dial(t, s, "alice", senderID("2"), inJSON)}
	const writers, each = 8, 25
	var posting sync.WaitGroup
	for w := range writers {
		posting.Go(func() {
			for i := range each {
				if a := s.post(inboxPath("alice"), notification(fmt.Sprint(w, "-", i))); a.status != 201 {
					t.Errorf("got %d %s", a.status, a.raw)
				}
			}
		})
	}
	reader := dial(t, s, "alice", senderID("reader"))
	reader.ask(markMsg(msg{"all": true}))
	posting.Wait()
	reader.ask(markMsg(msg{"all": true}))
	for _, c := range watchers {
		seq, unread := 0.0, 0.0
		for seq < writers*each || unread > 0 {
			switch m := c.next().msg; m["type"] {
			case "notification:new":
				if m["seq"] != seq+1 || m["unread"] != unread+1 {
					t.Fatalf("got seq %v with %v unread, after seq %v with %v", m["seq"], m["unread"], seq, unread)
				}
				seq, unread = seq+1, unread+1
			case "notification:read":
				unread = m["unread"].(float64)
			default:
				t.Fatalf("got %v", m)
			}
		}
		c.expectNothing()
	}
}

// TestKill9Inbox kills the server while backends post: every notification that
// was answered for is there after the restart, once.
func TestKill9Inbox(t *testing.T) {
	t.Parallel()
	s := startServer(t, withAPIKey)
	stored := make(map[string]bool) // ids; of all rounds
	for round := range *killRounds {
		alice := dial(t, s, "alice", senderID(fmt.Sprint(round)))
		var mu sync.Mutex // guards stored
		var posting sync.WaitGroup
		enough := make(chan struct{}, 1)
		for w := range 3 {
			posting.Go(func() {
				for i := 0; ; i++ {
					a, err := s.tryCall(request{method: "POST", path: inboxPath("alice"), credential: apiKey, body: notification(fmt.Sprint(round, w, i))})
					if err != nil {
						return
					}
					if a.status != 201 {
						t.Errorf("got %d %s", a.status, a.raw)
						return
					}
					mu.Lock()
					stored[a.msg["id"].(string)] = true
					mu.Unlock()
				}
			})
		}
		go func() { // what is told is stored, too
			for range 20 + 7*(round%10) {
				f, err := alice.tryNext()
				if err != nil {
					break
				}
				mu.Lock()
				stored[f.msg["id"].(string)] = true
				mu.Unlock()
			}
			enough <- struct{}{}
		}()
		<-enough
		s.kill9()
		posting.Wait()
		s.start()
		found := make(map[string]bool)
		inboxTitles := make(map[any]bool)
		next, unread := 0.0, 0.0
		for path := inboxPath("alice") + "?limit=200"; ; {
			page := s.read(path).expect(t, 200).msg
			for _, n := range page["notifications"].([]any) {
				n := n.(map[string]any)
				if next != 0 && n["seq"] != next {
					t.Fatalf("seq %v comes where %v should", n["seq"], next)
				}
				next = n["seq"].(float64) - 1
				if found[n["id"].(string)] || inboxTitles[n["title"]] {
					t.Errorf("%v is there twice", n)
				}
				found[n["id"].(string)], inboxTitles[n["title"]] = true, true
			}
			unread = page["unread"].(float64)
			if page["more"] == false {
				break
			}
			path = fmt.Sprintf("%s?limit=200&before=%.0f", inboxPath("alice"), next+1)
		}
		if next != 0 || unread != float64(len(found)) {
			t.Errorf("the inbox ends at seq %v, and has %v unread of %d", next+1, unread, len(found))
		}
		for id := range stored {
			if !found[id] {
				t.Errorf("round %d: %s was answered for, and is not stored", round, id)
			}
		}
		t.Logf("round %d: %d stored", round, len(found))
	}
}
