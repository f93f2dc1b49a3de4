package main

import (
	"net/http"
	"strings"
	"testing"
)

// documentCall is a call about documents. DOC stands for one of its own.
type documentCall struct {
	query, kind, body string
	needs             string // read, write, or backend
	status            int
}

// documentCalls are all, by method and path.
var documentCalls = map[string]documentCall{
	"GET /api/v1/documents":                       {needs: "backend", status: 200},
	"POST /api/v1/documents":                      {kind: "application/json", body: `{"documentId":"DOC"}`, needs: "write", status: 201},
	"GET /api/v1/documents/{documentId}":          {needs: "read", status: 200},
	"GET /api/v1/documents/{documentId}/history":  {needs: "read", status: 200},
	"GET /api/v1/documents/{documentId}/diff":     {query: "?from=HEAD", needs: "read", status: 200},
	"PATCH /api/v1/documents/{documentId}":        {kind: "application/merge-patch+json", body: `{"b":2}`, needs: "write", status: 200},
	"POST /api/v1/documents/{documentId}/restore": {kind: "application/json", body: `{"heads":["HEAD"]}`, needs: "write", status: 200},
	"POST /api/v1/documents/{documentId}/import":  {kind: "application/vnd.automerge", body: "FILE", needs: "write", status: 200},
	"DELETE /api/v1/documents/{documentId}":       {needs: "write", status: 204},
}

// TestDocumentAccess tries every call about documents that the API describes with
// every credential. A call that is not in the table fails it.
func TestDocumentAccess(t *testing.T) {
	t.Parallel()
	s := startServer(t, withAPIKey)
	spec := s.call(request{method: "GET", path: "/openapi.json"}).expect(t, 200)
	n := 0
	for path, methods := range spec.msg["paths"].(map[string]any) {
		for method := range methods.(map[string]any) {
			name := strings.ToUpper(method) + " " + path
			c, ok := documentCalls[name]
			switch {
			case ok:
				n++
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					tryDocumentCall(t, s, name, c)
				})
			case strings.HasPrefix(path, "/api/v1/documents"):
				t.Errorf("%s is not tried: give it a row", name)
			}
		}
	}
	if n != len(documentCalls) {
		t.Errorf("%d of %d calls are described by /openapi.json", n, len(documentCalls))
	}
}

func tryDocumentCall(t *testing.T, s *testServer, name string, c documentCall) {
	method, path, _ := strings.Cut(name, " ")
	doc := s.create(map[string]any{"a": 1})
	first := s.read(documentsPath + "/" + doc)
	file := s.call(request{method: "GET", path: documentsPath + "/" + doc, credential: apiKey, header: http.Header{"Accept": {"application/vnd.automerge"}}})
	fill := strings.NewReplacer("DOC", doc, "{documentId}", doc, "HEAD", strings.Trim(first.header.Get("ETag"), `"`), "FILE", file.raw)
	credentials := []struct{ who, level, credential string }{
		{"nobody", "", ""},
		{"a wrong key", "", apiKey[1:]},
		{"a user without grants", "none", token(t, "alice")},
		{"a user of another document", "none", token(t, "alice", docs(newDocument(), "write"), docs(doc[:5]+"0*", "write"))},
		{"a user of rooms and metrics", "none", token(t, "alice", rooms("*", "write"), metric("*", "write"))},
		{"a user who is kept out", "none", token(t, "alice", docs("*", "write"), docs(doc, "none"))},
		{"a reader", "read", token(t, "alice", docs(doc, "read"))},
		{"a reader of this one", "read", token(t, "alice", docs("*", "write"), docs(doc, "read"))},
		{"a writer", "write", token(t, "alice", docs(doc, "write"))},
		{"a writer of all", "write", token(t, "alice", docs("*", "write"))},
		{"an admin", "backend", token(t, "root", func(d *dialing) { d.claims.Admin = true })},
		{"a key", "backend", apiKey},
	}
	rank := map[string]int{"": 0, "none": 0, "read": 1, "write": 2, "backend": 3}
	try := func(credential, body string) answered {
		r := request{method: method, path: fill.Replace(path + c.query), credential: credential}
		if c.kind != "" {
			body = fill.Replace(body)
			r.raw, r.header = &body, http.Header{"Content-Type": {c.kind}}
		}
		return s.call(r)
	}
	gone := false
	for _, with := range credentials {
		if rank[with.level] < rank[c.needs] {
			want := 403
			if with.level == "" {
				want = 401
			}
			bodies := []string{c.body, "{"} // who may not is told so before the body is looked at
			if path == documentsPath {
				bodies = bodies[:1] // which document it is stands in there
			}
			for _, body := range bodies {
				if a := try(with.credential, body); a.status != want {
					t.Errorf("%s: got %d %s, want %d", with.who, a.status, a.raw, want)
				}
			}
			if now := s.read(documentsPath + "/" + doc); now.header.Get("ETag") != first.header.Get("ETag") {
				t.Errorf("%s has changed the document: %s", with.who, now.raw)
			}
			continue
		}
		want := c.status
		if gone {
			want = 410
		}
		if a := try(with.credential, c.body); a.status != want {
			t.Errorf("%s: got %d %s, want %d", with.who, a.status, a.raw, want)
		}
		gone = method == http.MethodDelete
	}
}
