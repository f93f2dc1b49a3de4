package main

import (
	"slices"
	"strings"
	"sync"
	"testing"

	"atrium/collab/change"
	"atrium/collab/docsync"
)

// TestAccess tries every grant with every operation, on a document that is
// there and on one that is not.
func TestAccess(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	grants := []struct {
		name  string
		docs  func(doc string) map[string]string
		level string
	}{
		{"nothing", func(string) map[string]string { return nil }, "none"},
		{"none", func(string) map[string]string { return map[string]string{"*": "none"} }, "none"},
		{"read", func(string) map[string]string { return map[string]string{"*": "read"} }, "read"},
		{"write", func(string) map[string]string { return map[string]string{"*": "write"} }, "write"},
		{"exact read", func(d string) map[string]string { return map[string]string{d: "read"} }, "read"},
		{"exact write", func(d string) map[string]string { return map[string]string{d: "write"} }, "write"},
		{"prefix write", func(d string) map[string]string { return map[string]string{d[:5] + "*": "write"} }, "write"},
		{"another prefix", func(d string) map[string]string { return map[string]string{"0" + d[1:5] + "*": "write"} }, "none"},
		{"another document", func(d string) map[string]string { return map[string]string{d[1:]: "write"} }, "none"},
		{"longest match lowers", func(d string) map[string]string { return map[string]string{"*": "write", d[:5] + "*": "read"} }, "read"},
		{"longest match raises", func(d string) map[string]string {
			return map[string]string{"*": "none", d[:5] + "*": "write", d[:4] + "*": "read"}
		}, "write"},
		{"exact none over prefix write", func(d string) map[string]string { return map[string]string{d: "none", d[:5] + "*": "write"} }, "none"},
		{"exact read over prefix none", func(d string) map[string]string { return map[string]string{d: "read", d[:5] + "*": "none"} }, "read"},
	}
	const (
		existing = "existing"
		unknown  = "unknown"
	)
	refused := []string{"doc-unavailable", "forbidden"}
	operations := []struct {
		operation, document string
		none, read, write   []string // what comes back
		relayed             string   // to others, with which levels
	}{
		{"sync", existing, refused, []string{"sync read-only", "ack"}, []string{"sync", "ack"}, ""},
		{"sync", unknown, refused, []string{"ack", "doc-unavailable"}, []string{"ack", "doc-unavailable"}, ""},
		{"request", existing, refused, []string{"sync read-only", "ack"}, []string{"sync", "ack"}, ""},
		{"request", unknown, refused, []string{"ack", "doc-unavailable"}, []string{"ack", "doc-unavailable"}, ""},
		{"change", existing, refused, []string{"forbidden", "sync read-only"}, []string{"sync", "ack"}, "write"},
		{"change", unknown, refused, []string{"forbidden", "doc-unavailable"}, []string{"sync", "ack"}, "write"},
		{"ephemeral", existing, []string{"forbidden"}, []string{"ack"}, []string{"ack"}, "read write"},
		{"ephemeral", unknown, []string{"forbidden"}, []string{"ack"}, []string{"ack"}, "read write"},
	}

	var mu sync.Mutex
	want := make(map[string][]change.Hash) // of each document, what is to be stored; guarded by mu
	t.Run("cells", func(t *testing.T) {
		for _, grant := range grants {
			for _, op := range operations {
				t.Run(grant.name+"/"+op.operation+"/"+op.document, func(t *testing.T) {
					t.Parallel()
					doc := newDocument()
					owner := dial(t, s, "owner", senderID(doc), docs("*", "write"))
					observer := dial(t, s, "observer", senderID(doc), docs("*", "write"))
					var log []change.Hash
					if op.document == existing {
						log = append(log, owner.author(doc).write())
					}
					observer.ask(syncMsg(observer, doc, nothingYet()))

					alice := dial(t, s, "alice", senderID(doc), func(d *dialing) { d.claims.Docs = grant.docs(doc) })
					author := alice.author(doc)
					m := syncMsg(alice, doc, nothingYet())
					switch op.operation {
					case "request":
						m["type"] = "request"
					case "change":
						c := author.next()
						m = syncMsg(alice, doc, docsync.Message{Heads: author.head, Have: []docsync.Have{{}}, Changes: [][]byte{c.Encode()}})
					case "ephemeral":
						m = shoutMsg(alice, doc, "hello", 1)
					}
					answers := map[string][]string{"none": op.none, "read": op.read, "write": op.write}[grant.level]
					m["id"] = "m"
					alice.send(m)
					for _, want := range answers {
						if got := kind(t, alice.next().msg); got != want {
							t.Fatalf("got %s, want %s of %v", got, want, answers)
						}
					}
					alice.expectNothing()

					relayed := slices.Contains(strings.Fields(op.relayed), grant.level)
					owner.shout(doc, "that was it", 1)
					var heard []string
					for _, m := range observer.until("that was it") {
						switch {
						case m["type"] == "ephemeral":
							heard = append(heard, "ephemeral")
						case slices.ContainsFunc(changesIn(t, m), func(h change.Hash) bool { return slices.Contains(author.head, h) }):
							heard = append(heard, "change")
						}
					}
					if relayed != slices.Equal(heard, []string{op.operation}) || !relayed && len(heard) > 0 {
						t.Errorf("others heard %v; to be relayed: %v", heard, relayed)
					}
					if relayed && op.operation == "change" {
						log = append(log, author.head...)
					}
					mu.Lock()
					want[doc] = log
					mu.Unlock()
				})
			}
		}
	})
	s.stop()
	got := stored(t, s)
	for doc, log := range want {
		if !slices.Equal(got[doc], log) {
			t.Errorf("%s: stored %v, want %v", doc, got[doc], log)
		}
	}
	if len(want) != len(grants)*len(operations) {
		t.Errorf("%d cells were tried", len(want))
	}
}

// kind is a message's type; of an error its code; of a sync message also
// whether it forbids to write.
func kind(t *testing.T, m msg) string {
	if m["type"] == "sync" && syncOf(t, m).Flags&2 != 0 {
		return "sync read-only"
	}
	return outcome(m)
}
