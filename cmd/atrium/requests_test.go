package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestIDIsEchoed(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	ids := []any{"a", "", "ünï ☃", strings.Repeat("x", 256), 0, 7, -1, -40_000, 1 << 31, 1<<32 - 1, 1 << 40, -(1 << 40), 1<<53 - 1}
	for name, inCodec := range everyCodec {
		c := dial(t, s, "alice", inCodec)
		for _, id := range ids {
			t.Run(fmt.Sprintf("%s/%.10v", name, id), func(t *testing.T) {
				c.send(msg{"type": "ping", "id": id})
				f := c.expect("ack")
				want := id
				if n, ok := id.(int); ok {
					want = float64(n)
				}
				if f.msg["id"] != want || len(f.msg) != 2 {
					t.Fatalf("got %v, want an ack with id %v alone", f.msg, id)
				}
				if exact, _ := json.Marshal(id); c.json && !bytes.Contains(f.raw, append([]byte(`"id":`), exact...)) {
					t.Errorf("got %s, want the id as it was: %s", f.raw, exact)
				}
			})
		}
		c.expectNothing()
	}
}

// TestRequestAnswers: whatever is wrong with a message, it is answered once and
// ends nothing.
func TestRequestAnswers(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	aText := func(n int) msg { return msg{"type": "ping", "id": "p", "filler": strings.Repeat("x", n)} }
	tests := []struct {
		name string
		m    msg
		want string
		id   any
	}{
		{"ping", msg{"type": "ping", "id": "p"}, "ack", "p"},
		{"ping without id", msg{"type": "ping"}, "", nil},
		{"an id that is null", msg{"type": "ping", "id": nil}, "", nil},
		{"unknown fields", msg{"type": "ping", "id": "p", "more": msg{"a": []any{1, nil, "x"}}, "": 1}, "ack", "p"},
		{"unknown type", msg{"type": "no:such", "id": 3}, "bad_request", 3.0},
		{"unknown type without id", msg{"type": "no:such"}, "bad_request", nil},
		{"no type", msg{"id": "p"}, "bad_request", "p"},
		{"a fractional id", msg{"type": "ping", "id": 1.5}, "bad_request", nil},
		{"a large fractional id", msg{"type": "ping", "id": 1e300}, "bad_request", nil},
		{"a boolean id", msg{"type": "ping", "id": true}, "bad_request", nil},
		{"a list for an id", msg{"type": "ping", "id": []any{1}}, "bad_request", nil},
		{"a map for an id", msg{"type": "ping", "id": msg{"a": 1}}, "bad_request", nil},
		{"a long id", msg{"type": "ping", "id": strings.Repeat("x", 257)}, "bad_request", nil},
		{"join again", msg{"type": "join", "id": "j", "senderId": "a", "token": token(t, "alice")}, "bad_request", "j"},
		{"auth without token", msg{"type": "auth", "id": "a"}, "unauthenticated", "a"},
		{"auth with a token of the wrong type", msg{"type": "auth", "id": "a", "token": 5}, "bad_request", "a"},
		{"nearly 64 KiB", aText(64<<10 - 100), "ack", "p"},
		{"more than 64 KiB", aText(64 << 10), "too_large", "p"},
		{"sync without a document", msg{"type": "sync", "id": "s", "senderId": "peer-alice"}, "bad_request", "s"},
		{"sync of a document with a bad id", msg{"type": "sync", "id": "s", "senderId": "peer-alice", "documentId": "x"}, "bad_request", "s"},
		{"ephemeral of a document with a bad id", msg{"type": "ephemeral", "id": "s", "senderId": "peer-alice", "documentId": "4NMNnkMhL8jXrdJ9jamS58PAVdXV"}, "bad_request", "s"},
		{"what stock clients say in vain", msg{"type": "remote-heads-changed", "senderId": "peer-alice"}, "", nil},
	}
	for name, inCodec := range everyCodec {
		for _, test := range tests {
			t.Run(name+"/"+test.name, func(t *testing.T) {
				c := dial(t, s, "alice", docs("*", "write"), inCodec, senderID("peer-alice"))
				c.send(test.m)
				answers := c.ping()
				if test.want == "" {
					if len(answers) > 0 {
						t.Fatalf("got %v, want no answer", answers[0].msg)
					}
					return
				}
				if len(answers) != 1 || outcome(answers[0].msg) != test.want || answers[0].msg["id"] != test.id {
					t.Fatalf("got %v, want %s with id %v", answers, test.want, test.id)
				}
				if answer := answers[0].msg; test.want != "ack" && (answer["message"] == "" || answer["retryable"] != false) {
					t.Errorf("got %v, want a message, and retryable to be false", answer)
				}
			})
		}
	}
}

// TestCBORQuirks holds what stock clients send: cbor-x writes maps with lengths
// of 16 bits, absent values as undefined, and large integers as floats.
func TestCBORQuirks(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	const pingType = "\x64type\x64ping"
	tests := []struct{ name, raw, want string }{
		{"a 16-bit map length", "\xb9\x00\x02" + pingType + "\x62id\x61p", "ack"},
		{"a 32-bit map length", "\xba\x00\x00\x00\x02" + pingType + "\x62id\x61p", "ack"},
		{"an undefined value", "\xa3" + pingType + "\x65token\xf7\x62id\x61p", "ack"},
		{"an undefined id", "\xa2" + pingType + "\x62id\xf7", ""},
		{"an indefinite map", "\xbf" + pingType + "\x62id\x61p\xff", "ack"},
		{"an indefinite text", "\xa2\x64type\x7f\x62pi\x62ng\xff\x62id\x61p", "ack"},
		{"a text with a long length", "\xa2\x64type\x78\x04ping\x62id\x61p", "ack"},
		{"a float for an id", "\xa2" + pingType + "\x62id\xfb\x42\x70\x00\x00\x00\x00\x00\x00", "ack"},
		{"a small float for an id", "\xa2" + pingType + "\x62id\xf9\x3c\x00", "ack"},
		{"a 64-bit integer for an id", "\xa2" + pingType + "\x62id\x1b\x00\x00\x01\x00\x00\x00\x00\x00", "ack"},
		{"an integer too large for JavaScript", "\xa2" + pingType + "\x62id\x1b\xff\xff\xff\xff\xff\xff\xff\xff", "bad_request"},
		{"NaN for an id", "\xa2" + pingType + "\x62id\xf9\x7e\x00", "bad_request"},
		{"a key twice", "\xa3" + pingType + "\x62id\x61p\x62id\x61q", "ack"},
		{"a key that is a number", "\xa3" + pingType + "\x62id\x61p\x01\x02", "ack"},
		{"a tagged field", "\xa3" + pingType + "\x62id\x61p\x61t\xc1\xfb\x41\xd9\x00\x00\x00\x00\x00\x00", "ack"},
		{"a type in bytes", "\xa2\x64type\x44ping\x62id\x61p", "closed"},
		{"a text that is not UTF-8", "\xa2\x64type\x64pin\xff\x62id\x61p", "closed"},
		{"cut off", "\xa2" + pingType, "closed"},
		{"bytes after it", "\xa2" + pingType + "\x62id\x61p\x00", "closed"},
		{"a list", "\x82" + pingType, "closed"},
		{"nothing", "", "closed"},
		{"deep", "\xa2" + pingType + "\x61x" + strings.Repeat("\x81", 40) + "\x00", "closed"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := dial(t, s, "alice", senderID(test.name))
			c.sendRaw([]byte(test.raw))
			if test.want == "closed" {
				c.expectError("bad_request", nil)
				c.expectClose(4400)
				return
			}
			answers := c.ping()
			if test.want == "" && len(answers) == 0 {
				return
			}
			if len(answers) != 1 || outcome(answers[0].msg) != test.want {
				t.Errorf("got %v, want %q", answers, test.want)
			}
		})
	}
}

func TestBadFrames(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	tests := []struct {
		name  string
		in    option
		raw   string
		close int
	}{
		{"text that is not UTF-8", inJSON, `{"type":"ping","id":"` + "\xff" + `"}`, 1007},
		{"half a surrogate", inJSON, `{"type":"ping","id":"` + "\xed\xa0\x80" + `"}`, 1007},
		{"text that is not JSON", inJSON, `{"type":"ping"`, 4400},
		{"more than 16 MiB", everyCodec["cbor"], strings.Repeat("x", 16<<20+1), 1009},
		{"more than 16 MiB of text", inJSON, strings.Repeat("x", 16<<20+1), 1009},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := dial(t, s, "alice", senderID(test.name), test.in)
			c.sendRaw([]byte(test.raw))
			c.expectClose(test.close)
		})
	}
}

func TestRateLimits(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	c, bob := dial(t, s, "alice"), dial(t, s, "bob")
	began := time.Now()
	const sent = 400 // 20 at once and 10 per second go through, 100 more are refused
	for i := range sent {
		c.send(msg{"type": "ping", "id": i})
	}
	acks, refusals := 0, 0
	for {
		f, err := c.tryNext()
		if err != nil {
			break
		}
		switch {
		case f.msg["id"] != float64(acks+refusals):
			t.Fatalf("got %v, want the answer to %d", f.msg, acks+refusals)
		case f.msg["type"] == "ack":
			acks++
			continue
		default:
			refusals++
		}
		after, _ := f.msg["retryAfterMs"].(float64)
		if f.msg["code"] != "rate_limited" || f.msg["retryable"] != true || after < 1 || after > 1000 {
			t.Fatalf("got %v, want rate_limited, retryable after at most a second", f.msg)
		}
	}
	if most := 21 + int(10*time.Since(began).Seconds()); acks < 20 || acks > most {
		t.Errorf("%d messages went through, want 20 to %d", acks, most)
	}
	if refusals != 100 {
		t.Errorf("%d refusals were told, want 100: the last one ends the session", refusals)
	}
	c.expectClose(4429)
	bob.expectNothing()
	dial(t, s, "alice").expectNothing() // limits are a session's
}
