package main

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"atrium/collab/change"
)

// settling is how long nodes may take until they show the same, when messages
// between them have got lost.
const settling = 15 * time.Second

// check ends the load, and waits until all watchers have been told all that was
// acknowledged. Then nothing is there besides, or twice, and all nodes are asked
// whether they say the same.
func (l *load) check() {
	l.t.Helper()
	l.ends()
	l.working.Wait()
	if l.t.Failed() {
		l.t.FailNow()
	}
	l.mu.Lock() // nobody else is left
	defer l.mu.Unlock()
	took := l.settles()
	for i, w := range l.watchers {
		w.leave()
		seen, first := w.seen, l.watchers[0].seen
		for doc, want := range l.changes {
			if !maps.Equal(seen.changes[doc], want) {
				l.t.Errorf("the watcher of node %d was told %d changes, %d were written", i, len(seen.changes[doc]), len(want))
			}
		}
		l.areAll(fmt.Sprintf("messages told by node %d", i), seen.messages, l.messages)
		l.areAll(fmt.Sprintf("notifications told by node %d", i), seen.pushes, l.pushes)
		if !slices.Equal(seen.messages, first.messages) || !slices.Equal(seen.pushes, first.pushes) {
			l.t.Errorf("node %d tells in another order than node 0", i)
		}
	}
	l.checkStored()
	l.t.Logf("%d acknowledged: %d messages, %d notifications, the rest changes; all were told %v after the end; writers lost %d connections, watchers %d",
		l.acked.Load(), len(l.messages), len(l.pushes), took.Round(10*time.Millisecond), l.lost.Load(), l.watchersLost())
}

// settles waits until the watchers have been told as much as was acknowledged.
func (l *load) settles() time.Duration {
	l.t.Helper()
	behind := func() (all []string) {
		for i, w := range l.watchers {
			w.seen.mu.Lock()
			lacks := func(what string, n, want int) {
				if n < want {
					all = append(all, fmt.Sprintf("node %d: %d of %d %s", i, n, want, what))
				}
			}
			for doc, want := range l.changes {
				lacks("changes of "+doc, len(w.seen.changes[doc]), len(want))
			}
			lacks("messages", len(w.seen.messages), len(l.messages))
			lacks("notifications", len(w.seen.pushes), len(l.pushes))
			w.seen.mu.Unlock()
		}
		return all
	}
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		list := behind()
		if len(list) == 0 {
			return time.Since(began)
		}
		if time.Since(began) > settling {
			l.t.Fatalf("not told within %v: %s", settling, strings.Join(list, "; "))
		}
	}
}

// areAll fails unless the ids are those of what was acknowledged, each once.
func (l *load) areAll(what string, ids []string, acked map[string]string) {
	l.t.Helper()
	got, want := slices.Sorted(slices.Values(ids)), slices.Sorted(maps.Values(acked))
	if !slices.Equal(got, want) {
		l.t.Errorf("%s are %d, acknowledged were %d", what, len(got), len(want))
	}
}

func (l *load) watchersLost() (n int64) {
	for _, w := range l.watchers {
		n += w.lost.Load()
	}
	return n
}

// checkStored looks at what is stored, and at what each node makes of it.
func (l *load) checkStored() {
	l.t.Helper()
	log := stored(l.t, l.c.nodes[0])
	contents := make(map[string]map[string]any)
	for doc, want := range l.changes {
		if got := asSet(log[doc]); len(log[doc]) != len(want) || !maps.Equal(got, want) {
			l.t.Errorf("%d changes of %s are stored, %d of them different; %d were acknowledged", len(log[doc]), doc, len(got), len(want))
		}
		contents[doc] = map[string]any{"by first": 1.0}
	}
	for _, a := range l.authors {
		contents[a.doc]["by "+a.user] = float64(a.seq)
	}
	for i, s := range l.c.nodes {
		c := dial(l.t, s, l.inbox, senderID("fresh"), docs("*", "read"), rooms("*", "read"))
		for doc, want := range l.changes {
			answer := c.acks(joinWith(doc))
			if heads := l.watchers[i].seen.heads[doc]; !reflect.DeepEqual(answer["heads"], any(heads)) {
				l.t.Errorf("node %d has heads %v, those who were there know of %v", i, answer["heads"], heads)
			}
			if answer["document"] == nil { // or it has become long, and comes as one
				if got := c.bringsChanges(answer); len(got) != len(want) || !maps.Equal(asSet(got), want) {
					l.t.Errorf("node %d has %d changes, %d were acknowledged", i, len(got), len(want))
				}
			}
			if got := s.content(doc); !reflect.DeepEqual(got, any(contents[doc])) {
				l.t.Errorf("on node %d the document is %v, want %v", i, got, contents[doc])
			}
		}
		l.areAll(fmt.Sprintf("messages in node %d's history", i), c.readsRoom(l.room), l.messages)
		inbox := s.readsInbox(l.inbox)
		if !maps.Equal(inbox, l.pushes) {
			l.t.Errorf("node %d's inbox has %d, %d were acknowledged", i, len(inbox), len(l.pushes))
		}
		c.ws.Close()
	}
}

func asSet(list []change.Hash) map[change.Hash]bool {
	set := make(map[change.Hash]bool)
	for _, h := range list {
		set[h] = true
	}
	return set
}

// readsRoom reads a room's history from its beginning, and returns the ids.
func (c *client) readsRoom(room string) (ids []string) {
	c.t.Helper()
	for after := 0; ; {
		list := c.acks(chatMsg("history", room, msg{"after": after, "limit": 200}))["messages"].([]any)
		if len(list) == 0 {
			return ids
		}
		for _, m := range list {
			ids = append(ids, m.(map[string]any)["id"].(string))
			after = int(m.(map[string]any)["seq"].(float64))
		}
	}
}

// readsInbox reads a user's inbox, and returns the ids by title.
func (s *testServer) readsInbox(user string) map[string]string {
	s.t.Helper()
	ids := make(map[string]string)
	for path := inboxPath(user) + "?limit=200"; ; {
		page := s.read(path).expect(s.t, 200).msg
		for _, n := range page["notifications"].([]any) {
			n := n.(map[string]any)
			title := n["title"].(string)
			if ids[title] != "" {
				s.t.Errorf("notification %s is there twice", title)
			}
			ids[title] = n["id"].(string)
			path = fmt.Sprintf("%s?limit=200&before=%.0f", inboxPath(user), n["seq"])
		}
		if page["more"] == false {
			return ids
		}
	}
}
