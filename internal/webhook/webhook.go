// Package webhook tells one receiver, by HTTP, of what happens to documents: once
// a document has been made, some time after it has been changed, and once it has
// been deleted. It keeps what it has to tell in the transaction that it is to
// tell of, so that nothing gets lost; and it tells again what may not have
// arrived, so that the receiver may hear it twice, under one id.
//
// It knows documents by their ids alone, and it never makes anybody wait for the
// receiver.
package webhook

import (
	"context"
	"log/slog"
	"math"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"atrium/internal/db"
)

// Options of New.
type Options struct {
	DB     *db.DB // required
	URL    string // required: http or https
	Secret []byte // required: the key of the signatures

	Quiet     time.Duration // without a change, before a document is told to have changed; default: 2 s
	AtMost    time.Duration // between a change and its being told, though others follow; default: 10 s
	Timeout   time.Duration // for an answer; default: 10 s
	GiveUp    time.Duration // after which nothing is tried again; default: a day
	FirstWait time.Duration // before the first new attempt; default: 1 s

	Logger *slog.Logger // default: slog.Default()
}

// Module is safe for concurrent use.
type Module struct {
	opts   Options
	log    *slog.Logger
	client *http.Client
	stats  Stats

	ctx     context.Context // of all that is sent
	cancel  context.CancelFunc
	stop    chan struct{} // closed by Close
	running sync.WaitGroup
	wake    chan struct{} // holds a token when run is to look again
	failing atomic.Bool   // the receiver

	mu      sync.Mutex
	lookAt  time.Time       // when run looks again, unless it is woken; guarded by mu
	sending map[string]bool // documents that are being told of; guarded by mu
}

// Stats counts what has become of events.
type Stats struct {
	Delivered atomic.Int64
	Retried   atomic.Int64 // attempts that failed and are made again
	GivenUp   atomic.Int64
}

// Kind is what has happened to a document.
type Kind string

// All kinds.
const (
	Created Kind = "document.created"
	Changed Kind = "document.changed"
	Deleted Kind = "document.deleted"
)

// Event is one of one document. A document is created once, first; and deleted
// once, last.
type Event struct {
	Kind       Kind
	DocumentID string
	Heads      []string // in hex
	UserIDs    []string // who did it; without control characters
	At         time.Time
}

const (
	maxAtOnce = 8
	maxUsers  = 20 // in one event

	// lookAnyway is how often run looks at the table though nobody has woken it:
	// after a commit whose outcome was unknown nobody does.
	lookAnyway = 10 * time.Second

	// claimSlack is what a claim lasts longer than an attempt may take: more than
	// what the nodes' clocks differ by.
	claimSlack = 10 * time.Second

	storePause = time.Second // before what failed in the store is tried again

	// farewell is how long Close waits for what is being sent.
	farewell = 2 * time.Second
)

// New returns the module, which begins with what was left when the last one
// ended.
func New(o Options) *Module {
	setDefault(&o.Quiet, 2*time.Second)
	setDefault(&o.AtMost, 10*time.Second)
	setDefault(&o.Timeout, 10*time.Second)
	setDefault(&o.GiveUp, 24*time.Hour)
	setDefault(&o.FirstWait, time.Second)
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = maxAtOnce
	transport.MaxResponseHeaderBytes = maxAnswer
	m := &Module{
		opts: o, log: o.Logger,
		client: &http.Client{
			Transport:     transport,
			Timeout:       o.Timeout,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		stop: make(chan struct{}), wake: make(chan struct{}, 1),
		sending: make(map[string]bool),
	}
	m.ctx, m.cancel = context.WithCancel(context.Background())
	m.running.Go(m.run)
	return m
}

func setDefault(v *time.Duration, def time.Duration) {
	if *v == 0 {
		*v = def
	}
}

// Stats returns the counters.
func (m *Module) Stats() *Stats { return &m.stats }

// Add keeps an event in the caller's transaction. committed is to be called after
// the commit, and not at all without one. Neither waits for anything but the
// database.
func (m *Module) Add(tx *db.Tx, e Event) (committed func(), err error) {
	due := e.At
	if e.Kind == Created {
		err = insertCreated(tx, e)
	} else {
		if e.Kind == Changed {
			due = due.Add(min(m.opts.Quiet, m.opts.AtMost))
		}
		due, err = gather(tx, e, due)
	}
	if err != nil {
		return nil, err
	}
	return func() { m.soon(e.DocumentID, due) }, nil
}

// soon has run look at the table by the time that something may be due. What
// cannot be sent before something else has been waits for the end of that.
func (m *Module) soon(documentID string, due time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if due.Before(m.lookAt) && !m.sending[documentID] && len(m.sending) < maxAtOnce {
		m.lookAt = due
		select {
		case m.wake <- struct{}{}:
		default:
		}
	}
}

// run begins to send what is due, until Close.
func (m *Module) run() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for failing := false; ; {
		m.mu.Lock()
		m.lookAt = time.UnixMicro(math.MaxInt64 / 2) // whatever comes while it looks wakes it
		m.mu.Unlock()
		now := time.Now()
		next := now.Add(lookAnyway)
		switch due, err := m.begin(now); {
		case err != nil:
			if !failing {
				m.log.Error("webhooks cannot be read; trying again", "error", err)
			}
			failing, next = true, now.Add(storePause)
		case due.Before(next):
			failing, next = false, due
		default:
			failing = false
		}
		m.mu.Lock()
		if next.Before(m.lookAt) {
			m.lookAt = next
		}
		next = m.lookAt
		m.mu.Unlock()
		timer.Reset(time.Until(next))
		select {
		case <-m.stop:
			return
		case <-m.wake:
		case <-timer.C:
		}
	}
}

// begin begins to send what is due, as much as may be sent at once. It returns
// when more is.
func (m *Module) begin(now time.Time) (next time.Time, err error) {
	// As many that are being sent already may come first.
	list, err := m.upcoming(2*maxAtOnce + 1)
	if err != nil {
		return time.Time{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, u := range list {
		switch {
		case m.sending[u.documentID]:
		case len(m.sending) == maxAtOnce: // whichever ends first wakes run
			return now.Add(lookAnyway), nil
		case u.due.After(now):
			return u.due, nil
		default:
			m.sending[u.documentID] = true
			m.running.Go(func() {
				m.tell(u.documentID)
				m.mu.Lock()
				delete(m.sending, u.documentID)
				m.mu.Unlock()
				m.soon(u.documentID, time.Time{})
			})
		}
	}
	return now.Add(lookAnyway), nil
}

// Close ends all sending, and waits a moment for what is under way; what is not
// delivered by then stays in the table.
func (m *Module) Close() {
	close(m.stop)
	defer m.cancel()
	timer := time.AfterFunc(farewell, m.cancel)
	defer timer.Stop()
	m.running.Wait()
	m.client.CloseIdleConnections()
}
