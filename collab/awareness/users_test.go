package awareness_test

import (
	"fmt"
	"strings"
	"testing"

	"atrium/collab/awareness"
)

// TestUsers: sessions come (+) and go (-); first and last say which of them
// brought a user, or took one away.
func TestUsers(t *testing.T) {
	tests := []struct {
		name     string
		sessions string
		first    string
		last     string
		all      string
	}{
		{"nobody", "", "", "", ""},
		{"one", "+alice", "alice", "", "alice×1"},
		{"one who left", "+alice -alice", "alice", "alice", ""},
		{"in the order in which they came", "+carol +alice +bob", "carol alice bob", "", "carol×1 alice×1 bob×1"},
		{"several sessions", "+alice +bob +alice +alice", "alice bob", "", "alice×3 bob×1"},
		{"not the last session", "+alice +alice -alice", "alice", "", "alice×1"},
		{"all sessions", "+alice +bob +alice -alice -alice", "alice bob", "alice", "bob×1"},
		{"who comes back is the last", "+alice +bob -alice +alice", "alice bob alice", "alice", "bob×1 alice×1"},
		{"the one in the middle goes", "+alice +bob +carol -bob", "alice bob carol", "bob", "alice×1 carol×1"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var users awareness.Users
			var first, last, all []string
			for _, s := range strings.Fields(test.sessions) {
				id := s[1:]
				switch {
				case s[0] == '+' && users.Join(awareness.User{ID: id}):
					first = append(first, id)
				case s[0] == '-' && users.Leave(id):
					last = append(last, id)
				}
			}
			for _, u := range users.All() {
				all = append(all, fmt.Sprintf("%s×%d", u.ID, u.Sessions))
			}
			for _, check := range []struct {
				what, want string
				got        []string
			}{{"first", test.first, first}, {"last", test.last, last}, {"all", test.all, all}} {
				if got := strings.Join(check.got, " "); got != check.want {
					t.Errorf("%s: got %q, want %q", check.what, got, check.want)
				}
			}
		})
	}
}

// The newest token says what a user is called.
func TestUsersHaveTheNewestName(t *testing.T) {
	var users awareness.Users
	users.Join(awareness.User{ID: "a", Name: "Alice", Avatar: "old.png"})
	users.Join(awareness.User{ID: "a", Name: "Alice B.", Avatar: "new.png", Sessions: 7})
	want := awareness.User{ID: "a", Name: "Alice B.", Avatar: "new.png", Sessions: 2}
	if got := users.All(); len(got) != 1 || *got[0] != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
