package main

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/gorilla/websocket"
)

// TestJoinRefused: refusals are told in the socket, an error and then the close
// code, since an HTTP error at the upgrade ends stock Node clients.
func TestJoinRefused(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	claims := jwt.MapClaims{"sub": "alice", "exp": time.Now().Add(time.Hour).Unix()}
	sign := func(method jwt.SigningMethod, key any) string {
		tok, err := jwt.NewWithClaims(method, claims).SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return tok
	}
	past := func(d *dialing) {
		d.claims.IssuedAt, d.claims.Expires = d.claims.IssuedAt.Add(-time.Hour), time.Now().Add(-time.Second)
	}
	join := func(tok any) msg { return msg{"type": "join", "senderId": "a", "token": tok} }
	good := token(t, "alice")
	tests := []struct {
		name  string
		m     msg
		code  string
		close int
	}{
		{"no token", msg{"type": "join", "senderId": "a"}, "unauthenticated", 4401},
		{"an empty token", join(""), "unauthenticated", 4401},
		{"not a token", join("nonsense"), "unauthenticated", 4401},
		{"a token cut off", join(good[:len(good)-3]), "unauthenticated", 4401},
		{"an expired token", join(token(t, "alice", past)), "unauthenticated", 4401},
		{"another secret", join(sign(jwt.SigningMethodHS256, []byte(strings.Repeat("x", 40)))), "unauthenticated", 4401},
		{"HS512", join(sign(jwt.SigningMethodHS512, []byte(secret))), "unauthenticated", 4401},
		{"alg none", join(sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType)), "unauthenticated", 4401},
		{"a token that is a number", join(7), "bad_request", 4400},
		{"another type", msg{"type": "ping", "token": good}, "bad_request", 4400},
		{"no type", msg{"senderId": "a", "token": good}, "bad_request", 4400},
		{"no senderId", msg{"type": "join", "token": good}, "bad_request", 4400},
		{"a long senderId", msg{"type": "join", "token": good, "senderId": strings.Repeat("x", 257)}, "bad_request", 4400},
	}
	for name, inCodec := range everyCodec {
		for _, test := range tests {
			for _, id := range []any{nil, "j1"} {
				t.Run(name+"/"+test.name, func(t *testing.T) {
					c := connect(t, s, "alice", inCodec)
					m := msg{}
					for k, v := range test.m {
						m[k] = v
					}
					if id != nil {
						m["id"] = id
					}
					c.send(m)
					if answer := c.expect("error"); answer.msg["code"] != test.code || answer.msg["retryable"] != false {
						t.Errorf("got %v, want code %s", answer.msg, test.code)
					} else if answer.msg["id"] != id && test.code != "bad_request" {
						t.Errorf("got %v, want the answer to %v", answer.msg, id)
					}
					c.expectClose(test.close)
				})
			}
		}
	}
}

func TestGarbageBeforeJoin(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	tests := []struct {
		name  string
		text  bool
		raw   string
		close int
	}{
		{"empty", false, "", 4400},
		{"an array", false, "\x80", 4400},
		{"cut off", false, "\xb9\x00\x04\x64type", 4400},
		{"bytes after the map", false, "\xa0\xa0", 4400},
		{"deep", false, strings.Repeat("\x81", 100), 4400},
		{"a map that claims to be huge", false, "\xbb\x7f\xff\xff\xff\xff\xff\xff\xff", 4400},
		{"an empty text", true, "", 4400},
		{"not JSON", true, "hello", 4400},
		{"a JSON array", true, "[]", 4400},
		{"not UTF-8", true, "{\"type\":\"\xff\"}", 1007},
		{"16 KiB and a byte", false, strings.Repeat("x", 16<<10+1), 1009},
		{"16 KiB and a byte of text", true, strings.Repeat("x", 16<<10+1), 1009},
		{"16 KiB", true, strings.Repeat("x", 16<<10), 4400},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := connect(t, s, "mallory", func(d *dialing) { d.json = test.text })
			c.sendRaw([]byte(test.raw))
			if test.close == 4400 {
				c.expectError("bad_request", nil)
			}
			c.expectClose(test.close)
		})
	}
}

func TestJoinTooLate(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	began := time.Now()
	silent, slow := connect(t, s, "alice"), connect(t, s, "bob")
	// One that sends a byte of a frame now and then gets no more time.
	slow.ws.NetConn().Write([]byte{0x82, 0xfe})
	for _, c := range []*client{silent, slow} {
		c.expectError("bad_request", nil)
		c.expectClose(4408)
	}
	if took := time.Since(began); took < 9*time.Second || took > 20*time.Second {
		t.Errorf("it took %s, want 10 s", took)
	}
}

func TestOrigins(t *testing.T) {
	t.Parallel()
	same := startServer(t)
	listed := startServer(t, "ATRIUM_ALLOWED_ORIGINS=https://app.example.com,https://other.example.com")
	dev := startServer(t, "--dev")
	tests := []struct {
		name   string
		s      *testServer
		origin string
		ok     bool
	}{
		{"none", same, "", true},
		{"the same host", same, "http://" + same.addr, true},
		{"another host", same, "https://evil.example.com", false},
		{"another port", same, "http://127.0.0.1:1", false},
		{"null", same, "null", false},
		{"nonsense", same, "%%", false},
		{"listed", listed, "https://app.example.com", true},
		{"listed second", listed, "https://other.example.com", true},
		{"listed, by another scheme", listed, "http://app.example.com", false},
		{"listed, with another port", listed, "https://app.example.com:8443", false},
		{"longer than a listed one", listed, "https://app.example.com.evil.com", false},
		{"the same host, others being listed", listed, "http://" + listed.addr, false},
		{"loopback in development", dev, "http://localhost:5173", true},
		{"loopback in development, by address", dev, "http://127.0.0.1:1", true},
		{"loopback in development, IPv6", dev, "http://[::1]:5173", true},
		{"another host in development", dev, "http://evil.example.com", false},
		{"a name like loopback in development", dev, "http://localhost.evil.com", false},
		{"loopback, but not in development", same, "http://localhost:5173", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h := http.Header{}
			if test.origin != "" {
				h.Set("Origin", test.origin)
			}
			ws, resp, err := websocket.DefaultDialer.Dial("ws://"+test.s.addr+"/ws", h)
			if err == nil {
				ws.Close()
			}
			switch {
			case test.ok && err != nil:
				t.Errorf("got %v, want to be let in", err)
			case !test.ok && err == nil:
				t.Error("it was let in")
			case !test.ok && (resp == nil || resp.StatusCode != http.StatusForbidden):
				t.Errorf("got %v, want status 403", resp)
			}
		})
	}
}
