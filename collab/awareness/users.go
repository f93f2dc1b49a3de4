// Package awareness is who has one document open, and where each of them is:
// its users, the newest cursor of each session, and how often it is worth
// telling of cursors. The latest wins; nothing is kept of what came before.
//
// It knows no connection, no encoding and no clock: sessions are keys, cursors
// are the owner's values, and the time is passed in. Nothing in it is safe for
// concurrent use.
package awareness

import "slices"

// User is somebody with at least one session.
type User struct {
	ID, Name, Avatar string
	Sessions         int
}

// Users counts sessions by user. The zero value has none.
type Users struct {
	byID  map[string]*User
	order []*User // in which they came
}

// Join adds a session of u, whose name and avatar are the newest. It reports
// whether it is the user's first.
func (us *Users) Join(u User) (first bool) {
	known := us.byID[u.ID]
	if known == nil {
		if us.byID == nil {
			us.byID = make(map[string]*User)
		}
		known = &User{ID: u.ID}
		us.byID[u.ID] = known
		us.order = append(us.order, known)
	}
	known.Name, known.Avatar = u.Name, u.Avatar
	known.Sessions++
	return known.Sessions == 1
}

// Leave takes a session away. It reports whether it was the user's last.
func (us *Users) Leave(userID string) (last bool) {
	u := us.byID[userID]
	if u.Sessions--; u.Sessions > 0 {
		return false
	}
	delete(us.byID, userID)
	us.order = slices.DeleteFunc(us.order, func(x *User) bool { return x == u })
	return true
}

// All returns the users in the order in which they came. The caller must not
// alter them.
func (us *Users) All() []*User { return us.order }
