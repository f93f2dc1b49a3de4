package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

const apiKey = "an API key for tests"

// withAPIKey is a setting of a server that backends may call.
const withAPIKey = "ATRIUM_API_KEYS=another key of 16 bytes," + apiKey

// request is an HTTP call to a server's API.
type request struct {
	method, path string
	credential   string  // API key or token; empty: none
	body         any     // JSON; nil: none
	raw          *string // in its place; nil: none
	header       http.Header
}

// answered is what came of a call.
type answered struct {
	status int
	header http.Header
	msg    // the body, if it is a JSON object
	raw    string
}

func (s *testServer) call(c request) answered {
	s.t.Helper()
	a, err := s.tryCall(c)
	if err != nil {
		s.t.Fatal(err)
	}
	return a
}

// tryCall is call for when the server may go.
func (s *testServer) tryCall(c request) (answered, error) {
	var body io.Reader
	if c.body != nil {
		raw, err := json.Marshal(c.body)
		if err != nil {
			return answered{}, err
		}
		body = bytes.NewReader(raw)
	}
	if c.raw != nil {
		body = strings.NewReader(*c.raw)
	}
	req, err := http.NewRequest(c.method, s.url(c.path), body)
	if err != nil {
		return answered{}, err
	}
	for name, values := range c.header {
		req.Header[name] = values
	}
	if c.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.credential != "" {
		req.Header.Set("Authorization", "Bearer "+c.credential)
	}
	client := http.Client{Timeout: patience}
	defer client.CloseIdleConnections()
	resp, err := client.Do(req)
	if err != nil {
		return answered{}, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return answered{}, err
	}
	a := answered{status: resp.StatusCode, header: resp.Header, raw: string(raw)}
	json.Unmarshal(raw, &a.msg)
	return a, nil
}

// post and get are calls by a backend with a key.
func (s *testServer) post(path string, body any) answered {
	s.t.Helper()
	return s.call(request{method: http.MethodPost, path: path, credential: apiKey, body: body})
}

func (s *testServer) read(path string) answered {
	s.t.Helper()
	return s.call(request{method: http.MethodGet, path: path, credential: apiKey})
}

// expect fails unless the call had this status; errors must be problem details.
func (a answered) expect(t *testing.T, status int) answered {
	t.Helper()
	if a.status != status {
		t.Fatalf("got %d %s, want %d", a.status, a.raw, status)
	}
	if kind := a.header.Get("Content-Type"); status >= 400 && (kind != "application/problem+json" || a.msg["status"] != float64(status) || a.msg["detail"] == "") {
		t.Fatalf("got %s %s, want problem details", kind, a.raw)
	}
	return a
}

// TestCallers: who may call, and what others are told.
func TestCallers(t *testing.T) {
	t.Parallel()
	s := startServer(t, withAPIKey)
	dial(t, s, "alice")
	longAgo := func(d *dialing) {
		d.claims.IssuedAt = time.Now().Add(-time.Hour)
		d.claims.Expires = d.claims.IssuedAt.Add(time.Minute)
	}
	admin := token(t, "root", func(d *dialing) { d.claims.Admin = true })
	tests := []struct {
		name, credential string
		status           int
	}{
		{"no credential", "", 401},
		{"a wrong key", "an API key for testz", 401},
		{"a key and more", apiKey + " ", 200}, // spaces around it mean nothing
		{"no token", "eyJhbGciOiJIUzI1NiJ9.e30.x", 401},
		{"an expired token", token(t, "root", longAgo), 401},
		{"a user's token", token(t, "alice", docs("*", "write")), 403},
		{"an admin's token", admin, 200},
		{"a key", apiKey, 200},
		{"another key", "another key of 16 bytes", 200},
	}
	for _, test := range tests {
		for _, c := range []request{
			{method: "GET", path: "/api/v1/presence?userId=alice"},
			{method: "GET", path: "/api/v1/users/alice/sessions"},
			{method: "POST", path: "/api/v1/users/nobody/disconnect"},
			{method: "POST", path: "/api/v1/users/nobody/revoke"},
		} {
			c.credential = test.credential
			a := s.call(c)
			if a.status != test.status {
				t.Errorf("%s: %s %s: got %d %s, want %d", test.name, c.method, c.path, a.status, a.raw, test.status)
			}
			if a.status == 401 && a.header.Get("WWW-Authenticate") != "Bearer" {
				t.Errorf("%s: 401 without WWW-Authenticate", test.name)
			}
		}
	}
	s.read("/api/v1/nothing").expect(t, 404)
	s.read("/api/v1/presence").expect(t, 422)
	if spec := s.call(request{method: "GET", path: "/openapi.json"}).expect(t, 200); spec.msg["openapi"] != "3.1.0" {
		t.Errorf("the description is %.100s", spec.raw)
	}
	if page := s.call(request{method: "GET", path: "/api/v1/docs"}).expect(t, 200); !bytes.Contains([]byte(page.raw), []byte("/api/v1/users/{userId}/sessions")) {
		t.Errorf("the page about calls lacks some: %.200s", page.raw)
	}
}

// TestBrowsersThatCall: pages of allowed origins may, others are not told so.
func TestBrowsersThatCall(t *testing.T) {
	t.Parallel()
	s := startServer(t, withAPIKey, "ATRIUM_ALLOWED_ORIGINS=https://app.example.com")
	for origin, allowed := range map[string]string{"https://app.example.com": "https://app.example.com", "https://evil.example.com": ""} {
		header := http.Header{"Origin": {origin}}
		a := s.call(request{method: "GET", path: "/api/v1/presence?userId=a", credential: apiKey, header: header}).expect(t, 200)
		if got := a.header.Get("Access-Control-Allow-Origin"); got != allowed {
			t.Errorf("%s: allowed origin is %q, want %q", origin, got, allowed)
		}
		if got := a.header.Get("Access-Control-Expose-Headers"); strings.Contains(got, "ETag") != (allowed != "") {
			t.Errorf("%s: its scripts may read %q", origin, got)
		}
		header.Set("Access-Control-Request-Method", "POST")
		if a := s.call(request{method: "OPTIONS", path: "/api/v1/presence", header: header}); a.status != 204 || a.header.Get("Access-Control-Allow-Origin") != allowed {
			t.Errorf("%s: asking got %d %v", origin, a.status, a.header)
		} else if got := a.header.Get("Access-Control-Allow-Headers"); !strings.Contains(got, "If-Match") || !strings.Contains(got, "Idempotency-Key") {
			t.Errorf("%s: its scripts may send %q", origin, got)
		}
	}
}
