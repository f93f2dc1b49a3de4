package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"atrium/collab/change"
	"atrium/collab/docsync"
)

const documentsPath = "/api/v1/documents"

// create makes a document by HTTP and returns its id.
func (s *testServer) create(content any) string {
	s.t.Helper()
	return s.post(documentsPath, map[string]any{"content": content}).expect(s.t, 201).msg["documentId"].(string)
}

// content is a document's as JSON.
func (s *testServer) content(doc string) any {
	s.t.Helper()
	return contentOf(s.t, s.read(documentsPath+"/"+doc).expect(s.t, 200))
}

func contentOf(t *testing.T, a answered) (v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.raw), &v); err != nil {
		t.Fatalf("%v in %s", err, a.raw)
	}
	return v
}

// parsed is JSON as tests compare it.
func parsed(text string) (v any) {
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		panic(err)
	}
	return v
}

// patch patches a document.
func (s *testServer) patch(doc, kind, body string, header ...string) answered {
	s.t.Helper()
	h := http.Header{"Content-Type": {"application/" + kind + "+json"}}
	for i := 0; i < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	return s.call(request{method: "PATCH", path: documentsPath + "/" + doc, credential: apiKey, raw: &body, header: h})
}

// head is the only one in an answer.
func head(t *testing.T, a answered) string {
	t.Helper()
	heads := a.msg["heads"].([]any)
	if len(heads) != 1 {
		t.Fatalf("got heads %v, want one", heads)
	}
	return heads[0].(string)
}

// TestDocumentCalls: a document's life over HTTP.
func TestDocumentCalls(t *testing.T) {
	t.Parallel()
	s := startServer(t, withAPIKey)
	doc := s.create(parsed(`{"title":"hello","n":1,"list":[1,"two",{"x":null}]}`))
	path := documentsPath + "/" + doc
	first := s.read(path).expect(t, 200)
	if kind := first.header.Get("Content-Type"); first.raw != `{"list":[1,"two",{"x":null}],"n":1,"title":"hello"}` || kind != "application/json" {
		t.Errorf("got %s %s", kind, first.raw)
	}
	etag := first.header.Get("ETag")
	unchanged := s.call(request{method: "GET", path: path, credential: apiKey, header: http.Header{"If-None-Match": {etag}}})
	if unchanged.status != 304 || unchanged.raw != "" {
		t.Errorf("got %d %s, want 304", unchanged.status, unchanged.raw)
	}

	one := head(t, s.patch(doc, "merge-patch", `{"title":"hello world","n":null}`).expect(t, 200))
	two := s.patch(doc, "json-patch", `[{"op":"add","path":"/list/0","value":"zero"},{"op":"splice","path":"/title","index":0,"delete":5,"insert":"bye"}]`).expect(t, 200)
	if got, want := s.content(doc), parsed(`{"list":["zero",1,"two",{"x":null}],"title":"bye world"}`); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if two.header.Get("ETag") != `"`+head(t, two)+`"` {
		t.Errorf("the tag is %s of %s", two.header.Get("ETag"), two.raw)
	}
	nothing := s.patch("automerge:"+doc, "merge-patch", `{"title":"bye world"}`).expect(t, 200)
	if head(t, nothing) != head(t, two) {
		t.Errorf("a patch that changes nothing made %s", nothing.raw)
	}

	// As it was, and what has changed since.
	then := contentOf(t, s.read(path+"?heads="+one).expect(t, 200))
	if want := parsed(`{"list":[1,"two",{"x":null}],"title":"hello world"}`); !reflect.DeepEqual(then, want) {
		t.Errorf("then: got %v, want %v", then, want)
	}
	diff := s.read(path+"/diff?from="+one).expect(t, 200)
	if kind := diff.header.Get("Content-Type"); kind != "application/json-patch+json" || !strings.Contains(diff.raw, `"/title"`) || !strings.Contains(diff.raw, `"/list/0"`) {
		t.Errorf("the difference is %s %s", kind, diff.raw)
	}
	history := s.read(path+"/history").expect(t, 200)
	var hashes []string
	for i, c := range history.msg["changes"].([]any) {
		c := c.(map[string]any)
		hashes = append(hashes, c["hash"].(string))
		if c["userId"] != "api" || c["position"] != float64(2-i) || c["storedAt"] == nil || c["time"] == nil {
			t.Errorf("got %v", c)
		}
	}
	if len(hashes) != 3 || hashes[0] != head(t, two) || hashes[1] != one || history.msg["more"] != false {
		t.Errorf("the history is %s", history.raw)
	}
	page := s.read(path+"/history?before=2&limit=1").expect(t, 200)
	if list := page.msg["changes"].([]any); len(list) != 1 || list[0].(map[string]any)["hash"] != one || page.msg["more"] != true {
		t.Errorf("a page is %s", page.raw)
	}

	// A patch of an old state is merged with what came since.
	s.call(request{
		method: "PATCH", path: path + "?message=why&heads=" + one, credential: token(t, "alice", docs(doc, "write")),
		raw: ptr(`{"title":"hello, world"}`), header: http.Header{"Content-Type": {"application/merge-patch+json"}},
	}).expect(t, 200)
	if got := s.content(doc).(map[string]any)["title"]; got != "bye, world" {
		t.Errorf("merged: %q", got)
	}
	newest := s.read(path+"/history?limit=1").expect(t, 200).msg["changes"].([]any)[0].(map[string]any)
	if newest["userId"] != "alice" || newest["message"] != "why" {
		t.Errorf("the newest change is %v", newest)
	}
	s.patch(doc, "merge-patch", `{"title":"x"}`, "If-Match", etag).expect(t, 412)
	now := s.read(path).header.Get("ETag")
	s.patch(doc, "merge-patch", `{"checked":true}`, "If-Match", now).expect(t, 200)

	restored := s.post(path+"/restore", map[string]any{"heads": []string{hashes[2]}}).expect(t, 200)
	if got := s.read(path); got.raw != first.raw || head(t, restored) == hashes[2] {
		t.Errorf("restored: got %s %s", got.raw, restored.raw)
	}

	// Out, and in again elsewhere.
	bytes := s.call(request{method: "GET", path: path, credential: apiKey, header: http.Header{"Accept": {"application/vnd.automerge"}}}).expect(t, 200)
	if bytes.header.Get("Content-Type") != "application/vnd.automerge" {
		t.Errorf("got %s", bytes.header.Get("Content-Type"))
	}
	copied := newDocument()
	for range 2 {
		in := s.call(request{method: "POST", path: documentsPath + "/" + copied + "/import", credential: apiKey, raw: &bytes.raw, header: http.Header{"Content-Type": {"application/vnd.automerge"}}}).expect(t, 200)
		if head(t, in) != head(t, restored) {
			t.Errorf("imported: %s", in.raw)
		}
	}
	if !reflect.DeepEqual(s.content(copied), s.content(doc)) {
		t.Errorf("imported: %v", s.content(copied))
	}
	list := s.read(documentsPath).expect(t, 200)
	if all := list.msg["documents"].([]any); len(all) != 2 || list.msg["more"] != false {
		t.Errorf("listed: %s", list.raw)
	}
	some := s.read(documentsPath+"?limit=1").expect(t, 200)
	rest := s.read(documentsPath+"?after="+some.msg["documents"].([]any)[0].(map[string]any)["documentId"].(string)).expect(t, 200)
	if some.msg["more"] != true || len(rest.msg["documents"].([]any)) != 1 {
		t.Errorf("listed in pages: %s, %s", some.raw, rest.raw)
	}
	record := rest.msg["documents"].([]any)[0].(map[string]any)
	if record["changes"] != 6.0 || record["bytes"].(float64) < 500 {
		t.Errorf("listed: %v", record)
	}
}

func ptr[T any](v T) *T { return &v }

// TestCreateOnce: the same id, or Idempotency-Key, makes the same document, also
// over a restart.
func TestCreateOnce(t *testing.T) {
	t.Parallel()
	s := startServer(t, withAPIKey)
	doc := newDocument()
	keyed := func(body map[string]any) answered {
		return s.call(request{method: "POST", path: documentsPath, credential: apiKey, body: body, header: http.Header{"Idempotency-Key": {"k"}}})
	}
	var made []answered
	for i := range 3 {
		made = append(made, s.post(documentsPath, map[string]any{"documentId": doc, "content": parsed(`{"list":["a"]}`)}).expect(t, 201))
		if made[i].raw != made[0].raw || made[i].msg["url"] != "automerge:"+doc {
			t.Errorf("made %s, and then %s", made[0].raw, made[i].raw)
		}
		if again := keyed(map[string]any{"content": parsed(`{"b":1}`)}).expect(t, 201); i > 0 && again.raw != made[0].raw && again.msg["documentId"] == doc {
			t.Errorf("got %s", again.raw)
		}
		if i == 1 {
			s.kill9()
			s.start()
		}
	}
	keyed(map[string]any{"content": parsed(`{"b":2}`)}).expect(t, 422)
	if got, want := s.content(doc), parsed(`{"list":["a"]}`); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if list := s.read(documentsPath).msg["documents"].([]any); len(list) != 2 {
		t.Errorf("%d documents, want 2", len(list))
	}
	empty := s.post(documentsPath, map[string]any{}).expect(t, 201)
	if got := s.content(empty.msg["documentId"].(string)); !reflect.DeepEqual(got, map[string]any{}) {
		t.Errorf("an empty document has %v", got)
	}
}

// TestPatchIsSeen by those who have the document open, at once; and what they
// write is in the content.
func TestPatchIsSeen(t *testing.T) {
	t.Parallel()
	s := startServer(t, withAPIKey)
	doc := s.create(map[string]any{"a": 1})
	alice := dial(t, s, "alice", docs("*", "write"))
	alice.open(doc)
	made := docsync.Message{}
	alice.await("the document", func(m msg) bool { made = syncOf(t, m); return len(made.Changes) == 1 })
	bob := dial(t, s, "bob", docs("*", "read"), inJSON)
	bob.follow(doc)
	patched, err := change.ParseHash(head(t, s.patch(doc, "merge-patch", `{"b":2}`).expect(t, 200)))
	if err != nil {
		t.Fatal(err)
	}
	alice.receives(doc, patched)
	bob.expectChanges(doc, "api", inHex(patched), patched)

	author := dial(t, s, "carol", docs("*", "write")).author(doc)
	author.write()
	content := s.content(doc).(map[string]any)
	if content["a"] != 1.0 || content["b"] != 2.0 || content["by carol"] != 1.0 {
		t.Errorf("got %v", content)
	}
}

// TestDelete: gone for everyone and for good, also for who comes back with it.
func TestDelete(t *testing.T) {
	t.Parallel()
	s := startServer(t, withAPIKey)
	doc := newDocument()
	path := documentsPath + "/" + doc
	author := dial(t, s, "alice", docs("*", "write")).author(doc)
	author.write()
	author.settle(doc)
	bob := dial(t, s, "bob", docs("*", "read"), inJSON)
	bob.follow(doc)
	remove := request{method: "DELETE", path: path, credential: apiKey}
	if a := s.call(remove); a.status != 204 {
		t.Fatalf("got %d %s", a.status, a.raw)
	}
	for _, c := range []*client{author.client, bob} {
		c.await("the end", func(m msg) bool { return m["type"] == "doc-unavailable" && m["documentId"] == doc })
	}
	for round := range 2 {
		s.call(remove).expect(t, 410)
		s.read(path).expect(t, 410)
		s.read(path+"/history").expect(t, 410)
		s.patch(doc, "merge-patch", `{}`).expect(t, 410)
		s.post(documentsPath, map[string]any{"documentId": doc}).expect(t, 410)
		stale := author.again(dial(t, s, "alice", senderID("stale"), docs("*", "write")))
		stale.edit()
		stale.await("the refusal", func(m msg) bool { return m["type"] == "doc-unavailable" })
		if got := outcome(stale.ask(editMsg(doc, stale.next().Encode()))); got != "not_found" {
			t.Errorf("an edit got %s", got)
		}
		if got := outcome(stale.ask(joinWith(doc))); got != "not_found" {
			t.Errorf("joining got %s", got)
		}
		if list := s.read(documentsPath).msg["documents"].([]any); len(list) != 0 {
			t.Errorf("listed: %v", list)
		}
		if n := len(stored(t, s)); n != 0 {
			t.Errorf("%d documents are stored", n)
		}
		if round == 0 {
			s.kill9()
			s.start()
		}
	}
}

// TestBadDocumentCalls: the right problem each.
func TestBadDocumentCalls(t *testing.T) {
	t.Parallel()
	s := startServer(t, withAPIKey)
	doc := s.create(parsed(`{"a":{"b":[1]},"s":"text"}`))
	path := documentsPath + "/" + doc
	unknown := documentsPath + "/" + newDocument()
	nowhere := strings.Repeat("ab", 32)
	for _, test := range []struct {
		method, path, kind, body string
		status                   int
		has                      string
	}{
		{"POST", documentsPath, "application/json", `{"content":[1]}`, 422, ""},
		{"POST", documentsPath, "application/json", `{"content":"x"}`, 422, ""},
		{"POST", documentsPath, "application/json", `{"content":`, 400, ""},
		{"POST", documentsPath, "application/json", `{"documentId":"nonsense"}`, 422, ""},
		{"POST", documentsPath, "application/json", `{"content":{"x":"` + strings.Repeat("x", 17<<20) + `"}}`, 413, ""},
		{"GET", documentsPath + "/nonsense", "", "", 404, ""},
		{"GET", unknown, "", "", 404, ""},
		{"GET", unknown + "/history", "", "", 404, ""},
		{"GET", path + "?heads=nonsense", "", "", 422, ""},
		{"GET", path + "?heads=" + nowhere, "", "", 404, ""},
		{"GET", path + "/diff?from=" + nowhere, "", "", 404, ""},
		{"GET", path + "/diff", "", "", 422, ""},
		{"GET", path + "/history?limit=0", "", "", 422, ""},
		{"PATCH", unknown, "application/merge-patch+json", `{}`, 404, ""},
		{"PATCH", path, "application/json", `{}`, 415, ""},
		{"PATCH", path, "application/merge-patch+json", `{`, 400, ""},
		{"PATCH", path, "application/merge-patch+json", `[1]`, 422, ""},
		{"PATCH", path, "application/json-patch+json", `{}`, 422, ""},
		{"PATCH", path, "application/json-patch+json", `[{"op":"dance","path":"/a"}]`, 422, ""},
		{"PATCH", path, "application/json-patch+json", `[{"op":"remove","path":"/a/x"}]`, 409, "/a/x"},
		{"PATCH", path, "application/json-patch+json", `[{"op":"test","path":"/s","value":"other"}]`, 409, "/s"},
		{"PATCH", path, "application/json-patch+json", `[{"op":"add","path":"/a/b/7","value":1}]`, 409, "/a/b/7"},
		{"PATCH", path, "application/json-patch+json", `[{"op":"splice","path":"/a","index":0,"delete":0,"insert":"x"}]`, 409, "/a"},
		{"PATCH", path, "application/merge-patch+json", strings.Repeat(`{"x":`, 100) + "1" + strings.Repeat("}", 100), 422, ""},
		{"POST", path + "/restore", "application/json", `{"heads":[]}`, 422, ""},
		{"POST", path + "/restore", "application/json", `{"heads":["` + nowhere + `"]}`, 404, ""},
		{"POST", path + "/restore", "application/json", `{"heads":["x"]}`, 422, ""},
		{"POST", path + "/import", "application/vnd.automerge", "nonsense", 422, ""},
		{"POST", path + "/import", "application/vnd.automerge", "", 400, ""},
		{"DELETE", unknown, "", "", 404, ""},
	} {
		r := request{method: test.method, path: test.path, credential: apiKey}
		if test.kind != "" {
			r.raw, r.header = &test.body, http.Header{"Content-Type": {test.kind}}
		}
		a := s.call(r)
		if a.status != test.status || a.header.Get("Content-Type") != "application/problem+json" || !strings.Contains(a.raw, test.has) {
			t.Errorf("%s %s %.80s: got %d %.300s, want %d with %s", test.method, test.path, test.body, a.status, a.raw, test.status, test.has)
		}
	}
	if got, want := s.content(doc), parsed(`{"a":{"b":[1]},"s":"text"}`); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestCallsAtOnce: of two patches of one state, by If-Match, one is made; and what
// is sent twice at once under one Idempotency-Key is done once.
func TestCallsAtOnce(t *testing.T) {
	t.Parallel()
	s := startServer(t, withAPIKey)
	doc := s.create(map[string]any{"text": "hello"})
	path := documentsPath + "/" + doc
	first := s.read(path).header.Get("ETag")
	atOnce := func(call func(i int) answered) (statuses []int) {
		answers := make([]answered, 2)
		var wg sync.WaitGroup
		for i := range answers {
			wg.Go(func() { answers[i] = call(i) })
		}
		wg.Wait()
		for _, a := range answers {
			statuses = append(statuses, a.status)
		}
		slices.Sort(statuses)
		return statuses
	}
	for round := range 5 {
		tag := s.read(path).header.Get("ETag")
		got := atOnce(func(i int) answered {
			return s.patch(doc, "merge-patch", fmt.Sprintf(`{"text":"by %d in %d"}`, i, round), "If-Match", tag)
		})
		if !slices.Equal(got, []int{200, 412}) {
			t.Errorf("two patches of one state got %v", got)
		}
		got = atOnce(func(int) answered {
			return s.call(request{
				method: "POST", path: path + "/restore", credential: apiKey, body: map[string]any{"heads": []string{strings.Trim(first, `"`)}},
				header: http.Header{"Idempotency-Key": {fmt.Sprint(round)}},
			})
		})
		if got[0] != 200 || got[1] != 200 && got[1] != 409 {
			t.Errorf("two restores got %v", got)
		}
		if text := s.content(doc).(map[string]any)["text"]; text != "hello" {
			t.Errorf("restored is %q", text)
		}
	}
}
