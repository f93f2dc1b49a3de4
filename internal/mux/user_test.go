package mux_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"atrium/internal/mux"
)

// TestSessionsAfter: pages of all sessions, or of one user's, and what waits for each.
func TestSessionsAfter(t *testing.T) {
	t.Parallel()
	s := start(t, mux.Options{})
	var ids []string
	var clients []*client
	for _, user := range []string{"alice", "bob", "alice", "carol"} {
		c := dial(s, user, senderID(fmt.Sprint(len(ids))))
		clients = append(clients, c)
		ids = append(ids, c.session.ID)
	}
	for _, test := range []struct {
		user, after string
		limit       int
		want        []string
		more        bool
	}{
		{"", "", 10, ids, false},
		{"", "", 4, ids, false},
		{"", "", 3, ids[:3], true},
		{"", ids[0], 2, ids[1:3], true},
		{"", ids[1], 2, ids[2:], false},
		{"", ids[3], 2, nil, false},
		{"alice", "", 1, ids[:1], true},
		{"alice", ids[0], 1, ids[2:3], false},
		{"nobody", "", 1, nil, false},
	} {
		var got []string
		list, more := s.SessionsAfter(test.user, test.after, test.limit)
		for _, x := range list {
			got = append(got, x.ID)
		}
		if !slices.Equal(got, test.want) || more != test.more {
			t.Errorf("%+v: got %v, more %t", test, got, more)
		}
	}
	slow, quick := clients[0], clients[1]
	slow.stall()
	slow.session.Send(frame("x", 0, 100<<10))
	if n := slow.session.Queued(); n < 100<<10 || n > 2<<20 {
		t.Errorf("%d bytes wait for one that does not read", n)
	}
	quick.ping()
	if n := quick.session.Queued(); n != 0 {
		t.Errorf("%d bytes wait for one that reads", n)
	}
}

// TestFirstOfMany: pages of very many sessions, in any order.
func TestFirstOfMany(t *testing.T) {
	t.Parallel()
	const n = 10_000
	var ids []string
	for i := range n {
		ids = append(ids, fmt.Sprintf("%05d", i))
	}
	var users [][]string
	for _, i := range rand.Perm(n) {
		users = append(users, []string{ids[i]})
	}
	for _, limit := range []int{1, 7, 1000, n - 1, n, n + 1} {
		for from := 0; from < n; from += max(limit, n/5) {
			after := ""
			if from > 0 {
				after = ids[from-1]
			}
			got, more := mux.FirstBehind(users, after, limit)
			if to := min(from+limit, n); !slices.Equal(got, ids[from:to]) || more != (to < n) {
				t.Errorf("%d behind %q: got %d, more %t", limit, after, len(got), more)
			}
		}
	}
}
