package main

import (
	"fmt"
	"testing"
	"time"
)

// TestClusterGhosts: a node is killed. Whoever was there alone is offline within a
// minute, and out of the document and the room; who has gone on elsewhere was never
// away, nor was who has another session.
func TestClusterGhosts(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2)
	dying, living := c.nodes[0], c.nodes[1]
	all := []option{docs("*", "write"), rooms("*", "write")}
	doc := existingDocument(t, living)
	watcher := dial(t, living, "watcher", all...)
	watcher.acks(presenceMsg("subscribe", "ghost", "mover", "double"))
	watcher.enters("a")
	watcher.acks(joinDocumentMsg(doc))
	come := func(s *testServer, user, sender string) *client {
		x := dial(t, s, user, append(all, senderID(sender))...)
		x.enters("a")
		x.acks(joinDocumentMsg(doc))
		return x
	}
	come(dying, "ghost", "1")
	come(dying, "mover", "1")
	come(dying, "double", "1")
	come(living, "double", "2")
	watcher.seesUsers(doc, "double×2 ghost×1 mover×1 watcher×1")
	watcher.isAmong("a", "double×2 ghost×1 mover×1 watcher×1")
	statusesOf := func() string {
		return fmt.Sprint(statuses(t, living.read("/api/v1/presence?userId=ghost&userId=mover&userId=double").expect(t, 200).msg))
	}
	eventually(t, "all are online", patience, func() bool { return statusesOf() == "[ghost online 1 mover online 1 double online 2]" })
	for _, f := range watcher.ping() {
		if f.msg["type"] == "presence:update" && f.msg["status"] != "online" {
			t.Errorf("got %v", f.msg)
		}
	}

	dying.kill9()
	killed := time.Now()
	come(living, "mover", "1")
	took := make(map[string]time.Duration)
	for len(took) < 3 {
		f, err := watcher.tryNext()
		if err == errNothing && time.Since(killed) < 70*time.Second {
			continue
		}
		if err != nil {
			t.Fatalf("after %v the watcher was told of %v: %v", time.Since(killed), took, err)
		}
		switch typ := f.msg["type"]; typ {
		case "presence:update", "collab:user_left", "chat:user_left":
			if f.msg["userId"] != "ghost" || typ == "presence:update" && f.msg["status"] != "offline" {
				t.Errorf("got %v", f.msg)
			}
			took[fmt.Sprint(typ)] = time.Since(killed)
			at, err := time.Parse(time.RFC3339, fmt.Sprint(f.msg["lastSeen"]))
			if typ == "presence:update" && (err != nil || at.Before(killed.Add(-30*time.Second)) || at.After(time.Now().Add(time.Second))) {
				t.Errorf("killed at %v, last seen at %v: %v", killed, at, err)
			}
		}
	}
	for what, d := range took {
		t.Logf("%s came %v after the kill", what, d)
		if d > time.Minute {
			t.Errorf("%s came %v after the kill", what, d)
		}
	}
	eventually(t, "the ghosts' sessions are gone", time.Until(killed.Add(time.Minute)), func() bool {
		return statusesOf() == "[ghost offline 0 mover online 1 double online 1]"
	})
	watcher.seesUsers(doc, "double×1 mover×1 watcher×1")
	watcher.isAmong("a", "double×1 mover×1 watcher×1")
}
