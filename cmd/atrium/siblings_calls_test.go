package main

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"atrium/internal/auth"
)

// apiCall is one call of the API. ID stands for a user, room or metric of its
// own, WORD for a text that tells bodies apart.
type apiCall struct {
	query, body string
	status      int
	told        string // to the user ID who is in the room ID and watches the metric ID
	closes      int    // or how the user's session ends
	own         bool   // the user ID may call, too
	noRubbish   bool   // there is nothing to get wrong
}

// apiCalls are all, by method and path.
var apiCalls = map[string]apiCall{
	"GET /api/v1/presence":                      {query: "?userId=ID", status: 200},
	"GET /api/v1/users/{userId}/sessions":       {status: 200, noRubbish: true},
	"GET /api/v1/sessions":                      {query: "?userId=ID", status: 200},
	"POST /api/v1/users/{userId}/disconnect":    {status: 200, closes: 4403, noRubbish: true},
	"POST /api/v1/users/{userId}/revoke":        {status: 200, closes: 4401, noRubbish: true},
	"GET /api/v1/users/{userId}/notifications":  {status: 200, own: true},
	"POST /api/v1/users/{userId}/notifications": {body: `{"kind":"k","title":"WORD"}`, status: 201, told: "notification:new"},
	"POST /api/v1/notifications":                {body: `{"userIds":["ID"],"kind":"k","title":"WORD"}`, status: 201, told: "notification:new"},
	"POST /api/v1/users/{userId}/send":          {body: `{"event":"e","data":"WORD"}`, status: 202, told: "event"},
	"PUT /api/v1/metrics/{name}":                {body: `{"value":"WORD"}`, status: 204, told: "dashboard:update"},
	"POST /api/v1/metrics":                      {body: `{"metrics":[{"metric":"ID","value":"WORD"}]}`, status: 204, told: "dashboard:update"},
	"GET /api/v1/rooms/{roomId}/messages":       {status: 200},
	"POST /api/v1/rooms/{roomId}/messages":      {body: `{"content":"WORD"}`, status: 201, told: "chat:message"},
	"POST /api/v1/rooms/{roomId}/broadcast":     {body: `{"event":"e","data":"WORD"}`, status: 202, told: "event"},
}

// TestCallAccess tries every call that the API describes with every credential,
// with good bodies and with rubbish. A call that is not in the table fails it.
func TestCallAccess(t *testing.T) {
	t.Parallel()
	s := startServer(t, withAPIKey)
	described := make(map[string]bool)
	spec := s.call(request{method: "GET", path: "/openapi.json"}).expect(t, 200)
	for path, methods := range spec.msg["paths"].(map[string]any) {
		for method := range methods.(map[string]any) {
			if !strings.HasPrefix(path, "/api/v1/documents") { // see TestDocumentAccess
				described[strings.ToUpper(method)+" "+path] = true
			}
		}
	}
	for name := range apiCalls {
		if !described[name] {
			t.Errorf("%s is not described by /openapi.json", name)
		}
	}
	for name := range described {
		r, ok := apiCalls[name]
		if !ok {
			t.Errorf("%s is not tried: give it a row", name)
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tryAPICall(t, s, name, r)
		})
	}
}

func tryAPICall(t *testing.T, s *testServer, name string, r apiCall) {
	method, template, _ := strings.Cut(name, " ")
	id := strings.ToLower(strings.NewReplacer("/api/v1/", "", "{", "", "}", "", "/", ".").Replace(method + "." + template))
	path := strings.NewReplacer("{userId}", id, "{roomId}", id, "{name}", id).Replace(template)
	if strings.Contains(path, "{") {
		t.Fatalf("%s: what goes into the path?", name)
	}
	call := func(credential, query, body string) (status int, answer string) {
		t.Helper()
		req, err := http.NewRequest(method, s.url(path+strings.ReplaceAll(query, "ID", id)), strings.NewReader(strings.ReplaceAll(body, "ID", id)))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		if credential != "" {
			req.Header.Set("Authorization", "Bearer "+credential)
		}
		client := http.Client{Timeout: patience}
		defer client.CloseIdleConnections()
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		raw, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(raw)
	}
	all := []option{docs("*", "write"), rooms("*", "write"), metric("*", "write")}
	own := token(t, id, all...)
	user := dial(t, s, id, withToken(own))
	user.enters(id)
	user.watch(id)
	isAdmin := func(d *dialing) { d.claims.Admin = true }
	admin := token(t, "root", isAdmin)
	forged, err := auth.Mint([]byte("another secret, also long enough for HS256"), newDialing("root", []option{isAdmin}).claims)
	if err != nil {
		t.Fatal(err)
	}

	rubbish := [][2]string{{r.query, "{"}, {r.query, `[7]`}, {r.query, `{"kind":7,"title":[],"event":{},"content":1,"metrics":{},"userIds":"x","timestamp":"y"}`}}
	if method == http.MethodGet {
		rubbish = [][2]string{{"?limit=x&userId=", ""}, {"?limit=-1&before=-1", ""}}
	}
	for _, refused := range []struct {
		who, credential string
		status          int
	}{
		{"nobody", "", 401}, {"a wrong key", apiKey[1:], 401}, {"a forged admin", forged, 401},
		{"another user", token(t, "bob", all...), 403}, {"another user by nearly the same name", token(t, id+" ", all...), 403},
		{"the user", own, 403},
	} {
		if refused.who == "the user" && r.own {
			continue
		}
		for _, with := range append(rubbish, [2]string{r.query, strings.ReplaceAll(r.body, "WORD", "refused")}) {
			if status, answer := call(refused.credential, with[0], with[1]); status != refused.status {
				t.Errorf("%s with %s: got %d %s, want %d", refused.who, with, status, answer, refused.status)
			}
		}
	}
	for _, f := range user.ping() {
		t.Errorf("of what was refused came %v", f.msg)
	}

	allowed := []string{admin, apiKey}
	if r.own {
		allowed = append(allowed, own)
	}
	for _, credential := range allowed {
		for _, with := range rubbish {
			if status, answer := call(credential, with[0], with[1]); !r.noRubbish && (status < 400 || status > 499 || status == 401 || status == 403) {
				t.Errorf("with %s: got %d %s, want it to be refused for what it is", with, status, answer)
			}
		}
		if status, answer := call(credential, r.query, strings.ReplaceAll(r.body, "WORD", "allowed")); status != r.status || strings.Contains(answer, "refused") {
			t.Errorf("got %d %s, want %d", status, answer, r.status)
		}
		if r.told != "" {
			f := user.expect(r.told)
			if text := string(f.raw); !strings.Contains(text, "allowed") || strings.Contains(text, "refused") {
				t.Errorf("the user is told %v", f.msg)
			}
		}
	}
	if r.closes != 0 {
		user.expectClose(r.closes)
		return
	}
	user.expectNothing()
	// Neither is anything stored of it.
	for of, path := range map[string]string{"notification:new": inboxPath(id), "chat:message": "/api/v1/rooms/" + id + "/messages"} {
		if stored := s.read(path).expect(t, 200).raw; strings.Contains(stored, "refused") || strings.Count(stored, "allowed") != map[bool]int{true: 2}[of == r.told] {
			t.Errorf("stored is %s", stored)
		}
	}
	if got, want := user.watch(id), map[bool]string{true: id + "=allowed"}[r.told == "dashboard:update"]; got != want {
		t.Errorf("the metric is %q, want %q", got, want)
	}
}
