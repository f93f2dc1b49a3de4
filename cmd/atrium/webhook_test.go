package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"atrium/collab/change"
)

const webhookSecret = "a secret for webhooks"

// hook is a webhook that came.
type hook struct {
	msg
	raw    string
	status int // what it was answered
	at     time.Time
}

// webhookReceiver takes webhooks, and checks that each is one.
type webhookReceiver struct {
	t    *testing.T
	addr string
	came chan hook // all of them
	gone chan struct{}
	http *http.Server

	mu     sync.Mutex
	answer func(msg, http.ResponseWriter) int // guarded by mu
}

// receiveWebhooks starts a receiver, which takes everything.
func receiveWebhooks(t *testing.T) *webhookReceiver {
	t.Helper()
	r := &webhookReceiver{t: t, addr: "127.0.0.1:0", came: make(chan hook, 10_000), gone: make(chan struct{})}
	r.answers(http.StatusNoContent)
	r.up()
	t.Cleanup(func() {
		close(r.gone)
		r.down()
	})
	return r
}

// settings are those of a server that tells this receiver.
func (r *webhookReceiver) settings() []string {
	return []string{withAPIKey, "ATRIUM_WEBHOOK_URL=http://user:password@" + r.addr + "/hooks?key=query", "ATRIUM_WEBHOOK_SECRET=" + webhookSecret}
}

// startServer starts a server that tells this receiver. In its log there must be
// none of their secrets.
func (r *webhookReceiver) startServer() *testServer {
	r.t.Helper()
	s := newServer(r.t, r.settings()...)
	r.t.Cleanup(func() {
		for _, text := range []string{webhookSecret, "password", "key=query"} {
			if strings.Contains(s.log.String(), text) {
				r.t.Errorf("the log has %q", text)
			}
		}
	})
	s.start()
	return s
}

func (r *webhookReceiver) up() {
	r.t.Helper()
	l, err := net.Listen("tcp", r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	r.addr = l.Addr().String()
	r.http = &http.Server{Handler: r}
	go r.http.Serve(l)
}

func (r *webhookReceiver) down() { r.http.Close() }

func (r *webhookReceiver) answers(status int) {
	r.does(func(msg, http.ResponseWriter) int { return status })
}

// hangs makes it answer nothing, until a test ends.
func (r *webhookReceiver) hangs() {
	r.does(func(msg, http.ResponseWriter) int {
		<-r.gone
		return http.StatusServiceUnavailable
	})
}

func (r *webhookReceiver) does(answer func(msg, http.ResponseWriter) int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = answer
}

func (r *webhookReceiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	raw, err := io.ReadAll(req.Body)
	if err != nil {
		return // it was killed
	}
	h := hook{raw: string(raw), at: time.Now()}
	if err := json.Unmarshal(raw, &h.msg); err != nil {
		r.t.Errorf("%v in %s", err, raw)
	}
	r.check(req, h)
	r.mu.Lock()
	answer := r.answer
	r.mu.Unlock()
	h.status = answer(h.msg, w)
	r.came <- h
	w.WriteHeader(h.status)
}

// check is how a receiver knows that a webhook is Atrium's.
func (r *webhookReceiver) check(req *http.Request, h hook) {
	id, timestamp := req.Header.Get("Webhook-Id"), req.Header.Get("Webhook-Timestamp")
	mac := hmac.New(sha256.New, []byte(webhookSecret))
	fmt.Fprintf(mac, "%s.%s.%s", id, timestamp, h.raw)
	if got, want := req.Header.Get("Webhook-Signature"), "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)); got != want {
		r.t.Errorf("the signature is %q, want %q", got, want)
	}
	if seconds, err := strconv.ParseInt(timestamp, 10, 64); err != nil || h.at.Sub(time.Unix(seconds, 0)).Abs() > time.Minute {
		r.t.Errorf("the timestamp is %q: %v", timestamp, err)
	}
	if parsed, err := uuid.Parse(id); err != nil || parsed.Version() != 7 || h.msg["id"] != id {
		r.t.Errorf("the id is %q in %s: %v", id, h.raw, err)
	}
	if at, _ := h.msg["at"].(string); !validTime(at) || h.msg["url"] != fmt.Sprint("automerge:", h.msg["documentId"]) {
		r.t.Errorf("got %s", h.raw)
	}
	if user, password, _ := req.BasicAuth(); req.Method != http.MethodPost || req.Header.Get("Content-Type") != "application/json" ||
		user != "user" || password != "password" || req.URL.String() != "/hooks?key=query" {
		r.t.Errorf("got %s %s with %v", req.Method, req.URL, req.Header)
	}
}

func validTime(text string) bool {
	_, err := time.Parse(time.RFC3339, text)
	return err == nil
}

func (r *webhookReceiver) next() hook {
	r.t.Helper()
	select {
	case h := <-r.came:
		return h
	case <-time.After(patience):
		r.t.Fatal("no webhook came")
		panic("unreachable")
	}
}

// taken returns the next that was taken.
func (r *webhookReceiver) taken() hook {
	r.t.Helper()
	for {
		if h := r.next(); h.status < 300 {
			return h
		}
	}
}

// expect fails unless the next that was taken is this.
func (r *webhookReceiver) expect(kind, doc string, heads []any, users ...any) hook {
	r.t.Helper()
	h := r.taken()
	want := msg{"id": h.msg["id"], "type": "document." + kind, "documentId": doc, "url": "automerge:" + doc, "userIds": users, "at": h.msg["at"]}
	if heads != nil {
		want["heads"] = heads
	}
	if !reflect.DeepEqual(h.msg, want) {
		r.t.Fatalf("got %s, want %v", h.raw, want)
	}
	return h
}

// delete deletes a document over HTTP.
func (s *testServer) delete(doc string) {
	s.t.Helper()
	if a := s.call(request{method: "DELETE", path: documentsPath + "/" + doc, credential: apiKey}); a.status != http.StatusNoContent {
		s.t.Fatalf("got %d %s", a.status, a.raw)
	}
}

// awaitMetric waits until a metric has at least this value.
func (s *testServer) awaitMetric(name string, least float64) {
	s.t.Helper()
	for deadline := time.Now().Add(patience); s.metric(name) < least; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.t.Fatalf("%s is %v, want %v", name, s.metric(name), least)
		}
	}
}

func webhooksMetric(outcome string) string { return `atrium_webhooks_total{outcome="` + outcome + `"}` }

// TestWebhooks: a document's life, as the receiver is told of it.
func TestWebhooks(t *testing.T) {
	t.Parallel()
	r := receiveWebhooks(t)
	s := r.startServer()
	made := s.post(documentsPath, map[string]any{"content": map[string]any{"a": 1}}).expect(t, 201)
	doc := made.msg["documentId"].(string)
	r.expect("created", doc, made.msg["heads"].([]any), "api")

	// Many edits of three are one event, 2 s after the last.
	alice, bob := dial(t, s, "alice", docs("*", "write")).author(doc), dial(t, s, "bob", docs("*", "write")).author(doc)
	for range 5 {
		alice.submit()
		bob.submit()
	}
	patched := head(t, s.patch(doc, "merge-patch", `{"a":2}`).expect(t, 200))
	last := time.Now()
	h := r.expect("changed", doc, []any{patched}, "alice", "bob", "api")
	if late := h.at.Sub(last); late < 1500*time.Millisecond || late > 9*time.Second {
		t.Errorf("it came %v after the last edit", late)
	}

	// What comes by sync is told, too; and deletion at once, in the place of that.
	alice.write()
	s.delete(doc)
	r.expect("deleted", doc, nil, "alice", "api")

	other := newDocument()
	first := dial(t, s, "carol", docs("*", "write")).author(other).submit()
	r.expect("created", other, inHex(first), "carol")
	s.awaitMetric(webhooksMetric("delivered"), 4)
	for outcome, want := range map[string]float64{"delivered": 4, "retried": 0, "given_up": 0} {
		if got := s.metric(webhooksMetric(outcome)); got != want {
			t.Errorf("%s: %v, want %v", outcome, got, want)
		}
	}
}

// TestWebhooksWhilePeopleWrite all the time: every 10 s.
func TestWebhooksWhilePeopleWrite(t *testing.T) {
	t.Parallel()
	r := receiveWebhooks(t)
	s := r.startServer()
	alice := dial(t, s, "alice", docs("*", "write")).author(newDocument())
	alice.submit()
	r.expect("created", alice.doc, inHex(alice.head...), "alice")
	began := time.Now()
	for len(r.came) == 0 && time.Since(began) < patience {
		alice.submit()
		time.Sleep(100 * time.Millisecond)
	}
	h := r.taken()
	if took := h.at.Sub(began); h.msg["type"] != "document.changed" || took < 9*time.Second || took > 15*time.Second {
		t.Errorf("%s came after %v", h.raw, took)
	}
}

// TestWebhooksReceiverAway: what happens meanwhile is told when it is back, in
// order, and under the ids of the first attempts.
func TestWebhooksReceiverAway(t *testing.T) {
	t.Parallel()
	r := receiveWebhooks(t)
	s := r.startServer()
	doc, brief := s.create(map[string]any{}), s.create(map[string]any{})
	r.taken()
	r.taken()
	s.awaitMetric(webhooksMetric("delivered"), 2) // the answers are there, too
	r.down()
	edited := head(t, s.patch(doc, "merge-patch", `{"a":1}`).expect(t, 200))
	s.awaitMetric(webhooksMetric("retried"), 1) // from now on nothing joins it
	s.delete(brief)
	s.awaitMetric(webhooksMetric("retried"), 3)
	if _, ok := s.log.wait(0, "webhooks cannot be delivered"); !ok {
		t.Error("the failure is not in the log")
	}
	s.patch(doc, "merge-patch", `{"a":2}`).expect(t, 200)
	s.delete(doc)
	r.up()
	got := make(map[any][]hook)
	for range 3 {
		h := r.taken()
		got[h.msg["documentId"]] = append(got[h.msg["documentId"]], h)
	}
	if list := got[brief]; len(list) != 1 || list[0].msg["type"] != "document.deleted" {
		t.Errorf("got %v", list)
	}
	if list := got[doc]; len(list) != 2 || !reflect.DeepEqual(list[0].msg["heads"], []any{edited}) || list[1].msg["type"] != "document.deleted" {
		t.Errorf("got %v", list)
	}
	if _, ok := s.log.wait(0, "webhooks are delivered again"); !ok {
		t.Error("the recovery is not in the log")
	}
}

// TestWebhooksKill9 kills the server as soon as it has acknowledged something.
func TestWebhooksKill9(t *testing.T) {
	t.Parallel()
	r := receiveWebhooks(t)
	s := r.startServer()
	ids := make(map[string]string) // of what came, by kind and document
	// told kills the server, and waits until it has told of this after all.
	told := func(kind, doc string, heads []any, user any) {
		t.Helper()
		s.kill9()
		for len(r.came) > 0 { // and was not taken
			h := r.next()
			ids[fmt.Sprint(h.msg["type"], h.msg["documentId"])] = h.msg["id"].(string)
		}
		r.answers(http.StatusOK)
		s.start()
		h := r.expect(kind, doc, heads, user)
		if id, came := ids["document."+kind+doc]; came && id != h.msg["id"] {
			t.Errorf("%s came under id %s before", h.raw, id)
		}
		s.awaitMetric(webhooksMetric("delivered"), 1)
		r.answers(http.StatusServiceUnavailable)
	}
	r.answers(http.StatusServiceUnavailable)
	for range *killRounds {
		made := s.post(documentsPath, map[string]any{}).expect(t, 201)
		doc := made.msg["documentId"].(string)
		told("created", doc, made.msg["heads"].([]any), "api")
		alice := dial(t, s, "alice", docs("*", "write")).author(doc)
		alice.head = []change.Hash{mustHash(t, head(t, made))}
		alice.submit()
		told("changed", doc, inHex(alice.head...), "alice")
		s.delete(doc)
		told("deleted", doc, nil, "api")
	}
	// Under way, and killed at that: it comes again, under the same id.
	r.hangs()
	doc := s.create(map[string]any{})
	time.Sleep(100 * time.Millisecond)
	s.kill9()
	r.answers(http.StatusOK)
	s.start()
	if h := r.taken(); h.msg["documentId"] != doc {
		t.Errorf("got %s", h.raw)
	}
}

func mustHash(t *testing.T, text string) change.Hash {
	t.Helper()
	h, err := change.ParseHash(text)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// TestWebhooksReceiverHangs: nobody who edits notices.
func TestWebhooksReceiverHangs(t *testing.T) {
	t.Parallel()
	r := receiveWebhooks(t)
	r.hangs()
	s, without := r.startServer(), startServer(t, withAPIKey)
	for range 20 { // more than it sends at once
		s.create(map[string]any{})
	}
	const n = 300
	took := make(map[*testServer][]time.Duration)
	authors := map[*testServer]*author{s: dial(t, s, "alice", docs("*", "write")).author(newDocument()), without: dial(t, without, "alice", docs("*", "write")).author(newDocument())}
	for range n {
		for server, author := range authors {
			began := time.Now()
			author.submit()
			took[server] = append(took[server], time.Since(began))
		}
	}
	for _, list := range took {
		slices.Sort(list)
	}
	a, b := took[s], took[without]
	t.Logf("an edit takes %v (p95 %v), and %v (p95 %v) without webhooks", a[n/2], a[n*95/100], b[n/2], b[n*95/100])
	if a[n/2] > 3*b[n/2]+5*time.Millisecond || a[n-1] > 5*time.Second {
		t.Errorf("an edit takes %v, up to %v; without webhooks %v", a[n/2], a[n-1], b[n/2])
	}
	if got := s.metric(webhooksMetric("delivered")); got != 0 {
		t.Errorf("%v delivered", got)
	}
}

// TestWebhooksGiveUp: 410 is the end of an event, and of no other.
func TestWebhooksGiveUp(t *testing.T) {
	t.Parallel()
	r := receiveWebhooks(t)
	s := r.startServer()
	s.errorsOK = true
	r.answers(http.StatusGone)
	doc := s.create(map[string]any{})
	r.next()
	s.awaitMetric(webhooksMetric("given_up"), 1)
	if line, ok := s.log.wait(0, "webhook given up"); !ok || !strings.Contains(line, doc) {
		t.Errorf("it is not in the log: %s", line)
	}
	r.answers(http.StatusOK)
	s.delete(doc)
	r.expect("deleted", doc, nil, "api")
	if got := s.metric(webhooksMetric("retried")); got != 0 {
		t.Errorf("%v tried again", got)
	}
}

// TestWebhooksRedirected: nothing is sent to where the receiver points to.
func TestWebhooksRedirected(t *testing.T) {
	t.Parallel()
	r, elsewhere := receiveWebhooks(t), receiveWebhooks(t)
	s := r.startServer()
	r.does(func(_ msg, w http.ResponseWriter) int {
		w.Header().Set("Location", "http://"+elsewhere.addr+"/hooks")
		return http.StatusTemporaryRedirect
	})
	doc := s.create(map[string]any{})
	s.awaitMetric(webhooksMetric("retried"), 2)
	r.answers(http.StatusOK)
	r.expect("created", doc, contentHeads(t, s, doc), "api")
	if n := len(elsewhere.came); n > 0 {
		t.Errorf("%d followed", n)
	}
}

// contentHeads are a document's heads as a backend reads them.
func contentHeads(t *testing.T, s *testServer, doc string) (heads []any) {
	t.Helper()
	for _, h := range strings.Split(strings.Trim(s.read(documentsPath+"/"+doc).expect(t, 200).header.Get("ETag"), `"`), ",") {
		heads = append(heads, h)
	}
	return heads
}
