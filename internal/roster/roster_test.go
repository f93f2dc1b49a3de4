package roster_test

import (
	"reflect"
	"testing"
	"time"

	"atrium/internal/roster"
)

func TestRoster(t *testing.T) {
	var r roster.Roster
	at := time.Unix(0, 0)
	count := make(map[string]int)
	apply := func(changes []roster.Change) {
		for _, c := range changes {
			count[c.ID] += c.By
		}
	}
	want := func(what string, counts map[string]int) {
		t.Helper()
		for id, n := range count {
			if n == 0 {
				delete(count, id)
			}
		}
		if !reflect.DeepEqual(count, counts) {
			t.Fatalf("%s: %v, want %v", what, count, counts)
		}
	}
	alice, bob := roster.User{ID: "alice", Sessions: 2}, roster.User{ID: "bob", Sessions: 1}
	apply(r.Replace("a", []roster.User{alice, bob}, at))
	apply(r.Set("b", alice, at))
	want("two nodes", map[string]int{"alice": 4, "bob": 1})
	alice.Sessions = 1
	apply(r.Set("a", alice, at))
	apply(r.Set("a", alice, at))
	want("one fewer", map[string]int{"alice": 3, "bob": 1})
	apply(r.Set("a", roster.User{ID: "bob", Sessions: -1}, at))
	apply(r.Set("c", roster.User{ID: "carol"}, at))
	want("bob is gone", map[string]int{"alice": 3})
	apply(r.Replace("b", nil, at))
	want("b has nobody", map[string]int{"alice": 1})
	apply(r.Set("b", bob, at.Add(roster.Age)))
	apply(r.Expire(at.Add(roster.Age)))
	want("not yet", map[string]int{"alice": 1, "bob": 1})
	apply(r.Expire(at.Add(roster.Age + 1)))
	want("a is silent", map[string]int{"bob": 1})
	apply(r.Expire(at.Add(3 * roster.Age)))
	want("b, too", map[string]int{})
	if !r.Empty() {
		t.Error("it is not empty")
	}
}
