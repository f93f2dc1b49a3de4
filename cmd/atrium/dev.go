package main

import (
	"encoding/json"
	"fmt"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"

	"atrium/internal/auth"
	"atrium/internal/mux"
)

// dev is what the sign-in page talks to in development: it mints tokens with
// every grant for anybody who asks from this machine.
type dev struct {
	secret           []byte
	issuer, audience string
}

func (d dev) routes(routes *http.ServeMux) {
	routes.HandleFunc("GET /dev/session", func(w http.ResponseWriter, r *http.Request) {
		status(w, http.StatusOK, "ok")
	})
	routes.HandleFunc("POST /dev/token", d.token)
}

// welcome says how to begin.
func (c *serveCommand) welcome(addr net.Addr) error {
	key, err := devAPIKey(c.DataDir)
	if err != nil {
		return err
	}
	fmt.Printf("Atrium is ready: open http://%s\n\n", addr)
	fmt.Printf("Push to somebody who has signed in as Alice:\n\n")
	fmt.Printf("  curl -H 'Authorization: Bearer %s' -H 'Content-Type: application/json' \\\n", key)
	fmt.Printf("    -d '{\"kind\":\"hello\",\"title\":\"Hello from the shell\"}' http://%s/api/v1/users/alice/notifications\n\n", addr)
	return nil
}

func (d dev) token(w http.ResponseWriter, r *http.Request) {
	if !fromThisMachine(r) {
		http.Error(w, "development sign-in is for pages on this machine", http.StatusForbidden)
		return
	}
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind != "application/json" {
		http.Error(w, "send JSON", http.StatusUnsupportedMediaType)
		return
	}
	var req struct {
		Name string `json:"name"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4096)).Decode(&req); err != nil {
		http.Error(w, `send {"name": "…"}`, http.StatusBadRequest)
		return
	}
	name := strings.TrimSpace(req.Name)
	user := mux.User{ID: userID(name), Name: name}
	if user.ID == "" {
		http.Error(w, "the name needs a letter or a digit", http.StatusBadRequest)
		return
	}
	all := map[string]string{"*": "write"}
	now := time.Now()
	token, err := auth.Mint(d.secret, auth.Claims{
		UserID: user.ID, Name: user.Name, Issuer: d.issuer, Audience: d.audience,
		IssuedAt: now, Expires: now.Add(24 * time.Hour),
		Admin: true, Docs: all, Rooms: all, Metrics: all,
	})
	if err != nil {
		http.Error(w, "this name makes no token: "+err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	json.NewEncoder(w).Encode(struct {
		Token string   `json:"token"`
		User  mux.User `json:"user"`
	}{token, user})
}

// fromThisMachine keeps out pages of other hosts, also those whose name was
// made to point here.
func fromThisMachine(r *http.Request) bool {
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = r.Host
	}
	if !loopbackHost(strings.Trim(host, "[]")) {
		return false
	}
	origin := r.Header.Get("Origin")
	if origin == "" {
		return true
	}
	u, err := url.Parse(origin)
	return err == nil && loopbackHost(u.Hostname())
}

// userID makes an id of a name: its letters and digits in lower case, with
// dashes between words.
func userID(name string) string {
	words := strings.FieldsFunc(strings.ToLower(name), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	return strings.Join(words, "-")
}
