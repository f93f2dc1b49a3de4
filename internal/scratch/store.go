package scratch

import (
	"testing"

	"atrium/internal/db"
)

// EachStore runs a test on an empty store of each kind.
func EachStore(t *testing.T, test func(t *testing.T, d *db.DB)) {
	t.Helper()
	for _, name := range []string{"SQLite", "Postgres"} {
		t.Run(name, func(t *testing.T) {
			o := db.Options{Dir: t.TempDir()}
			if name == "Postgres" {
				o = db.Options{URL: Database(t)}
			}
			test(t, Open(t, o))
		})
	}
}

// Open opens a store until the end of a test.
func Open(t testing.TB, o db.Options) *db.DB {
	t.Helper()
	d, err := db.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}
