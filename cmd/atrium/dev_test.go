package main

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// signIn asks for a development token as a page would.
func signIn(t *testing.T, s *testServer, body string, change func(*http.Request)) (status int, answer string) {
	t.Helper()
	req, err := http.NewRequest("POST", s.url("/dev/token"), strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if change != nil {
		change(req)
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode == http.StatusOK && resp.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("Cache-Control is %q: the token may be stored", resp.Header.Get("Cache-Control"))
	}
	return resp.StatusCode, string(data)
}

func TestDevSignIn(t *testing.T) {
	t.Parallel()
	s := startServer(t, "--dev")
	tests := []struct {
		name   string
		body   string
		change func(*http.Request)
		status int
	}{
		{"from here", `{"name": "Alice B."}`, nil, 200},
		{"by name", `{"name": "Alice B."}`, func(r *http.Request) { r.Host = "localhost:8080" }, 200},
		{"by IPv6", `{"name": "Alice B."}`, func(r *http.Request) { r.Host = "[::1]:8080" }, 200},
		{"from a page here", `{"name": "Alice B."}`, func(r *http.Request) { r.Header.Set("Origin", "http://localhost:5173") }, 200},
		{"a name that was made to point here", `{"name": "a"}`, func(r *http.Request) { r.Host = "evil.example.com" }, 403},
		{"a name like localhost", `{"name": "a"}`, func(r *http.Request) { r.Host = "localhost.evil.com:80" }, 403},
		{"another address", `{"name": "a"}`, func(r *http.Request) { r.Host = "192.0.2.1:8080" }, 403},
		{"a page of another host", `{"name": "a"}`, func(r *http.Request) { r.Header.Set("Origin", "https://evil.example.com") }, 403},
		{"a page of nowhere", `{"name": "a"}`, func(r *http.Request) { r.Header.Set("Origin", "null") }, 403},
		{"a form", `{"name": "a"}`, func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }, 415},
		{"no name", `{}`, nil, 400},
		{"a name without letters", `{"name": " -?- "}`, nil, 400},
		{"a long name", `{"name": "` + strings.Repeat("x", 300) + `"}`, nil, 400},
		{"a very long body", `{"name": "` + strings.Repeat("x", 5000) + `"}`, nil, 400},
		{"no JSON", `name=a`, nil, 400},
		{"the wrong method", ``, func(r *http.Request) { r.Method = "GET" }, 0}, // 404 or 405
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			status, answer := signIn(t, s, test.body, test.change)
			if test.status == 0 {
				if status == http.StatusOK && strings.Contains(answer, "eyJ") {
					t.Errorf("got %d %s", status, answer)
				}
				return
			}
			if status != test.status {
				t.Fatalf("got %d %s, want %d", status, answer, test.status)
			}
			if status != http.StatusOK {
				return
			}
			var signed struct {
				Token string
				User  struct{ ID, Name, Avatar string }
			}
			if err := json.Unmarshal([]byte(answer), &signed); err != nil {
				t.Fatal(err)
			}
			if signed.User.ID != "alice-b" || signed.User.Name != "Alice B." {
				t.Errorf("signed in as %+v", signed.User)
			}
			c := connect(t, s, "alice")
			c.join(withToken(signed.Token))
			c.expect("peer")
			c.author(newDocument()).write()
		})
	}
}

// TestDevSecretIsKept: tokens go on working over a restart, and the secret is
// nobody else's to read.
func TestDevSecretIsKept(t *testing.T) {
	t.Parallel()
	s := startServer(t, "--dev")
	_, answer := signIn(t, s, `{"name": "alice"}`, nil)
	var signed struct{ Token string }
	if err := json.Unmarshal([]byte(answer), &signed); err != nil {
		t.Fatal(err)
	}
	s.stop()
	info, err := os.Stat(filepath.Join(s.dir, "dev-secret"))
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		t.Errorf("the secret has mode %s", info.Mode())
	}
	stdout, stderr, code := run(t, "token", "--dev", "--sub", "bob", "ATRIUM_DATA_DIR="+s.dir)
	if code != 0 {
		t.Fatalf("atrium token --dev: %s", stderr)
	}
	s.start()
	for user, tok := range map[string]string{"alice": signed.Token, "bob": strings.TrimSpace(stdout)} {
		c := connect(t, s, user)
		c.join(withToken(tok))
		c.expect("peer")
	}
}

func TestNoDevSignInWithoutDev(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	if status, answer := signIn(t, s, `{"name": "alice"}`, nil); status == http.StatusOK || strings.Contains(answer, "eyJ") {
		t.Errorf("POST /dev/token: got %d %s", status, answer)
	}
	if status, answer := s.get("/dev/session"); status == http.StatusOK && strings.Contains(answer, `"ok"`) {
		t.Errorf("GET /dev/session: got %d %s", status, answer)
	}
}
