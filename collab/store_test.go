package collab

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"atrium/internal/db"
	"atrium/internal/scratch"
)

func (s store) mustAppend(t *testing.T, id string, known int64, entries ...entry) int64 {
	t.Helper()
	version, behind, err := s.append(t.Context(), id, known, entries, state{}, time.Unix(1, 0))
	if err != nil || behind != nil {
		t.Fatalf("append behind %d: got %v, error %v", known, behind, err)
	}
	return version
}

func (s store) wantLog(t *testing.T, id string, after int64, want ...string) {
	t.Helper()
	got, err := s.load(t.Context(), id, after)
	if err != nil {
		t.Fatal(err)
	}
	if got.version != after+int64(len(want)) {
		t.Errorf("version is %d, want %d", got.version, after+int64(len(want)))
	}
	if got := bytes.Join(got.runs, []byte("|")); string(got) != string(bytes.Join(byteSlices(want), []byte("|"))) {
		t.Errorf("log after %d is %q, want %q", after, got, want)
	}
}

func byteSlices(s []string) (b [][]byte) {
	for _, x := range s {
		b = append(b, []byte(x))
	}
	return b
}

func TestLogOfADocument(t *testing.T) {
	scratch.EachStore(t, func(t *testing.T, d *db.DB) {
		s := (store{db: d})
		s.wantLog(t, "doc", 0)
		if v := s.mustAppend(t, "doc", 0, entry{[]byte("a"), "alice"}, entry{[]byte("b"), "bob"}); v != 2 {
			t.Errorf("version is %d, want 2", v)
		}
		s.mustAppend(t, "other", 0, entry{[]byte("x"), "alice"})
		s.mustAppend(t, "doc", 2, entry{[]byte("c"), "alice"})
		s.wantLog(t, "doc", 0, "a", "b", "c")
		s.wantLog(t, "doc", 2, "c")
		s.wantLog(t, "other", 0, "x")
	})
}

func TestAppendBehindSomebodyElse(t *testing.T) {
	scratch.EachStore(t, func(t *testing.T, d *db.DB) {
		s := (store{db: d})
		s.mustAppend(t, "doc", 0, entry{[]byte("a"), "alice"})
		s.mustAppend(t, "doc", 1, entry{[]byte("b"), "bob"}, entry{[]byte("c"), "bob"})
		version, behind, err := s.append(t.Context(), "doc", 1, []entry{{[]byte("mine"), "alice"}}, state{}, time.Unix(2, 0))
		if err != nil {
			t.Fatal(err)
		}
		if version != 3 || string(bytes.Join(behind.runs, []byte("|"))) != "b|c" {
			t.Errorf("got version %d and %q, want 3 and b|c", version, behind.runs)
		}
		s.wantLog(t, "doc", 0, "a", "b", "c")
		s.mustAppend(t, "doc", 3, entry{[]byte("mine"), "alice"})
		s.wantLog(t, "doc", 0, "a", "b", "c", "mine")
	})
}

// A log that does not hold what its document says must not pass for a shorter one.
func TestLogWithAHole(t *testing.T) {
	scratch.EachStore(t, func(t *testing.T, d *db.DB) {
		s := (store{db: d})
		s.mustAppend(t, "doc", 0, entry{[]byte("a"), "alice"}, entry{[]byte("b"), "alice"}, entry{[]byte("c"), "alice"})
		cut := func(version int) {
			err := s.db.Write(t.Context(), func(tx *db.Tx) error {
				_, err := tx.Exec(`DELETE FROM document_changes WHERE document_id = 'doc' AND version = $1`, version)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		for _, version := range []int{3, 2} {
			cut(version)
			if got, err := s.load(t.Context(), "doc", 0); !errors.Is(err, errLogDamaged) {
				t.Errorf("without version %d: got %q, error %v, want errLogDamaged", version, got.runs, err)
			}
			if _, _, err := s.append(t.Context(), "doc", 1, []entry{{[]byte("x"), "alice"}}, state{}, time.Unix(1, 0)); err == nil {
				t.Errorf("append without version %d: got no error", version)
			}
		}
	})
}

func TestValidDocumentID(t *testing.T) {
	for _, tt := range []struct {
		id   string
		want bool
	}{
		{"4NMNnkMhL8jXrdJ9jamS58PAVdXu", true}, // from automerge-repo's documentation
		{"4NMNnkMhL8jXrdJ9jamS58PAVdXv", false},
		{"4NMNnkMhL8jXrdJ9jamS58PAVdX0", false},
		{"automerge:4NMNnkMhL8jXrdJ9jamS58PAVdXu", false},
		{"3QJmnh", false}, // the check sum of nothing
		{"1", false},
		{"", false},
		{"14NMNnkMhL8jXrdJ9jamS58PAVdXu", false}, // a zero byte more
	} {
		if got := validDocumentID(tt.id); got != tt.want {
			t.Errorf("validDocumentID(%q) = %t, want %t", tt.id, got, tt.want)
		}
	}
}
