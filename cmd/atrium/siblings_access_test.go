package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"atrium/internal/auth"
)

// grant is what a token says of rooms, or of metrics.
type grant struct {
	name        string
	level       auth.Level // what it comes to for one of them
	below, some bool       // whether for any whose name begins with the same 4 bytes; for any at all
	patterns    map[string]string
}

func grantsOn(name string) []grant {
	first := name[:4]
	return []grant{
		{"no grants", auth.None, false, false, nil},
		{"none", auth.None, false, false, map[string]string{"*": "none"}},
		{"read", auth.Read, true, true, map[string]string{"*": "read"}},
		{"write", auth.Write, true, true, map[string]string{"*": "write"}},
		{"exact read", auth.Read, true, true, map[string]string{name: "read"}},
		{"exact write", auth.Write, true, true, map[string]string{name: "write"}},
		{"prefix read", auth.Read, true, true, map[string]string{first + "*": "read"}},
		{"prefix write", auth.Write, true, true, map[string]string{first + "*": "write"}},
		{"another prefix", auth.None, false, true, map[string]string{"x" + first[1:] + "*": "write"}},
		{"somebody else's", auth.None, true, true, map[string]string{name + "2": "write", name[1:]: "write", strings.ToUpper(name): "write"}},
		{"longest match lowers", auth.Read, true, true, map[string]string{"*": "write", first + "*": "read"}},
		{"longest match raises", auth.Write, true, true, map[string]string{"*": "none", first[:2] + "*": "read", first + "*": "write"}},
		{"exact none over prefix write", auth.None, true, true, map[string]string{first + "*": "write", name: "none"}},
		{"exact read over prefix none", auth.Read, true, true, map[string]string{first + "*": "none", name: "read"}},
	}
}

func roomGrants(patterns map[string]string) option {
	return func(d *dialing) { d.claims.Rooms = patterns }
}

// TestChatAccess tries every grant with everything that can be asked about a room:
// as somebody new who joins it, and as a member who does not.
func TestChatAccess(t *testing.T) {
	t.Parallel()
	s := startServer(t, withAPIKey)
	for _, joins := range []bool{true, false} {
		for i := range grantsOn("room") {
			room := fmt.Sprintf("room %v %d", joins, i)
			g := grantsOn(room)[i]
			t.Run(fmt.Sprintf("%s/joins %v", g.name, joins), func(t *testing.T) {
				t.Parallel()
				tryRoom(t, s, room, g, joins)
			})
		}
	}
}

func tryRoom(t *testing.T, s *testServer, room string, g grant, joins bool) {
	user, path := "alice of "+room, "/api/v1/rooms/"+strings.ReplaceAll(room, " ", "%20")+"/messages"
	post := func(userID, text string) msg {
		t.Helper()
		return s.post(path, map[string]any{"content": text, "userId": userID}).expect(t, 201).msg
	}
	one, two := post(user, "one"), post(user, "two") // hers, so that nothing but the grant forbids to change them
	seq := 2.0
	before := dial(t, s, user, senderID("before"), rooms("*", "write"))
	if !joins {
		before.enters(room)
		before.acks(chatMsg("leave", room, nil))
	}
	bob := dial(t, s, "bob", senderID(room), rooms("*", "write"))
	bob.enters(room)
	alice := dial(t, s, user, roomGrants(g.patterns), func(d *dialing) { d.json = joins })

	reads, writes := g.level >= auth.Read, g.level == auth.Write && joins
	operations := []struct {
		what   string
		fields msg
		ok     bool
		told   string // to others
		stores bool
	}{
		{"join", nil, reads, "chat:user_joined", false},
		{"history", nil, reads, "", false},
		{"read", msg{"seq": 1}, reads, "", false},
		{"message", msg{"message": "said"}, writes, "chat:message", true},
		{"edit", msg{"messageId": one["id"], "message": "edited"}, writes, "chat:edited", true},
		{"delete", msg{"messageId": two["id"]}, writes, "chat:deleted", true},
		{"typing", msg{"isTyping": true}, writes, "chat:typing", false},
		{"typing", msg{"isTyping": false}, writes, "chat:typing", false},
		{"leave", nil, true, "chat:user_left", false},
	}
	for _, op := range operations {
		if op.what == "join" && !joins {
			continue
		}
		answer := alice.ask(chatMsg(op.what, room, op.fields))
		want := "forbidden"
		if op.ok {
			want = "ack"
		}
		if outcome(answer) != want {
			t.Fatalf("%s: got %v, want %s", op.what, answer, want)
		}
		if answer["messages"] != nil != (op.ok && (op.what == "join" || op.what == "history")) || answer["members"] != nil != (op.ok && op.what == "join") {
			t.Errorf("%s: got %v", op.what, answer)
		}
		var told []string
		if op.ok && op.told != "" && (op.what != "leave" || joins && reads) {
			told = []string{op.told}
		}
		if op.ok && op.stores {
			seq++
		}
		// Events of a room keep their order, but for typing.
		seq++
		if fence := post("", "that was "+op.what); fence["seq"] != seq {
			t.Errorf("%s: the next seq is %v, want %v", op.what, fence["seq"], seq)
		}
		var heard []string
		for ended := false; !ended || len(heard) < len(told); {
			m := bob.next().msg
			if m["content"] == "that was "+op.what {
				ended = true
			} else {
				heard = append(heard, m["type"].(string))
			}
		}
		for _, f := range bob.ping() {
			heard = append(heard, f.msg["type"].(string))
		}
		if !slices.Equal(heard, told) {
			t.Errorf("%s: others heard %q, want %q", op.what, heard, told)
		}
	}

	// What a token does not grant is not listed, and a refusal has left no trace.
	isMember, readSeq := !joins || reads, 0.0
	if reads {
		readSeq = 1
	}
	for _, c := range []struct {
		client *client
		listed bool
	}{{alice, isMember && reads}, {before, isMember}} {
		list := c.client.acks(msg{"type": "chat:rooms"})["rooms"].([]any)
		if len(list) > 1 || len(list) == 1 != c.listed {
			t.Fatalf("%s: listed are %v; to be listed: %v", c.client.senderID, list, c.listed)
		}
		if c.listed && list[0].(map[string]any)["readSeq"] != readSeq {
			t.Errorf("%s: listed is %v, want it to be read up to %v", c.client.senderID, list, readSeq)
		}
	}
	var stored []string
	for _, m := range s.read(path).expect(t, 200).msg["messages"].([]any) {
		if m := msg(m.(map[string]any)); m["deleted"] == true {
			stored = append(stored, "gone")
		} else if text := m["content"].(string); !strings.HasPrefix(text, "that was") {
			stored = append(stored, text)
		}
	}
	want := []string{"one", "two"}
	if writes {
		want = []string{"edited", "gone", "said"}
	}
	if !slices.Equal(stored, want) {
		t.Errorf("stored are %q, want %q", stored, want)
	}
}

// TestMetricsAccess tries every grant with a subscription to a metric, and to
// prefixes of its name.
func TestMetricsAccess(t *testing.T) {
	t.Parallel()
	s := startServer(t, withAPIKey)
	for i := range grantsOn("load") {
		name := fmt.Sprint("load.", i)
		g := grantsOn(name)[i]
		t.Run(g.name, func(t *testing.T) {
			s.put(name, "before", 0)
			for kind, inCodec := range everyCodec {
				alice := dial(t, s, "alice", senderID(name+kind), func(d *dialing) { d.claims.Metrics = g.patterns }, inCodec)
				reads := g.level >= auth.Read
				for _, sub := range []struct {
					pattern     string
					ok, showsIt bool
				}{{name, reads, reads}, {name[:4] + "*", g.below, reads}, {"*", g.some, reads}} {
					answer, want := alice.ask(subscribeMsg(sub.pattern)), "forbidden"
					if sub.ok {
						want = "ack"
					}
					if outcome(answer) != want {
						t.Errorf("%s: got %v, want %s", sub.pattern, answer, want)
					}
					if shown := strings.Contains(fmt.Sprint(answer["values"]), name+" "); shown != sub.showsIt {
						t.Errorf("%s: got %v; to be shown: %v", sub.pattern, answer, sub.showsIt)
					}
				}
				s.put(name, kind, 0)
				own := func(m msg) bool { // Atrium's, which come every second
					metric, _ := m["metric"].(string)
					return strings.HasPrefix(metric, "atrium.")
				}
				if reads {
					got := alice.await("an update", func(m msg) bool { return !own(m) }).msg
					if got["metric"] != name || got["value"] != kind {
						t.Errorf("got %v, want %s to be %s", got, name, kind)
					}
				}
				for _, f := range alice.ping() {
					if !own(f.msg) {
						t.Errorf("got %v, want nothing", f.msg)
					}
				}
			}
		})
	}
}

// TestOthersInbox: whatever a token grants, a session reads and marks what is its
// own user's, and of several notifications all or none.
func TestOthersInbox(t *testing.T) {
	t.Parallel()
	s := startServer(t, withAPIKey)
	theirs := s.notify("alice", "secret")
	alice := dial(t, s, "alice")
	for user, options := range map[string][]option{
		"nobody": nil,
		"mighty": {docs("*", "write"), rooms("*", "write"), metric("*", "write")},
		"root":   {func(d *dialing) { d.claims.Admin = true }},
	} {
		own := s.notify(user, "own")
		c := dial(t, s, user, options...)
		for _, m := range []msg{
			markMsg(msg{"notificationId": theirs}), markMsg(msg{"notificationIds": []any{own, theirs}}),
			markMsg(msg{"notificationIds": []any{theirs}, "userId": "alice"}), listMsg(msg{"before": theirs}),
		} {
			if answer := c.ask(m); outcome(answer) != "not_found" || strings.Contains(fmt.Sprint(answer), "secret") {
				t.Errorf("%s: %v: got %v, want not_found", user, m, answer)
			}
		}
		list := c.acks(listMsg(msg{"userId": "alice"}))
		if got := titles(t, list); got != "own" || list["unread"] != 1.0 {
			t.Errorf("%s: got %s in %v", user, got, list)
		}
		c.acks(markMsg(msg{"all": true, "userId": "alice"}))
		if list := c.acks(listMsg(nil)); list["unread"] != 0.0 {
			t.Errorf("%s: got %v", user, list)
		}
	}
	alice.expectNothing()
	if list := alice.acks(listMsg(nil)); titles(t, list) != "secret" || list["unread"] != 1.0 {
		t.Errorf("got %v", list)
	}
}
