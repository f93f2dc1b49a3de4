package main

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"syscall"
	"testing"
	"time"

	"atrium/internal/scratch"
)

// wholly calls until all nodes have answered: one that is busy with other tests may
// not do so in time.
func wholly[T any](t *testing.T, call func() (T, msg)) (got T, page msg) {
	t.Helper()
	eventually(t, "all nodes answer", patience, func() bool {
		got, page = call()
		return page["missing"] == nil
	})
	return got, page
}

// allSessions are sessions of all nodes.
func (s *testServer) allSessions(query string) (all map[string]held, page msg) {
	s.t.Helper()
	return wholly(s.t, func() (map[string]held, msg) { return s.sessions(query) })
}

// TestClusterOperator: any node tells of all nodes' sessions, and where documents
// are open.
func TestClusterOperator(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2)
	alice := dial(t, c.nodes[0], "alice", docs("*", "write"))
	doc := newDocument()
	alice.author(doc).write()
	for i, s := range slices.Repeat(c.nodes, 3) { // one behind the other, on both
		x := dial(t, s, "bob", senderID(fmt.Sprint(i)), docs("*", "read"))
		if i < 3 {
			x.ask(msg{"type": "collab:join_document", "documentId": doc})
		}
	}
	slow := dial(t, c.nodes[1], "slow", receiveBuffer(4096))
	slow.pause()

	// What a call for the sessions of a user has always told: the nodes' names.
	names := make([]string, len(c.nodes))
	var pages []msg
	for i, s := range c.nodes {
		eventually(t, "sessions of both nodes", patience, func() bool {
			all, _ := s.allSessions("")
			return len(all) == 8
		})
		for _, x := range s.read("/api/v1/users/bob/sessions").expect(t, 200).msg["sessions"].([]any) {
			switch h := x.(held); h["senderId"] {
			case "0":
				names[0] = h["node"].(string)
			case "1":
				names[1] = h["node"].(string)
			}
		}
		all, page := s.allSessions("")
		pages = append(pages, page)
		if page["more"] != false || !slices.IsSorted(sessionIDs(page)) {
			t.Errorf("node %d tells %v", i, page)
		}
		for key, want := range map[string]struct {
			node      int
			documents []any
		}{
			"alice/peer-alice": {0, []any{doc}},
			"bob/0":            {0, []any{doc}}, "bob/1": {1, []any{doc}}, "bob/2": {0, []any{doc}},
			"bob/3": {1, []any{}}, "bob/4": {0, []any{}}, "bob/5": {1, []any{}},
			"slow/peer-slow": {1, []any{}},
		} {
			if h := all[key]; h["node"] != names[want.node] || !reflect.DeepEqual(h["documents"], want.documents) {
				t.Errorf("node %d tells of %s: %v, want node %s", i, key, h, names[want.node])
			}
		}
		open := map[string]float64{names[0]: 3, names[1]: 1}
		places, _ := wholly(t, func() ([]any, msg) { return s.places(doc) })
		var want []any
		for _, node := range slices.Sorted(maps.Keys(open)) {
			want = append(want, map[string]any{"node": node, "sessions": open[node]})
		}
		if !reflect.DeepEqual(places, want) {
			t.Errorf("node %d tells that the document is open in %v, want %v", i, places, want)
		}
	}
	if !reflect.DeepEqual(pages[0], pages[1]) {
		t.Errorf("the nodes tell\n%v\n%v", pages[0], pages[1])
	}
	ids := sessionIDs(pages[0])
	for _, s := range c.nodes {
		for _, limit := range []int{1, 3, 7} {
			var got []string
			for after, more := "", true; more; {
				_, page := s.allSessions(fmt.Sprintf("?limit=%d&after=%s", limit, after))
				got = append(got, sessionIDs(page)...)
				after, more = got[len(got)-1], page["more"].(bool)
			}
			if !slices.Equal(got, ids) {
				t.Errorf("pages of %d have %v, want %v", limit, got, ids)
			}
		}
		if all, _ := s.allSessions("?userId=bob"); len(all) != 6 {
			t.Errorf("bob has %v", all)
		}
	}
	body := map[string]any{"event": "e", "data": string(make([]byte, 8<<10))}
	eventually(t, "what waits on the other node", patience, func() bool {
		c.nodes[0].post("/api/v1/users/slow/send", body).expect(t, 202)
		all, _ := c.nodes[0].allSessions("?userId=slow")
		return all["slow/peer-slow"]["queuedBytes"].(float64) > 100<<10
	})
}

// TestClusterOperatorAlone: a node that does not answer is missed for a moment, one
// that has stopped is not; nobody waits long.
func TestClusterOperatorAlone(t *testing.T) {
	t.Parallel()
	redis := scratch.NewRedis(t)
	proxy := newProxy(t, redis.Addr)
	c := newClusterOn(t, scratch.Database(t), []string{proxy.RedisURL(), redis.RedisURL(), redis.RedisURL()})
	c.errorsOK()
	s, killed, stopped := c.nodes[0], c.nodes[1], c.nodes[2]
	doc := newDocument()
	dial(t, s, "alice", docs("*", "write")).author(doc).write()
	for i, n := range c.nodes[1:] {
		dial(t, n, "bob", senderID(fmt.Sprint(i)), docs("*", "read")).ask(msg{"type": "collab:join_document", "documentId": doc})
	}
	// tells returns what is told at the moment, of sessions and of a document.
	tells := func() (sessions, open int, missing []any) {
		t.Helper()
		began := time.Now()
		all, page := s.sessions("")
		places, list := s.places(doc)
		if took := time.Since(began); took > patience/3 {
			t.Errorf("it took %v", took)
		}
		return len(all), len(places), []any{page["missing"], list["missing"]}
	}
	becomes := func(what string, sessions, open int, missing any) {
		t.Helper()
		eventually(t, what, patience, func() bool {
			gotSessions, gotOpen, gotMissing := tells()
			return gotSessions == sessions && gotOpen == open && reflect.DeepEqual(gotMissing, []any{missing, missing})
		})
	}
	becomes("all are there", 3, 3, nil)

	killed.signal(syscall.SIGSTOP)
	becomes("one that hangs is missing", 2, 2, 1.0)
	killed.signal(syscall.SIGCONT)
	becomes("it is back", 3, 3, nil)

	proxy.refuse()
	becomes("without Redis the others are missing", 1, 1, 2.0)
	time.Sleep(vitalsAge)
	becomes("and are not forgotten", 1, 1, 2.0)
	proxy.allow()
	becomes("with it they are back", 3, 3, nil)

	stopped.stop()
	if sessions, open, missing := tells(); sessions != 2 || open != 2 || missing[1] != nil {
		t.Errorf("after one has stopped, %d sessions, open on %d nodes, missing %v", sessions, open, missing)
	}
	killed.kill9()
	if sessions, open, missing := tells(); sessions != 1 || open != 1 || missing[0] != 1.0 {
		t.Errorf("after one was killed, %d sessions, open on %d nodes, missing %v", sessions, open, missing)
	}
	becomes("it is missed no more", 1, 1, nil)
}

// TestMerge: a page of all nodes ends where one of them has not told more.
func TestMerge(t *testing.T) {
	page := func(node string, more bool, ids ...string) nodeAnswer {
		a := nodeAnswer{Node: node, More: more}
		for _, id := range ids {
			a.Sessions = append(a.Sessions, sessionRecord{SessionID: id})
		}
		return a
	}
	for _, test := range []struct {
		name  string
		pages []nodeAnswer
		limit int
		want  string
		more  bool
	}{
		{"nobody", []nodeAnswer{page("a", false), {}}, 3, "", false},
		{"all", []nodeAnswer{page("a", false, "1", "4"), page("b", false, "2")}, 3, "a1 b2 a4", false},
		{"the first of all", []nodeAnswer{page("a", false, "1", "4"), page("b", false, "2", "3")}, 3, "a1 b2 b3", true},
		{"a full page", []nodeAnswer{page("a", true, "1", "2", "4"), page("b", false, "3")}, 3, "a1 a2 b3", true},
		{"a short one", []nodeAnswer{page("a", false, "1", "3", "4"), page("b", true, "2")}, 3, "a1 b2", true},
		{"two short ones", []nodeAnswer{page("a", true, "1", "3"), page("b", true, "2"), page("c", false, "5")}, 9, "a1 b2", true},
	} {
		list, more := merge(test.pages, test.limit)
		got := ""
		for i, r := range list {
			if i > 0 {
				got += " "
			}
			got += r.Node + r.SessionID
		}
		if got != test.want || more != test.more || list == nil {
			t.Errorf("%s: got %s, more %t", test.name, got, more)
		}
	}
}
