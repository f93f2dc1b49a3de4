// Package roster is who is in one place on other nodes, as these nodes tell it:
// each of them the whole, now and then, and what changes in between. What a node
// says no more is forgotten after a while.
//
// It knows no clock and sends nothing. Nothing in it is safe for concurrent use.
package roster

import "time"

const (
	// Every is how often a node tells the whole.
	Every = 15 * time.Second
	// Age is after how long without a word a node is taken for gone.
	Age = 35 * time.Second
)

// User is somebody's sessions on one node.
type User struct {
	ID       string `cbor:"i"`
	Name     string `cbor:"n"`
	Avatar   string `cbor:"a,omitempty"`
	Sessions int    `cbor:"s"` // none: they are gone
}

// Change is that of a user's sessions on one node.
type Change struct {
	User
	Node string
	By   int // sessions more, or fewer
}

// Roster is who is elsewhere. The zero value has nobody.
type Roster struct {
	nodes map[string]*node
}

type node struct {
	users map[string]User
	heard time.Time
}

// Empty reports whether nobody is elsewhere.
func (r *Roster) Empty() bool { return len(r.nodes) == 0 }

// Replace takes in the whole of what a node says.
func (r *Roster) Replace(name string, users []User, now time.Time) (changes []Change) {
	n := r.node(name, now)
	said := make(map[string]bool, len(users))
	for _, u := range users {
		said[u.ID] = true
		changes = n.set(name, u, changes)
	}
	for id, u := range n.users {
		if !said[id] {
			u.Sessions = 0
			changes = n.set(name, u, changes)
		}
	}
	r.prune(name)
	return changes
}

// Set takes in what a node says of one user.
func (r *Roster) Set(name string, u User, now time.Time) (changes []Change) {
	changes = r.node(name, now).set(name, u, nil)
	r.prune(name)
	return changes
}

// Expire forgets nodes that have said nothing for Age.
func (r *Roster) Expire(now time.Time) (changes []Change) {
	for name, n := range r.nodes {
		if now.Sub(n.heard) > Age {
			changes = append(changes, r.Replace(name, nil, now)...)
		}
	}
	return changes
}

func (r *Roster) node(name string, now time.Time) *node {
	if r.nodes == nil {
		r.nodes = make(map[string]*node)
	}
	n := r.nodes[name]
	if n == nil {
		n = &node{users: make(map[string]User)}
		r.nodes[name] = n
	}
	n.heard = now
	return n
}

func (r *Roster) prune(name string) {
	if len(r.nodes[name].users) == 0 {
		delete(r.nodes, name)
	}
}

func (n *node) set(name string, u User, changes []Change) []Change {
	u.Sessions = max(u.Sessions, 0)
	before := n.users[u.ID]
	if u.Sessions == 0 {
		delete(n.users, u.ID)
	} else {
		n.users[u.ID] = u
	}
	if by := u.Sessions - before.Sessions; by != 0 {
		changes = append(changes, Change{u, name, by})
	}
	return changes
}
