package main

import (
	cryptorand "crypto/rand"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"atrium/collab/change"
)

// TestSealedLog: a log of some two thousand versions is sealed, and its packs are
// joined, while four users write. Nothing of it changes: neither its order nor who
// did what when.
func TestSealedLog(t *testing.T) {
	t.Parallel()
	s := startServer(t, withAPIKey)
	doc := newDocument()
	type edit struct {
		user     string
		from, to time.Time
	}
	made := make(map[string]edit) // by hash
	var mu sync.Mutex             // guards made
	var writers []*author
	for i := range 4 {
		writers = append(writers, dial(t, s, fmt.Sprintf("user %d", i), docs("*", "write")).author(doc))
	}
	write := func(n int) {
		var writing sync.WaitGroup
		for _, w := range writers {
			writing.Go(func() {
				for range n {
					from := time.Now()
					h := w.submit()
					mu.Lock()
					made[h.String()] = edit{w.user, from, time.Now()}
					mu.Unlock()
				}
			})
		}
		writing.Wait()
	}
	write(1)
	watcher := dial(t, s, "watcher", docs("*", "read"))
	seen := watcher.follow(doc)
	write(550)
	db := openDB(t, s)
	for round := 0; ; round++ { // one message, one version: there are some 2,200
		var joined int
		if err := db.QueryRow(`SELECT COALESCE(max(last_version), 0) FROM document_packs WHERE first_version = 1`).Scan(&joined); err != nil {
			t.Fatal(err)
		}
		if joined > 1500 {
			break
		}
		if round == 10 {
			t.Fatalf("the first pack goes up to version %d", joined)
		}
		write(100)
	}
	for len(seen) < len(made) {
		seen = append(seen, watcher.bringsChanges(watcher.await("changes", func(m msg) bool { return m["type"] == "collab:changes" }).msg)...)
	}
	s.stop()

	check := func() {
		t.Helper()
		if got := stored(t, s)[doc]; !slices.Equal(got, seen) {
			t.Fatalf("%d changes are stored, and not as the %d were told", len(got), len(seen))
		}
		s.does("verify")
		var rows, packs int
		if err := openDB(t, s).QueryRow(`SELECT (SELECT count(*) FROM document_changes), (SELECT count(*) FROM document_packs)`).Scan(&rows, &packs); err != nil {
			t.Fatal(err)
		}
		t.Logf("%d changes in %d packs and %d rows", len(seen), packs, rows)
		if rows > 1000 || packs < 1 || packs > 4 {
			t.Errorf("%d changes are kept in %d packs and %d rows", len(seen), packs, rows)
		}
	}
	check()
	s.start()
	// Who has nothing may be given a document chunk.
	if got := dial(t, s, "reader", docs("*", "read")).follow(doc, seen[0].String()); !slices.Equal(got, seen[1:]) {
		t.Errorf("opened again, it has %d changes, and not as they were told", len(got)+1)
	}
	before := ""
	for at, more := len(seen), true; more; {
		page := s.read(documentsPath+"/"+doc+"/history?limit=700"+before).expect(t, 200).msg
		for _, c := range page["changes"].([]any) {
			at--
			c := c.(map[string]any)
			hash := seen[at].String()
			storedAt, err := time.Parse(time.RFC3339Nano, c["storedAt"].(string))
			if err != nil {
				t.Fatal(err)
			}
			if e := made[hash]; c["hash"] != hash || c["position"] != float64(at) || c["userId"] != e.user || storedAt.Before(e.from.Truncate(time.Microsecond)) || storedAt.After(e.to) {
				t.Fatalf("the history has %v at %d, want %s, %+v", c, at, hash, e)
			}
		}
		before, more = fmt.Sprintf("&before=%d", at), page["more"].(bool)
		if more != (at > 0) {
			t.Fatalf("at %d there is more: %t", at, more)
		}
	}
	for _, w := range writers[:2] {
		w := w.again(dial(t, s, w.user, docs("*", "write")))
		seen = append(seen, w.submit())
	}
	s.kill9()
	check()
	s.start()
	if a := s.call(request{method: "DELETE", path: documentsPath + "/" + doc, credential: apiKey}); a.status != 204 {
		t.Fatalf("got %d %s", a.status, a.raw)
	}
	s.stop()
	if got := s.does("verify"); !strings.Contains(got, "0 documents, 0 changes, 0 bytes, 0 packs, 0 snapshots, 1 deleted") {
		t.Errorf("after its deletion: %s", got)
	}
}

// TestKill9WhileSealing: changes are so long that every few of them are sealed, and
// every few packs joined. Whenever the server is killed, what it has told is there,
// once, and nothing is wrong.
func TestKill9WhileSealing(t *testing.T) {
	t.Parallel()
	s := startServer(t, onFile)
	var doc string
	var told []change.Hash // of doc
	for round := range *killRounds {
		if round%5 == 0 {
			doc, told = newDocument(), nil
		}
		var mu sync.Mutex // guards told
		var total atomic.Int64
		wanted := 10 + rand.Int64N(50)
		enough := make(chan struct{})
		var writing sync.WaitGroup
		for w := range 3 {
			author := dial(t, s, fmt.Sprintf("writer %d", w), senderID(fmt.Sprint(round, w)), docs("*", "write")).author(doc)
			writing.Go(func() {
				for {
					author.value = base64.StdEncoding.EncodeToString(randomBytes(96 << 10))
					h, err := author.tryWrite()
					if err != nil {
						return
					}
					mu.Lock()
					told = append(told, h)
					mu.Unlock()
					if total.Add(1) == wanted {
						close(enough)
					}
				}
			})
		}
		<-enough
		time.Sleep(rand.N(50 * time.Millisecond)) // anywhere in what it does
		s.kill9()
		writing.Wait()
		summary := s.does("verify")
		log := stored(t, s)[doc]
		s.start()
		for _, h := range told {
			if !slices.Contains(log, h) {
				t.Errorf("round %d: %s was told to be stored, and is not", round, h)
			}
		}
		reader := dial(t, s, "reader", docs("*", "read"))
		if got := reader.follow(doc, log[0].String()); !slices.Equal(got, log[1:]) {
			t.Errorf("round %d: it opens with %d changes, and stored are %d", round, len(got)+1, len(log))
		}
		t.Logf("round %d: %d acknowledged; %s", round, total.Load(), summary)
	}
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	cryptorand.Read(b)
	return b
}

// manyChanges is a file of a document with n changes, and their hashes.
func manyChanges(n int) (file []byte, hashes []change.Hash) {
	a := (&client{user: "many"}).author("")
	for range n {
		c := a.next()
		file = append(file, c.Encode()...)
		hashes = append(hashes, c.Hash())
	}
	return file, hashes
}

// TestKill9WhileImporting: what atrium import was killed over is there as a whole
// or not at all, and doing it again completes it.
func TestKill9WhileImporting(t *testing.T) {
	t.Parallel()
	in := t.TempDir()
	want := make(map[string][]change.Hash)
	for range 3 {
		doc := newDocument()
		file, hashes := manyChanges(2000)
		want[doc] = hashes
		if err := os.WriteFile(filepath.Join(in, doc+".automerge"), file, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	began := time.Now()
	newServer(t).does("import", in)
	took := time.Since(began)
	for round := range *killRounds {
		s := newServer(t)
		cmd := atrium("import", "ATRIUM_DATA_DIR="+s.dir, in)
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(rand.N(took))
		cmd.Process.Kill()
		cmd.Wait()
		there := 0
		if _, err := os.Stat(filepath.Join(s.dir, "atrium.db")); err == nil {
			s.does("verify")
			for doc, got := range stored(t, s) {
				there++
				if !slices.Equal(got, want[doc]) {
					t.Errorf("round %d: %d changes are there, want 0 or %d", round, len(got), len(want[doc]))
				}
			}
		}
		s.does("import", in)
		for doc, got := range stored(t, s) {
			if !slices.Equal(got, want[doc]) {
				t.Errorf("round %d: after the second time, %d changes are there, want %d", round, len(got), len(want[doc]))
			}
		}
		s.does("verify")
		t.Logf("round %d: killed with %d documents", round, there)
	}
}

// TestKill9WhileCalled: imports and restores by HTTP, too, are all or nothing, and
// done again they do nothing twice.
func TestKill9WhileCalled(t *testing.T) {
	t.Parallel()
	s := startServer(t, withAPIKey)
	file, hashes := manyChanges(2000)
	raw := string(file)
	last := hashes[len(hashes)-1].String()
	tag := `"` + last + `"`
	importing := func(doc string) request {
		return request{method: "POST", path: documentsPath + "/" + doc + "/import", credential: apiKey, raw: &raw, header: map[string][]string{"Content-Type": {"application/vnd.automerge"}}}
	}
	// killed kills the server at any moment of a call.
	killed := func(r request, took time.Duration) {
		done := make(chan struct{})
		go func() { defer close(done); s.tryCall(r) }()
		time.Sleep(rand.N(took))
		s.kill9()
		<-done
		s.does("verify")
		s.start()
	}
	began := time.Now()
	s.call(importing(newDocument())).expect(t, 200)
	took := time.Since(began)
	old := s.create(parsed(`{"title":"old"}`))
	one := strings.Trim(s.read(documentsPath+"/"+old).header.Get("ETag"), `"`)
	for round := range *killRounds {
		doc := newDocument()
		killed(importing(doc), took)
		switch a := s.read(documentsPath + "/" + doc); a.status {
		case 404:
		case 200:
			if got := a.header.Get("ETag"); got != tag {
				t.Errorf("round %d: a part is there, up to %s", round, got)
			}
		default:
			t.Errorf("round %d: got %d %s", round, a.status, a.raw)
		}
		for range 2 {
			if got := head(t, s.call(importing(doc)).expect(t, 200)); got != last {
				t.Errorf("round %d: imported again it has %s, want %s", round, got, last)
			}
		}

		s.patch(old, "merge-patch", fmt.Sprintf(`{"title":"new %d"}`, round)).expect(t, 200)
		restoring := request{method: "POST", path: documentsPath + "/" + old + "/restore", credential: apiKey, body: map[string]any{"heads": []string{one}}}
		killed(restoring, took/2)
		first := head(t, s.call(restoring).expect(t, 200))
		if again := head(t, s.call(restoring).expect(t, 200)); again != first {
			t.Errorf("round %d: restored twice, to %s and %s", round, first, again)
		}
		changes := s.read(documentsPath+"/"+old+"/history?limit=1000").expect(t, 200).msg["changes"].([]any)
		if got := s.content(old).(map[string]any)["title"]; got != "old" || len(changes) != 3+2*round {
			t.Errorf("round %d: it is %v again, with %d changes", round, got, len(changes))
		}
	}
}
