package main

import (
	"slices"
	"testing"
	"time"

	"atrium/collab/change"
)

func authMsg(tok string) msg { return msg{"type": "auth", "token": tok} }

// refreshed gives the session a new token, which must be taken.
func (c *client) refreshed(options ...option) {
	c.t.Helper()
	if answer := c.ask(authMsg(token(c.t, c.user, options...))); outcome(answer) != "ack" {
		c.t.Fatalf("got %v, want the new token to be taken", answer)
	}
}

func TestGrantRaisedToWrite(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	doc := newDocument()
	owner := dial(t, s, "owner", docs("*", "write")).author(doc)
	h := owner.write()
	alice := dial(t, s, "alice", docs("*", "read"))
	alice.open(doc).receives(doc, h)

	alice.send(msg{"type": "auth", "id": "a", "token": token(t, "alice", docs("*", "write"))})
	if f := alice.expect("ack"); f.msg["id"] != "a" {
		t.Errorf("got %v, want the ack of the token", f.msg)
	}
	alice.expectClose(4503) // stock clients send again what they kept only on a new connection
	back := dial(t, s, "alice", docs("*", "write")).author(doc)
	owner.receives(doc, back.write())
}

func TestGrantRaisedFromNone(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	doc := newDocument()
	h := dial(t, s, "owner", docs("*", "write")).author(doc).write()
	for _, level := range []string{"read", "write"} {
		t.Run(level, func(t *testing.T) {
			alice := dial(t, s, "alice", senderID(level))
			alice.open(doc).expect("doc-unavailable")
			alice.refreshed(docs("*", level))
			alice.open(doc).receives(doc, h)
			if author := alice.author(doc); level == "write" {
				author.write()
			} else {
				author.edit()
				alice.expectError("forbidden", nil)
			}
		})
	}
}

func TestGrantLoweredToRead(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	doc := newDocument()
	owner := dial(t, s, "owner", docs("*", "write")).author(doc)
	first := owner.write()
	alice := dial(t, s, "alice", docs("*", "write")).author(doc)
	second := alice.write()
	owner.receives(doc, second)

	alice.send(msg{"type": "auth", "id": "a", "token": token(t, "alice", docs("*", "read"))})
	told := make(map[string]bool)
	for _, m := range alice.settle(doc) {
		told[kind(t, m)] = true
	}
	if !told["ack"] || !told["sync read-only"] {
		t.Errorf("got %v, want an ack and to be told by the flag of a sync message", told)
	}
	alice.edit()
	alice.expectError("forbidden", nil)
	third := owner.write()
	alice.receives(doc, third)

	s.stop()
	if got, want := stored(t, s)[doc], []change.Hash{first, second, third}; !slices.Equal(got, want) {
		t.Errorf("stored %v, want %v", got, want)
	}
}

func TestGrantLoweredToNone(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	for _, level := range []string{"read", "write"} {
		t.Run(level, func(t *testing.T) {
			doc, other := newDocument(), newDocument()
			owner := dial(t, s, "owner", docs("*", "write"))
			author := owner.author(doc)
			h := author.write()
			alice := dial(t, s, "alice", docs("*", level))
			alice.open(doc).receives(doc, h)
			alice.ask(syncMsg(alice, other, nothingYet()))

			alice.send(msg{"type": "auth", "id": "a", "token": token(t, "alice", docs(other, level))})
			told := alice.expect("doc-unavailable")
			if told.msg["documentId"] != doc {
				t.Errorf("got %v, want it of the document that is lost", told.msg)
			}
			alice.expect("ack")
			author.write()
			owner.shout(doc, "secret", 1)
			owner.shout(other, "open", 1)
			for _, m := range alice.until("open") {
				if m["documentId"] == doc {
					t.Errorf("got %v of a document that may not be read any more", m)
				}
			}
			alice.open(doc).expect("doc-unavailable")
		})
	}
}

func TestTokenRefused(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	doc := newDocument()
	alice := dial(t, s, "alice", docs("*", "write")).author(doc)
	tests := []struct{ name, token, want string }{
		{"another user's", token(t, "bob", docs("*", "write")), "forbidden"},
		{"nonsense", "nonsense", "unauthenticated"},
		{"none", "", "unauthenticated"},
		{"expired", token(t, "alice", func(d *dialing) {
			d.claims.IssuedAt, d.claims.Expires = time.Now().Add(-time.Hour), time.Now().Add(-time.Minute)
		}), "unauthenticated"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if answer := alice.ask(authMsg(test.token)); outcome(answer) != test.want {
				t.Errorf("got %v, want %s", answer, test.want)
			}
			alice.write() // the session goes on, with what it was granted
		})
	}
}

func TestSessionEndsWithItsToken(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	doc := newDocument()
	const ttl = 2 * time.Second
	began := time.Now()
	short := dial(t, s, "alice", expiresIn(ttl))
	refreshed := dial(t, s, "bob", docs("*", "write"), expiresIn(ttl)).author(doc)
	refreshed.refreshed(docs("*", "write"))
	shortened := dial(t, s, "carol")
	shortened.refreshed(expiresIn(ttl))

	for _, c := range []*client{short, shortened} {
		c.expectError("unauthenticated", nil)
		c.expectClose(4401)
	}
	// Tokens count whole seconds: it may be up to one more.
	if took := time.Since(began); took < ttl-100*time.Millisecond || took > ttl+5*time.Second {
		t.Errorf("sessions ended after %s, want %s", took, ttl)
	}
	refreshed.write()
}
