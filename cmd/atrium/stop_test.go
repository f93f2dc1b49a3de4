package main

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/gorilla/websocket"

	"atrium/collab/change"
)

func TestHealth(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	for _, path := range []string{"/healthz", "/readyz"} {
		if status, body := s.get(path); status != http.StatusOK || !strings.Contains(body, `"ok"`) {
			t.Errorf("%s: got %d %s", path, status, body)
		}
	}
}

// TestStopWhilePeopleWrite: what was acknowledged is stored, and everybody is
// told to come back.
func TestStopWhilePeopleWrite(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	const writers, before = 6, 20
	var told [writers][]change.Hash
	var ended [writers]error
	var docIDs [writers]string
	var started, writing sync.WaitGroup
	for i := range writers {
		docIDs[i] = newDocument()
		if i%2 == 1 {
			docIDs[i] = docIDs[i-1]
		}
		author := dial(t, s, "writer", senderID(fmt.Sprint(i)), docs("*", "write")).author(docIDs[i])
		started.Add(1)
		writing.Go(func() {
			for {
				h, err := author.tryWrite()
				if err != nil {
					ended[i] = err
					return
				}
				if told[i] = append(told[i], h); len(told[i]) == before {
					started.Done()
				}
			}
		})
	}
	idle := dial(t, s, "idle")
	started.Wait()
	s.signal(syscall.SIGTERM)
	writing.Wait()
	idle.expectClose(4503)
	s.exited()
	log := stored(t, s)
	for i := range writers {
		if !websocket.IsCloseError(ended[i], 4503) {
			t.Errorf("a writer's connection ended with %v, want close code 4503", ended[i])
		}
		for _, h := range told[i] {
			if !slices.Contains(log[docIDs[i]], h) {
				t.Errorf("%s was told to be stored, and is not", h)
			}
		}
	}
}

// TestStopCommitsWhatWasAccepted: an edit that the server has read when it is
// told to stop is stored, and acknowledged, before its author is sent away.
func TestStopCommitsWhatWasAccepted(t *testing.T) {
	t.Parallel()
	s := startServer(t, onFile)
	doc := newDocument()
	alice := dial(t, s, "alice", docs("*", "write")).author(doc)
	alice.write()
	db := openDB(t, s)
	s.errorsOK = true                                     // it waits two seconds for the lock, and then says so
	if _, err := db.Exec(`BEGIN IMMEDIATE`); err != nil { // now the server has to wait
		t.Fatal(err)
	}
	h := alice.edit()
	if before := alice.ping(); len(before) > 0 {
		t.Fatalf("got %v while nothing could be stored", before[0].msg)
	}
	s.signal(syscall.SIGTERM)
	for status := 0; status != http.StatusServiceUnavailable; {
		if status, _ = s.get("/readyz"); status == 0 {
			t.Fatal("the server went with an edit that was not stored")
		}
	}
	if _, err := db.Exec(`ROLLBACK`); err != nil {
		t.Fatal(err)
	}
	alice.acknowledged(h)
	alice.expectClose(4503)
	s.exited()
	if log := stored(t, s)[doc]; !slices.Contains(log, h) {
		t.Errorf("stored %v, without %s", log, h)
	}
}

// TestDraining: while a client is slow to hang up, nobody new gets in.
func TestDraining(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	slow := dial(t, s, "slow")
	slow.pause()
	s.signal(syscall.SIGTERM)
	for {
		if status, _ := s.get("/readyz"); status == http.StatusServiceUnavailable {
			break
		} else if status == 0 {
			t.Fatal("the server went without draining")
		}
	}
	if status, _ := s.get("/healthz"); status != http.StatusOK {
		t.Errorf("/healthz says %d while draining, want 200: it is alive", status)
	}
	late := connect(t, s, "late")
	late.expectError("unavailable", nil)
	late.expectClose(4503)
	slow.resume()
	slow.expectClose(4503)
	s.exited()
}
