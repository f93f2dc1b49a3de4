package notify

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"atrium/internal/auth"
	"atrium/internal/db"
	"atrium/internal/mux"
	"atrium/internal/scratch"
)

func open(d *db.DB) *Module {
	return New(Options{DB: d, Mux: mux.New(mux.Options{Verify: func(string) (*auth.Identity, error) { return nil, auth.ErrInvalid }})})
}

// add stores one, and returns its id and what delivers it.
func (m *Module) mustAdd(t *testing.T, userID, title string) (id string, deliver func()) {
	t.Helper()
	err := m.opts.DB.Write(t.Context(), func(tx *db.Tx) error {
		s, d, err := m.add(tx, Notification{UserID: userID, Kind: "test", Title: title})
		if err == nil {
			id, deliver = s.ID, d
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return id, deliver
}

// wantInbox looks at an inbox, and at the count beside it.
func (m *Module) wantInbox(t *testing.T, userID string, unread int64, want ...string) {
	t.Helper()
	err := m.opts.DB.Read(t.Context(), func(tx *db.Tx) error {
		list, n, more, err := read(tx, userID, page{limit: 200})
		if err != nil {
			return err
		}
		var got []string
		counted := int64(0)
		for _, s := range list {
			mark := ""
			if s.Read {
				mark = " read"
			} else {
				counted++
			}
			got = append(got, fmt.Sprint(s.Seq, " ", s.Title, mark))
		}
		if !slices.Equal(got, want) || n != unread || counted != unread || more {
			t.Errorf("%s has %q, %d unread, want %q, %d unread", userID, got, n, want, unread)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (m *Module) mark(t *testing.T, userID string, ids ...string) (at position, changed bool, err error) {
	t.Helper()
	err = m.opts.DB.Write(t.Context(), func(tx *db.Tx) (err error) {
		at, changed, err = markRead(tx, userID, ids, time.Now())
		return err
	})
	return at, changed, err
}

func TestInbox(t *testing.T) {
	scratch.EachStore(t, func(t *testing.T, d *db.DB) {
		m := open(d)
		m.wantInbox(t, "alice", 0)
		a, _ := m.mustAdd(t, "alice", "a")
		b, _ := m.mustAdd(t, "alice", "b")
		m.mustAdd(t, "bob", "x")
		m.mustAdd(t, "alice", "c")
		m.wantInbox(t, "alice", 3, "3 c", "2 b", "1 a")
		m.wantInbox(t, "bob", 1, "1 x")

		tests := []struct {
			user    string
			ids     []string
			err     error
			changed bool
			unread  int64
		}{
			{"bob", []string{a}, errNoNotification, false, 0},
			{"carol", []string{a}, errNoNotification, false, 0},
			{"carol", nil, nil, false, 0},
			{"alice", []string{b, "no such"}, errNoNotification, false, 0}, // all or none
			{"alice", []string{b, b}, nil, true, 2},
			{"alice", []string{b}, nil, false, 2},
			{"alice", nil, nil, true, 0},
			{"alice", nil, nil, false, 0},
		}
		for _, test := range tests {
			at, changed, err := m.mark(t, test.user, test.ids...)
			if !errors.Is(err, test.err) || changed != test.changed || err == nil && at.unread != test.unread {
				t.Errorf("%s marks %v: got %v %v %v, want %+v", test.user, test.ids, at, changed, err, test)
			}
		}
		m.mustAdd(t, "alice", "d")
		m.wantInbox(t, "alice", 1, "4 d", "3 c read", "2 b read", "1 a read")
		m.wantInbox(t, "bob", 1, "1 x")
	})
}

// TestRolledBack: what is rolled back leaves no gap, and nothing to deliver.
func TestRolledBack(t *testing.T) {
	scratch.EachStore(t, func(t *testing.T, d *db.DB) {
		m := open(d)
		failure := errors.New("no")
		for range 3 {
			err := m.opts.DB.Write(t.Context(), func(tx *db.Tx) error {
				for range 2 {
					if _, err := m.Add(tx, Notification{UserID: "alice", Kind: "test", Title: "lost"}); err != nil {
						return err
					}
				}
				return failure
			})
			if !errors.Is(err, failure) {
				t.Fatal(err)
			}
		}
		_, deliver := m.mustAdd(t, "alice", "kept")
		m.wantInbox(t, "alice", 1, "1 kept")
		if n := m.lines.Waiting(); n != 1 {
			t.Errorf("%d wait for delivery, want the last alone", n)
		}
		deliver()
		deliver() // once more is harmless
		if n := m.lines.Waiting(); n != 0 {
			t.Errorf("%d wait after delivery", n)
		}
	})
}
