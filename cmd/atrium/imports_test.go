package main

import (
	"go/parser"
	gotoken "go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// allowedImports says which of the module's packages each of them may import:
// arrows point down, and siblings meet only in cmd/atrium.
var allowedImports = map[string][]string{
	"cmd/atrium":       {"*"},
	"cmd/atrium/bench": {"collab/change", "collab/change/changetest", "collab/docsync", "internal/auth"},

	"collab":                   {"collab/awareness", "collab/change", "collab/docsync", "collab/materialize", "collab/pack", "internal/api", "internal/auth", "internal/bus", "internal/db", "internal/limit", "internal/mux", "internal/roster"},
	"collab/awareness":         {},
	"collab/change":            {},
	"collab/change/changetest": {"collab/change"},
	"collab/docsync":           {"collab/change"},
	"collab/pack":              {"collab/change"},
	"collab/materialize":       {"collab/change"},
	"chat":                     {"internal/api", "internal/auth", "internal/bus", "internal/db", "internal/inorder", "internal/limit", "internal/mux", "internal/roster"},
	"dashboard":                {"internal/api", "internal/auth", "internal/bus", "internal/db", "internal/inorder", "internal/limit", "internal/mux"},
	"notify":                   {"internal/api", "internal/auth", "internal/bus", "internal/db", "internal/inorder", "internal/limit", "internal/mux"},
	"presence":                 {"internal/api", "internal/auth", "internal/bus", "internal/db", "internal/limit", "internal/mux"},

	"internal/api":         {"internal/auth", "internal/db", "internal/mux"},
	"internal/auth":        {},
	"internal/bus":         {},
	"internal/db":          {"migrations"},
	"internal/inorder":     {},
	"internal/limit":       {},
	"internal/mux":         {"internal/auth", "internal/bus", "internal/limit"},
	"internal/roster":      {},
	"internal/scratch":     {"internal/db"},
	"internal/scratch/run": {"internal/scratch"},
	"internal/webhook":     {"internal/db"},

	"migrations": {},
	"web":        {},
}

// pure packages take time and randomness as arguments, and start, log and await
// nothing.
var pure = []string{"collab/change", "collab/docsync", "collab/pack"}

var impure = []string{"context", "crypto/rand", "log", "log/slog", "math/rand", "math/rand/v2", "net", "net/http", "os", "sync", "sync/atomic", "time"}

// TestImports reads the sources: a test that runs the go command is cached, and
// cannot fail when they change.
func TestImports(t *testing.T) {
	t.Parallel()
	const root = "../.."
	seen := make(map[string]bool)
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := entry.Name()
		if entry.IsDir() {
			if name != root && (base[0] == '.' || base[0] == '_' || base == "testdata" || base == "node_modules") {
				return fs.SkipDir
			}
			return nil
		}
		if filepath.Ext(base) != ".go" || strings.HasSuffix(base, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(gotoken.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		pkg := path.Dir(filepath.ToSlash(rel))
		allowed, known := allowedImports[pkg]
		if !known && !seen[pkg] {
			t.Errorf("%s is not in the table of allowed imports", pkg)
		}
		seen[pkg] = true
		for _, spec := range file.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			own, isOwn := strings.CutPrefix(imported, "atrium/")
			switch {
			case isOwn && known && !slices.Contains(allowed, own) && !slices.Contains(allowed, "*"):
				t.Errorf("%s imports %s, which %s may not", rel, own, pkg)
			case isOwn && strings.HasSuffix(own, "test") && !slices.Contains(allowed, own):
				t.Errorf("%s imports %s, which is for tests", rel, own)
			case strings.HasPrefix(imported, "github.com/automerge/automerge-go") && (pkg != "collab/materialize" || !strings.HasPrefix(base, "worker_")):
				t.Errorf("%s imports automerge-go: a crafted change aborts the process that reads it", rel)
			case slices.Contains(pure, pkg) && slices.Contains(impure, imported):
				t.Errorf("%s imports %s, and %s is pure", rel, imported, pkg)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for pkg := range allowedImports {
		if !seen[pkg] {
			t.Errorf("%s is in the table of allowed imports, and not in the tree", pkg)
		}
	}
}
