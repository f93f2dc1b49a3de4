package dashboard

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
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

func value(t *testing.T, metric, text string, second int64) Value {
	t.Helper()
	v, err := mux.ValueOf(json.RawMessage(text))
	if err != nil {
		t.Fatal(err)
	}
	return Value{metric, v, time.Unix(second, 0)}
}

func (m *Module) mustPut(t *testing.T, values ...Value) (deliver func()) {
	t.Helper()
	err := m.opts.DB.Write(t.Context(), func(tx *db.Tx) (err error) {
		deliver, err = m.Put(tx, values)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return deliver
}

func (m *Module) wantBelow(t *testing.T, prefix, want string) {
	t.Helper()
	var got []string
	err := m.opts.DB.Read(t.Context(), func(tx *db.Tx) error {
		return loadBelow(tx, prefix, func(v Value) bool {
			text, err := json.Marshal(v.Value)
			if err != nil {
				t.Error(err)
			}
			got = append(got, fmt.Sprintf("%s=%s@%d", v.Metric, text, v.Timestamp.Unix()))
			return true
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Join(got, " ") != want {
		t.Errorf("below %q: got %q, want %q", prefix, got, want)
	}
}

func TestNewestWins(t *testing.T) {
	scratch.EachStore(t, func(t *testing.T, d *db.DB) {
		m := open(d)
		m.mustPut(t, value(t, "a", "1", 10), value(t, "b", "1", 10))
		m.mustPut(t, value(t, "a", "2", 9), value(t, "b", "2", 11))
		m.wantBelow(t, "", "a=1@10 b=2@11")
		m.mustPut(t, value(t, "a", `"equal"`, 10), value(t, "a", `"older"`, 1))
		m.wantBelow(t, "", `a="equal"@10 b=2@11`)
	})
}

func TestBelow(t *testing.T) {
	scratch.EachStore(t, func(t *testing.T, d *db.DB) {
		m := open(d)
		for _, name := range []string{"a", "ab", "a.", "a.b", "a/", "b", "ü", "üb", "\U0010FFFF", "a\U0010FFFFx"} {
			m.mustPut(t, value(t, name, "0", 1))
		}
		for prefix, want := range map[string]string{
			"a":  "a a. a.b a/ ab a\U0010FFFFx",
			"a.": "a. a.b",
			"ü":  "ü üb",
			"c":  "",
			"ab": "ab",
		} {
			if want != "" {
				want = strings.ReplaceAll(want, " ", "=0@1 ") + "=0@1"
			}
			m.wantBelow(t, prefix, want)
		}
	})
}

// TestRolledBack: what is rolled back is not told.
func TestRolledBack(t *testing.T) {
	scratch.EachStore(t, func(t *testing.T, d *db.DB) {
		m := open(d)
		failure := errors.New("no")
		kept := m.mustPut(t, value(t, "a", `"kept"`, 1))
		err := m.opts.DB.Write(t.Context(), func(tx *db.Tx) error {
			if _, err := m.Put(tx, []Value{value(t, "a", `"lost"`, 2)}); err != nil {
				return err
			}
			return failure
		})
		if !errors.Is(err, failure) {
			t.Fatal(err)
		}
		m.wantBelow(t, "", `a="kept"@1`)
		if n := m.lines.Waiting(); n != 2 {
			t.Fatalf("%d wait", n)
		}
		kept()
		last := m.mustPut(t, value(t, "a", `"last"`, 3))
		if n := m.lines.Waiting(); n != 1 {
			t.Errorf("%d wait, want the last alone", n)
		}
		last()
		if n := m.lines.Waiting(); n != 0 {
			t.Errorf("%d wait after delivery", n)
		}
	})
}

func TestSubscriptions(t *testing.T) {
	x := newSubscriptions()
	a, b := new(mux.Session), new(mux.Session)
	names := map[*mux.Session]string{a: "a", b: "b"}
	want := func(metric, sessions string) {
		t.Helper()
		count := map[string]int{}
		for _, s := range x.to(metric) {
			count[names[s]]++
		}
		got := ""
		for _, n := range []string{"a", "b"} {
			got += strings.Repeat(n, count[n])
		}
		if got != sessions {
			t.Errorf("%s goes to %q, want %q", metric, got, sessions)
		}
	}
	x.add(a, []string{"*", "app.*", "app.x", "app.x"})
	x.add(b, []string{"app.x*", "app.x*"})
	want("app.x", "ab")
	want("app.xy", "ab")
	want("app.", "a")
	want("ap", "a")
	want("", "a")
	want(strings.Repeat("l", maxName), "a")
	x.remove(a, []string{"*", "none"})
	want("ap", "")
	want("app.x", "ab")
	x.remove(a, x.patterns(a))
	want("app.x", "b")
	x.remove(b, []string{"app.x*"})
	if len(x.exact)+len(x.prefixes)+len(x.of) != 0 || x.lengths != [maxName + 1]int{} {
		t.Errorf("left behind: %+v", &x)
	}
}
