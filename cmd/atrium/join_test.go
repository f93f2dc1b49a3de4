package main

import (
	"reflect"
	"testing"
)

var everyCodec = map[string]option{"cbor": func(*dialing) {}, "json": inJSON}

func TestPeerMessage(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	for name, inCodec := range everyCodec {
		t.Run(name, func(t *testing.T) {
			c := connect(t, s, "alice", inCodec)
			c.join(named("Alice", "https://example.com/a.png"))
			got := c.expect("peer").msg
			for _, made := range []string{"senderId", "sessionId", "serverVersion"} {
				if text, ok := got[made].(string); !ok || text == "" {
					t.Errorf("%s is %v, want a text", made, got[made])
				}
				delete(got, made)
			}
			metadata := got["peerMetadata"].(map[string]any)
			if text, ok := metadata["storageId"].(string); !ok || text == "" {
				t.Errorf("storageId is %v, want a text", metadata["storageId"])
			}
			delete(metadata, "storageId")
			want := msg{
				"type": "peer", "targetId": "peer-alice", "selectedProtocolVersion": "1",
				"peerMetadata": map[string]any{"isEphemeral": false},
				"user":         map[string]any{"id": "alice", "name": "Alice", "avatar": "https://example.com/a.png"},
				"limits":       map[string]any{"maxMessageBytes": 16777216.0, "messagesPerSecond": 10.0, "cursorsPerSecond": 60.0},
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got  %v\nwant %v", got, want)
			}
			c.expectNothing()
		})
	}
}

func TestJoinWithID(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	for name, inCodec := range everyCodec {
		t.Run(name, func(t *testing.T) {
			c := connect(t, s, "alice", inCodec)
			c.send(msg{"type": "join", "id": 5, "senderId": "a", "token": token(t, "alice")})
			c.expect("peer")
			if ack := c.expect("ack"); ack.msg["id"] != 5.0 {
				t.Errorf("got %v, want the ack of 5", ack.msg)
			}
		})
	}
}

func TestUserWithoutNameIsCalledByID(t *testing.T) {
	t.Parallel()
	c := connect(t, startServer(t), "alice")
	c.join()
	want := map[string]any{"id": "alice", "name": "alice", "avatar": ""}
	if got := c.expect("peer").msg["user"]; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestWhereTheTokenTravels(t *testing.T) {
	t.Parallel()
	open := startServer(t)
	strict := startServer(t, "ATRIUM_QUERY_TOKEN=false")
	good, other := token(t, "alice"), token(t, "bob")
	tests := []struct {
		name string
		s    *testServer
		way  option
		join string
		user string // nobody: refused
	}{
		{"in the header", open, header("Authorization", "Bearer "+good), "", "alice"},
		{"in the header, scheme in lower case", open, header("Authorization", "bearer "+good), "", "alice"},
		{"in the header of another scheme", open, header("Authorization", "Basic "+good), "", ""},
		{"in join", open, nil, good, "alice"},
		{"in the query", open, tokenInQuery(good), "", "alice"},
		{"in the query, which is off", strict, tokenInQuery(good), "", ""},
		{"in the header, the query being off", strict, header("Authorization", "Bearer "+good), "", "alice"},
		{"in join and in the header", open, header("Authorization", "Bearer "+other), good, "alice"},
		{"a bad one in join, a good one in the header", open, header("Authorization", "Bearer "+good), "nonsense", ""},
		{"nowhere", open, nil, "", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var options []option
			if test.way != nil {
				options = append(options, test.way)
			}
			c := connect(t, test.s, "alice", options...)
			c.join(withToken(test.join))
			if test.user == "" {
				c.expectError("unauthenticated", nil)
				c.expectClose(4401)
				return
			}
			if user := c.expect("peer").msg["user"].(map[string]any); user["id"] != test.user {
				t.Errorf("joined as %v, want %s", user, test.user)
			}
		})
	}
}

func TestServerKeepsItsIdentity(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	identity := func() [2]any {
		peer := func() msg {
			c := connect(t, s, "alice")
			c.join()
			return c.expect("peer").msg
		}()
		return [2]any{peer["senderId"], peer["peerMetadata"].(map[string]any)["storageId"]}
	}
	before := identity()
	s.stop()
	s.start()
	if after := identity(); after != before {
		t.Errorf("after a restart: %v, before: %v", after, before)
	}
	s.kill9()
	s.start()
	if after := identity(); after != before {
		t.Errorf("after kill -9: %v, before: %v", after, before)
	}
	if other := startServer(t); other != nil {
		s = other
	}
	if other := identity(); other[0] == before[0] || other[1] == before[1] {
		t.Errorf("two servers are both %v", other)
	}
}

func TestProtocolVersions(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	tests := []struct {
		name     string
		versions any
		ok       bool
	}{
		{"absent", nil, true},
		{"1", []any{"1"}, true},
		{"1 among others", []any{"2", "1"}, true},
		{"2 alone", []any{"2"}, false},
		{"empty", []any{}, false},
		{"not a list", "1", false},
		{"a number", []any{1}, false},
	}
	for name, inCodec := range everyCodec {
		for _, test := range tests {
			t.Run(name+"/"+test.name, func(t *testing.T) {
				c := connect(t, s, "alice", inCodec)
				m := msg{"type": "join", "senderId": "a", "token": token(t, "alice")}
				if test.versions != nil {
					m["supportedProtocolVersions"] = test.versions
				}
				c.send(m)
				if test.ok {
					c.expect("peer")
					return
				}
				c.expectError("bad_request", nil)
				c.expectClose(4400)
			})
		}
	}
}

func TestSameSenderIDAgain(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	first := dial(t, s, "alice", senderID("laptop"))
	bob := dial(t, s, "bob", senderID("laptop"))
	phone := dial(t, s, "alice", senderID("phone"))

	second := dial(t, s, "alice", senderID("laptop"))
	first.expectClose(4409)
	for _, live := range []*client{bob, phone, second} {
		live.expectNothing()
	}
}
