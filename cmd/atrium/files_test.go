package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"atrium/collab/change"
)

// command runs a command on the server's store, while it does not run, and returns
// all that it printed.
func (s *testServer) command(name string, arguments ...string) (printed string, code int) {
	s.t.Helper()
	stdout, stderr, code := run(s.t, append([]string{name, "ATRIUM_DATA_DIR=" + s.dir, "ATRIUM_DATABASE_URL=" + s.databaseURL}, arguments...)...)
	return stdout + stderr, code
}

// does is command for what must succeed.
func (s *testServer) does(name string, arguments ...string) string {
	s.t.Helper()
	printed, code := s.command(name, arguments...)
	if code != 0 {
		s.t.Errorf("%s: exit code %d: %s", name, code, printed)
	}
	return printed
}

// complains is command for what must fail, and say all this.
func (s *testServer) complains(name string, says []string, arguments ...string) {
	s.t.Helper()
	printed, code := s.command(name, arguments...)
	if code != 1 {
		s.t.Errorf("%s: exit code %d, want 1: %s", name, code, printed)
	}
	for _, text := range says {
		if !strings.Contains(printed, text) {
			s.t.Errorf("%s says %q, and not %q", name, printed, text)
		}
	}
}

// waitFor waits until a query about the server's database finds true.
func (s *testServer) waitFor(query string, arguments ...any) {
	s.t.Helper()
	db := openDB(s.t, s)
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		var found bool
		if err := db.QueryRow(query, arguments...).Scan(&found); err != nil {
			s.t.Fatal(err)
		}
		if found {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("never true: %s %v\n%s", query, arguments, s.log)
		}
	}
}

// copied is a server, not started, on a copy of a store that is not open.
func (s *testServer) copied() *testServer {
	s.t.Helper()
	c := newServer(s.t, s.settings...)
	if err := os.CopyFS(c.dir, os.DirFS(s.dir)); err != nil {
		s.t.Fatal(err)
	}
	return c
}

// exec changes the database of a server that does not run.
func (s *testServer) exec(query string, arguments ...any) {
	s.t.Helper()
	result, err := openDB(s.t, s).Exec(query, arguments...)
	if err != nil {
		s.t.Fatal(err)
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		s.t.Fatalf("%s: %d rows, error %v", query, n, err)
	}
}

// filled is a server that is not running any more. Its store has documents of
// all kinds: one that was patched and restored, one with branches, one that is
// sealed and has a snapshot, and one that is deleted.
func filled(t *testing.T) (s *testServer, patched, branched, long, deleted string) {
	t.Helper()
	s = startServer(t, withAPIKey)
	patched = s.create(parsed(`{"title":"one","list":[1,2,3]}`))
	one := s.read(documentsPath + "/" + patched).header.Get("ETag")
	s.patch(patched, "merge-patch", `{"title":"two"}`).expect(t, 200)
	s.post(documentsPath+"/"+patched+"/restore", map[string]any{"heads": []string{strings.Trim(one, `"`)}}).expect(t, 200)

	branched = newDocument()
	alice, bob := dial(t, s, "alice", docs("*", "write")).author(branched), dial(t, s, "bob", docs("*", "write")).author(branched)
	for range 20 {
		alice.submit()
		bob.submit()
	}

	long = newDocument()
	carol := dial(t, s, "carol", docs("*", "write")).author(long)
	carol.submit()
	carol.value = strings.Repeat("a long text ", 100_000)
	carol.submit()
	s.waitFor(`SELECT count(*) = 1 FROM document_packs WHERE document_id = $1`, long)
	s.waitFor(`SELECT count(*) = 1 FROM document_snapshots WHERE document_id = $1`, long)
	carol.value = nil
	for range 5 {
		carol.submit()
	}

	deleted = s.create(map[string]any{})
	if a := s.call(request{method: "DELETE", path: documentsPath + "/" + deleted, credential: apiKey}); a.status != 204 {
		t.Fatalf("got %d %s", a.status, a.raw)
	}
	s.stop()
	return s, patched, branched, long, deleted
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func names(t *testing.T, dir string) (names []string) {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		names = append(names, f.Name())
	}
	return names
}

// TestExportImport: what comes out and in again is the same, change for change.
func TestExportImport(t *testing.T) {
	t.Parallel()
	s, patched, branched, long, deleted := filled(t)
	if got := s.does("verify"); !strings.Contains(got, "3 documents, 50 changes, ") || !strings.Contains(got, "1 packs, 1 snapshots, 1 deleted") {
		t.Errorf("it is said to hold %s", got)
	}
	out := filepath.Join(t.TempDir(), "a", "b")
	if got := s.does("export", out); !strings.HasPrefix(got, "3 documents exported, 50 changes") {
		t.Errorf("exported: %s", got)
	}
	want := []string{branched + ".automerge", long + ".automerge", patched + ".automerge"}
	slices.Sort(want)
	if got := names(t, out); !slices.Equal(got, want) {
		t.Errorf("exported %v, want %v", got, want)
	}
	// Files that are there are not replaced unless that is asked for.
	mine := filepath.Join(out, want[1])
	exported := read(t, mine)
	if err := os.WriteFile(mine, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.complains("export", []string{"--force", "0 documents exported", "3 faults"}, out)
	if got := read(t, mine); string(got) != "mine" {
		t.Errorf("it has replaced a file")
	}
	s.does("export", out, "--force")
	if got := read(t, mine); !bytes.Equal(got, exported) {
		t.Errorf("exported again, a file has %d bytes, and had %d", len(got), len(exported))
	}

	copied := newServer(t, withAPIKey)
	if got := copied.does("import", out); !strings.HasPrefix(got, "3 documents imported, 50 changes new") {
		t.Errorf("imported: %s", got)
	}
	if got := copied.does("import", out); !strings.HasPrefix(got, "3 documents imported, 0 changes new") {
		t.Errorf("imported again: %s", got)
	}
	if got, want := stored(t, copied), stored(t, s); !reflect.DeepEqual(got, want) {
		t.Errorf("the copy has %.8s, want %.8s", got, want)
	}
	copied.does("verify")
	again := t.TempDir()
	copied.does("export", again)
	for _, name := range want {
		if !bytes.Equal(read(t, filepath.Join(out, name)), read(t, filepath.Join(again, name))) {
			t.Errorf("%s is another file when it is exported again", name)
		}
	}

	s.start()
	copied.start()
	for _, doc := range []string{patched, branched, long} {
		path := documentsPath + "/" + doc
		a, b := s.read(path).expect(t, 200), copied.read(path).expect(t, 200)
		if a.raw != b.raw || a.header.Get("ETag") != b.header.Get("ETag") {
			t.Errorf("%s is %.100s %s, want %.100s %s", doc, b.raw, b.header.Get("ETag"), a.raw, a.header.Get("ETag"))
		}
	}
	for _, c := range copied.read(documentsPath+"/"+patched+"/history").expect(t, 200).msg["changes"].([]any) {
		if c := c.(map[string]any); c["userId"] != "import" {
			t.Errorf("got %v, want it to be said who did it", c)
		}
	}
	copied.read(documentsPath+"/"+deleted).expect(t, 404)

	// What is in both grows together.
	grown := dial(t, copied, "dora", docs("*", "write")).author(branched).submit()
	copied.stop()
	s.stop()
	copied.does("export", again, "--force")
	if got := s.does("import", again); !strings.HasPrefix(got, "3 documents imported, 1 changes new") {
		t.Errorf("imported: %s", got)
	}
	if log := stored(t, s)[branched]; log[len(log)-1] != grown {
		t.Errorf("the newest change is %s, want %s", log[len(log)-1], grown)
	}
	s.does("verify")
}

// TestImportOfOthersFiles: a document chunk may come first; what is bad is told, and
// keeps nothing else out.
func TestImportOfOthersFiles(t *testing.T) {
	t.Parallel()
	s, patched, branched, long, deleted := filled(t)
	out := t.TempDir()
	s.does("export", out)
	chunks := func(doc string) (list [][]byte) {
		for rest := read(t, filepath.Join(out, doc+".automerge")); len(rest) > 0; {
			c, more, err := change.Next(rest)
			if err != nil {
				t.Fatal(err)
			}
			list, rest = append(list, c.Chunk), more
		}
		return list
	}
	var snapshot []byte
	if err := openDB(t, s).QueryRow(`SELECT data FROM document_snapshots WHERE document_id = $1`, long).Scan(&snapshot); err != nil {
		t.Fatal(err)
	}
	damaged := slices.Concat(chunks(patched)...)
	damaged[len(damaged)/2] ^= 1

	in := t.TempDir()
	write := func(name string, chunks ...[]byte) {
		if err := os.WriteFile(filepath.Join(in, name), slices.Concat(chunks...), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(long+".automerge", slices.Concat([][]byte{snapshot}, chunks(long)[2:])...)
	write(branched+".automerge", chunks(branched)...)
	write("notes.txt", []byte("not meant"))
	c := newServer(t)
	if got := c.does("import", in); !strings.HasPrefix(got, "2 documents imported, 47 changes new") {
		t.Errorf("imported: %s", got)
	}
	log := stored(t, s)
	for doc, got := range stored(t, c) {
		inHashes := func(list []change.Hash) []any { return inHex(slices.Clone(list)...) }
		if !reflect.DeepEqual(inHashes(got), inHashes(log[doc])) {
			t.Errorf("%s has %.8s, want %.8s", doc, got, log[doc])
		}
	}
	if got := c.does("import", in); !strings.HasPrefix(got, "2 documents imported, 0 changes new") {
		t.Errorf("imported again: %s", got)
	}

	bad := map[string][]byte{
		newDocument():            nil,
		newDocument():            []byte("not Automerge"),
		"no-document-id":         chunks(patched)[0],
		newDocument():            chunks(patched)[1], // without the one before
		newDocument():            damaged,
		newDocument():            slices.Concat(chunks(patched)[0], chunks(patched)[1][:20]),
		patched[:len(patched)-1]: chunks(patched)[0],
	}
	for name, data := range bad {
		write(name+".automerge", data)
	}
	write(patched+".automerge", chunks(patched)...)
	says := []string{"3 documents imported, 3 changes new", fmt.Sprintf("%d faults", len(bad))}
	for name := range bad {
		says = append(says, name+": ")
	}
	c.complains("import", says, in)
	if n := len(stored(t, c)); n != 3 {
		t.Errorf("%d documents are there, want 3", n)
	}
	c.does("verify")

	// A deleted document stays so.
	for _, name := range names(t, in) {
		os.Remove(filepath.Join(in, name))
	}
	write(deleted+".automerge", chunks(patched)...)
	before := stored(t, s)
	s.complains("import", []string{deleted + ": ", "deleted"}, in)
	if !reflect.DeepEqual(stored(t, s), before) {
		t.Error("it is there again")
	}
}

// TestVerify finds what is wrong, and only that.
func TestVerify(t *testing.T) {
	t.Parallel()
	s, patched, branched, long, _ := filled(t)
	flip := func(table, column, where string, at int) string {
		return fmt.Sprintf(`UPDATE %[1]s SET %[2]s = CAST(substr(%[2]s, 1, %[3]d) || x'5a5b5c' || substr(%[2]s, %[4]d) AS BLOB) WHERE document_id = $1 %[5]s`, table, column, at, at+4, where)
	}
	for _, test := range []struct {
		name, query, doc, says string
	}{
		{"a row", flip("document_changes", "chunks", "AND version = 7", 60), branched, "version 7: "},
		{"a pack", flip("document_packs", "data", "", 100), long, "pack of versions 1 to 2: "},
		{"a snapshot", flip("document_snapshots", "data", "", 40), long, "snapshot: "},
		{"no row", `DELETE FROM document_changes WHERE document_id = $1 AND version = 2`, patched, "version 1 is followed by 3"},
		{"not the last row", `DELETE FROM document_changes WHERE document_id = $1 AND version = 40`, branched, "version 39 of 40"},
		{"no pack", `DELETE FROM document_packs WHERE document_id = $1`, long, "version 0 is followed by 3"},
		{"a count", `UPDATE documents SET changes = changes + 1 WHERE id = $1`, patched, "said to have 4 changes"},
		{"bytes", `UPDATE documents SET bytes = bytes - 1 WHERE id = $1`, long, "said to have 7 changes"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := s.copied()
			c.t = t
			c.exec(test.query, test.doc)
			printed, code := c.command("verify")
			lines := strings.Split(strings.TrimSpace(printed), "\n")
			if code != 1 || len(lines) != 3 || !strings.HasPrefix(lines[0], test.doc+": ") || !strings.Contains(lines[0], test.says) {
				t.Errorf("exit code %d, %q, want a fault of %s with %q, and a summary", code, lines, test.doc, test.says)
			}
			if strings.Contains(test.query, "document_snapshots") || strings.Contains(test.query, "documents SET") {
				return // the log is whole
			}
			out := t.TempDir()
			c.complains("export", []string{test.doc + ": ", "2 documents exported"}, out)
			if n := len(names(t, out)); n != 2 {
				t.Errorf("%d files are there, want 2", n)
			}
		})
	}
}

// TestCommandsNeedAStore, and that for themselves.
func TestCommandsNeedAStore(t *testing.T) {
	t.Parallel()
	running := startServer(t, onFile)
	nothing := newServer(t, onFile)
	nothing.dir = filepath.Join(nothing.dir, "nothing")
	dir := t.TempDir()
	for name, arguments := range map[string][]string{"verify": nil, "export": {dir}, "import": {dir}} {
		printed, code := running.command(name, arguments...)
		if code != 1 || !strings.Contains(printed, "in use") || strings.Count(printed, "\n") != 1 {
			t.Errorf("%s beside a server: exit code %d, %q", name, code, printed)
		}
		if name == "import" {
			continue
		}
		nothing.complains(name, []string{"no store", nothing.dir}, arguments...)
		if _, err := os.Stat(nothing.dir); err == nil {
			t.Errorf("%s has made a store", name)
		}
	}
}
