package main

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// pushOnce pushes a notification to alice under an Idempotency-Key.
func (s *testServer) pushOnce(credential, key, title string) answered {
	s.t.Helper()
	return s.call(request{
		method: "POST", path: "/api/v1/users/alice/notifications", credential: credential,
		body:   msg{"kind": "test", "title": title},
		header: http.Header{"Idempotency-Key": {key}},
	})
}

// titles are those in alice's inbox, newest first.
func (s *testServer) titles() string {
	s.t.Helper()
	var titles []string
	for _, n := range s.read("/api/v1/users/alice/notifications").expect(s.t, 200).msg["notifications"].([]any) {
		titles = append(titles, n.(map[string]any)["title"].(string))
	}
	return strings.Join(titles, " ")
}

// TestIdempotencyKey: a call that is sent again takes effect once, and gets the
// same answer, also after a restart.
func TestIdempotencyKey(t *testing.T) {
	t.Parallel()
	s := startServer(t, withAPIKey)
	first := s.pushOnce(apiKey, "a", "one").expect(t, 201)
	for range 2 {
		if again := s.pushOnce(apiKey, "a", "one").expect(t, 201); again.raw != first.raw {
			t.Errorf("answered %s, and the first time %s", again.raw, first.raw)
		}
		s.kill9()
		s.start()
	}
	s.pushOnce(apiKey, "a", "another").expect(t, 422)
	s.pushOnce(apiKey, "b", "two").expect(t, 201)
	s.pushOnce("another key of 16 bytes", "a", "three").expect(t, 201) // somebody else's key
	s.pushOnce(apiKey, strings.Repeat("x", 256), "never").expect(t, 400)
	s.pushOnce(apiKey, "c", "").expect(t, 400) // what failed has claimed nothing
	s.pushOnce(apiKey, "c", "four").expect(t, 201)
	other := s.call(request{
		method: "POST", path: "/api/v1/users/bob/notifications", credential: apiKey,
		body: msg{"kind": "test", "title": "one"}, header: http.Header{"Idempotency-Key": {"a"}},
	})
	if other.status != 422 { // the same call with another user in its path
		t.Errorf("got %d %s", other.status, other.raw)
	}
	if got := s.titles(); got != "four three two one" {
		t.Errorf("in the inbox: %s", got)
	}
}

func TestIdempotencyKeyAtOnce(t *testing.T) {
	t.Parallel()
	s := startServer(t, withAPIKey)
	var wg sync.WaitGroup
	answers := make([]answered, 40)
	for i := range answers {
		wg.Go(func() { answers[i] = s.pushOnce(apiKey, fmt.Sprint("key ", i%4), fmt.Sprint(i%4)) })
	}
	wg.Wait()
	for i, a := range answers {
		if a.status != 201 && a.status != 409 {
			t.Errorf("got %d %s", a.status, a.raw)
		}
		if a.status == 201 && answers[i%4].status == 201 && a.raw != answers[i%4].raw {
			t.Errorf("answered %s and %s", a.raw, answers[i%4].raw)
		}
	}
	if n := len(strings.Fields(s.titles())); n != 4 {
		t.Errorf("%d notifications, want 4", n)
	}
}
