package main

import (
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"atrium/collab/change"
	ct "atrium/collab/change/changetest"
)

// load is people who write into documents and a room of a cluster, and backends that
// push, all the while. Whoever loses a node goes on at the next, with what has not
// been acknowledged; nothing is given up.
type load struct {
	t        *testing.T
	c        *cluster
	docs     []string
	room     string
	inbox    string // the user to whom is pushed
	watchers []*watcher
	authors  []*author
	stop     chan struct{} // closed by ends
	stopOnce sync.Once
	over     chan struct{} // closed with the test
	working  sync.WaitGroup
	acked    atomic.Int64 // all kinds of things
	lost     atomic.Int64 // connections of those who write, but for those of stock clients

	mu       sync.Mutex
	changes  map[string]map[change.Hash]bool // that are acknowledged, by document; guarded by mu
	messages map[string]string               // ids by clientId; guarded by mu
	pushes   map[string]string               // ids by title; guarded by mu
}

// work starts a load with people and a backend at every node.
func (c *cluster) work() *load {
	c.t.Helper()
	a, b := newDocument(), newDocument()
	l := &load{
		t: c.t, c: c, docs: []string{a, b}, room: "room of " + a, inbox: "watcher of " + a, stop: make(chan struct{}), over: make(chan struct{}),
		changes: make(map[string]map[change.Hash]bool), messages: make(map[string]string), pushes: make(map[string]string),
	}
	c.t.Cleanup(func() {
		l.ends()
		close(l.over)
		l.working.Wait()
	})
	for _, doc := range l.docs {
		l.changes[doc] = make(map[change.Hash]bool)
		a := dial(c.t, c.nodes[0], "first", senderID(doc), docs("*", "write")).author(doc)
		l.changes[doc][a.submit()] = true
	}
	for i := range c.nodes {
		l.watchers = append(l.watchers, l.watch(i))
		l.works(func(w *worker) bool { return w.edit(w.submits) }, worker{name: fmt.Sprint("editor ", i), at: i, author: l.author(i)})
		l.works(func(w *worker) bool { return w.edit(w.syncs) }, worker{name: fmt.Sprint("stock ", i), at: i, author: l.author(i + 1), stock: true})
		l.works((*worker).say, worker{name: fmt.Sprint("talker ", i), at: i, talks: true})
		l.works((*worker).push, worker{name: fmt.Sprint("backend ", i), at: i})
	}
	return l
}

func (l *load) author(i int) *author {
	a := (&client{t: l.t, user: fmt.Sprint("author ", len(l.authors))}).author(l.docs[i%len(l.docs)])
	l.authors = append(l.authors, a)
	return a
}

// works has a worker do something again and again, every tenth of a second, until
// the load is stopped, and to the end even then.
func (l *load) works(do func(*worker) bool, w worker) {
	w.load = l
	l.working.Go(func() {
		for pace := time.NewTicker(100 * time.Millisecond); ; <-pace.C {
			select {
			case <-l.stop:
				pace.Stop()
				return
			default:
			}
			if w.n++; !do(&w) {
				return
			}
			l.acked.Add(1)
		}
	})
}

// ends stops the load. What has been begun is still done.
func (l *load) ends() { l.stopOnce.Do(func() { close(l.stop) }) }

// ackedWithin is how many things are acknowledged in a time.
func (l *load) ackedWithin(d time.Duration) int64 {
	before := l.acked.Load()
	time.Sleep(d)
	return l.acked.Load() - before
}

// worker does one kind of work, at one node at a time.
type worker struct {
	*load
	name   string
	at     int // its node
	n      int // how many things it has begun
	author *author
	stock  bool // it syncs, and may be sent away to come back
	talks  bool
	client *client // nil: it is not connected
}

// insists tries until ok, on the next node whenever it fails on one, and reports
// whether it came to that.
func (w *worker) insists(what string, try func() error) bool {
	var err error
	for deadline := time.Now().Add(2 * patience); time.Now().Before(deadline); {
		if err = try(); err == nil {
			return true
		}
		select {
		case <-w.over:
			return false
		case <-time.After(50 * time.Millisecond):
		}
	}
	w.t.Errorf("%s: %s: not in %v, the last time: %v", w.name, what, 2*patience, err)
	return false
}

// moves is that the worker has lost its connection.
func (w *worker) moves() {
	w.client.ws.Close()
	w.client = nil
	w.at = (w.at + 1) % len(w.c.nodes)
	if !w.stock {
		w.lost.Add(1)
	}
}

// connects makes sure that there is a connection.
func (w *worker) connects() error {
	if w.client != nil {
		return nil
	}
	c, err := tryDial(w.t, w.c.nodes[w.at], w.name, docs("*", "write"), rooms("*", "write"))
	if err == nil && w.talks {
		if _, err = c.tryAcks(chatMsg("join", w.room, nil)); err != nil {
			c.ws.Close()
		}
	}
	if err != nil {
		w.at = (w.at + 1) % len(w.c.nodes)
		return err
	}
	w.client = c
	return nil
}

// asks asks as often as it takes, wherever it can.
func (w *worker) asks(m msg) (answer msg, ok bool) {
	ok = w.insists(fmt.Sprint(m["type"]), func() (err error) {
		if err := w.connects(); err != nil {
			return err
		}
		if answer, err = w.client.tryAcks(m); err != nil && w.client.ended() != nil {
			w.moves()
		}
		return err
	})
	return answer, ok
}

// edit writes the author's next change in one of the two ways.
func (w *worker) edit(way func(ct.Change) bool) bool {
	x := w.author.next()
	if !way(x) {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.changes[w.author.doc][x.Hash()] = true
	return true
}

func (w *worker) submits(x ct.Change) bool {
	_, ok := w.asks(editMsg(w.author.doc, x.Encode()))
	return ok
}

func (w *worker) syncs(x ct.Change) bool {
	return w.insists("sync", func() error {
		if err := w.connects(); err != nil {
			return err
		}
		err := w.client.trySync(w.author.doc, x)
		if err != nil {
			w.moves()
		}
		return err
	})
}

func (w *worker) say() bool {
	name := fmt.Sprint(w.name, " ", w.n)
	answer, ok := w.asks(chatMsg("message", w.room, msg{"message": name, "clientId": name}))
	if ok {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.messages[name] = answer["message"].(map[string]any)["id"].(string)
	}
	return ok
}

func (w *worker) push() bool {
	name := fmt.Sprint(w.name, " ", w.n)
	return w.insists("push", func() error {
		a, err := w.c.nodes[w.at].tryCall(request{
			method: http.MethodPost, path: inboxPath(w.inbox), credential: apiKey, body: notification(name),
			header: http.Header{"Idempotency-Key": {w.inbox + name}},
		})
		w.at = (w.at + 1) % len(w.c.nodes)
		if err == nil && a.status != http.StatusCreated {
			err = fmt.Errorf("got %d %s", a.status, a.raw)
		}
		if err == nil {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.pushes[name] = a.msg["id"].(string)
		}
		return err
	})
}
