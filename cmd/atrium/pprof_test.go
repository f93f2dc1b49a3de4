package main

import (
	"net/http"
	"strings"
	"testing"
)

// TestProfiles: on their own address if asked for, and never on the clients'.
func TestProfiles(t *testing.T) {
	t.Parallel()
	s := startServer(t, "ATRIUM_PPROF_ADDR=127.0.0.1:0")
	for _, path := range []string{"goroutine?debug=1", "heap?debug=1"} {
		if status, body := s.profile(path); status != http.StatusOK || !strings.Contains(body, "profile:") {
			t.Errorf("%s: %d, %.100s", path, status, body)
		}
	}
	if status, body := s.get("/debug/pprof/heap?debug=1"); strings.Contains(body, "profile:") {
		t.Errorf("clients get profiles too: %d", status)
	}
}
