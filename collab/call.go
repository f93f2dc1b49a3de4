package collab

import (
	"context"
	"slices"
	"time"

	"atrium/collab/change"
	"atrium/collab/docsync"
	"atrium/internal/mux"
)

// What HTTP calls do with a document goes through its room, like everything.

// view is a document as it was when it was looked at.
type view struct {
	heads  []change.Hash
	chunks [][]byte // as a log that can be loaded; a document chunk may come first
}

var (
	errGone    = mux.NewError(mux.NotFound, "the document has been deleted")
	errNoHeads = mux.NewError(mux.NotFound, "the document has no such heads")
)

// answerOf is what a room answers.
type answerOf[T any] struct {
	value T
	err   error
}

// callPatience is how long a call waits for its document's room.
const callPatience = 20 * time.Second

// askFor has something looked up in a document's room.
func askFor[T any](ctx context.Context, m *Module, documentID string, do func(*room) (T, error)) (value T, err error) {
	ctx, cancel := context.WithTimeout(ctx, callPatience)
	defer cancel()
	answers := make(chan answerOf[T], 1)
	if err := m.ask(ctx, documentID, func(r *room) {
		v, err := do(r)
		answers <- answerOf[T]{v, err}
	}); err != nil {
		return value, err
	}
	select {
	case a := <-answers:
		return a.value, a.err
	case <-ctx.Done():
		return value, mux.NewError(mux.Unavailable, "the document is not available at the moment")
	}
}

// look returns a document as it is, or, with heads, as it was then.
func (m *Module) look(ctx context.Context, documentID string, heads []change.Hash) (view, error) {
	return askFor(ctx, m, documentID, func(r *room) (view, error) {
		r.look() // who has just written on another node expects to read it
		if err := r.exists(); err != nil {
			return view{}, err
		}
		if heads == nil {
			return view{r.doc.Heads(), r.doc.Whole()}, nil
		}
		chunks, ok := r.doc.Past(heads)
		if !ok {
			return view{}, errNoHeads
		}
		return view{heads, chunks}, nil
	})
}

func (r *room) exists() error {
	switch {
	case r.gone:
		return errGone
	case r.doc.Len() == 0:
		return errNotFound
	}
	return nil
}

// call is an HTTP call that changes a document. It is a writer.
type call struct {
	user    string
	to      addTo
	at      []change.Hash // the heads that it wants the document to have; nil: any
	peer    *docsync.Peer // nil: it adds nothing
	answers chan answerOf[[]change.Hash]
}

func (c *call) userID() string { return c.user }

func (c *call) refuse(_ *docsync.Peer, _ *mux.Reply, e *mux.Error) { c.answer(nil, e) }

func (c *call) sendAway(e *mux.Error) { c.answer(nil, e) }

// answer answers; only the first one counts.
func (c *call) answer(heads []change.Hash, err error) {
	select {
	case c.answers <- answerOf[[]change.Hash]{heads, err}:
	default:
	}
}

// addTo says which documents a call adds its changes to.
type addTo int

const (
	existing addTo = iota // others are not found
	absent                // others stay as they are
	either                // one that is absent is made
)

// change adds changes to a document, in a user's name, and returns its heads
// once they are committed.
func (m *Module) change(ctx context.Context, documentID, user string, to addTo, chunks [][]byte) (heads []change.Hash, err error) {
	return m.changeAt(ctx, documentID, user, to, nil, chunks)
}

// errMoved says that a document has other heads than a call wants.
var errMoved = mux.NewError(mux.Conflict, "the document has changed")

// changeAt is change for a document with these heads alone; nil stands for any.
func (m *Module) changeAt(ctx context.Context, documentID, user string, to addTo, at []change.Hash, chunks [][]byte) (heads []change.Hash, err error) {
	ctx, cancel := context.WithTimeout(ctx, callPatience)
	defer cancel()
	c := &call{user: user, to: to, at: at, answers: make(chan answerOf[[]change.Hash], 1)}
	if err := m.ask(ctx, documentID, func(r *room) { r.takeCall(c, chunks) }); err != nil {
		return nil, err
	}
	select {
	case a := <-c.answers:
		return a.value, a.err
	case <-ctx.Done():
		return nil, mux.NewError(mux.Unavailable, "the document cannot take changes at the moment")
	}
}

// takeCall takes in what a call adds.
func (r *room) takeCall(c *call, chunks [][]byte) {
	if r.doc.Len() == 0 {
		r.look() // another node may have made it
	}
	isThere := r.doc.Len()+len(r.doc.Staged()) > 0
	switch {
	case r.gone:
		c.answer(nil, errGone)
		return
	case c.to == existing && !isThere:
		c.answer(nil, errNotFound)
		return
	case c.at != nil && (len(r.doc.Staged()) > 0 || !slices.Equal(c.at, r.doc.Heads())):
		c.answer(nil, errMoved)
		return
	case c.to != absent || !isThere:
		c.peer = docsync.NewAuthor(c)
		refused, err := r.submit(c.peer, chunks)
		if err != nil || r.doc.StagedBytes() > maxStagedBytes {
			c.answer(nil, mux.NewError(mux.Unavailable, "the document cannot take more changes at the moment"))
		}
		r.refuse(refused, nil)
	}
	r.calls = append(r.calls, c)
}

// withdrawCalls gives up what calls have added to a document that is not, after
// all, as they want it: another node was faster.
func (r *room) withdrawCalls() {
	for _, c := range r.calls {
		if c.peer == nil || !c.peer.Waiting() || c.at == nil && c.to != absent {
			continue
		}
		r.doc.Withdraw(c.peer)
		c.peer = nil
		if c.at != nil {
			c.answer(nil, errMoved)
		}
	}
}

// answerCalls answers those whose changes are committed.
func (r *room) answerCalls() {
	waiting := r.calls[:0]
	for _, c := range r.calls {
		if c.peer != nil && c.peer.Waiting() || r.doc.Len() == 0 && len(r.doc.Staged()) > 0 {
			waiting = append(waiting, c)
			continue
		}
		if r.doc.Len() == 0 { // what it waited for has been given up
			c.answer(nil, mux.NewError(mux.Unavailable, "changes could not be stored"))
		}
		c.answer(r.doc.Heads(), nil)
	}
	clear(r.calls[len(waiting):])
	r.calls = waiting
}

// erase deletes a document, in a user's name and for good.
func (m *Module) erase(ctx context.Context, documentID, user string) error {
	_, err := askFor(ctx, m, documentID, func(r *room) (struct{}, error) {
		r.commit() // or what is staged would be committed to nothing
		if err := r.exists(); err != nil {
			return struct{}{}, err
		}
		if err := m.store.erase(context.Background(), r.documentID, user, time.Now()); err != nil {
			r.log.Error("document cannot be deleted", "error", err)
			return struct{}{}, mux.NewError(mux.Unavailable, "the document cannot be deleted at the moment")
		}
		r.vanish()
		r.tellNodes(&note{Erased: true})
		return struct{}{}, nil
	})
	return err
}

// vanish ends all that goes on in a document that has been deleted.
func (r *room) vanish() {
	r.gone = true
	for _, p := range r.doc.Abandon() {
		p.Tag.(writer).refuse(p, nil, errGone)
	}
	r.reset()
	r.hasGrown()
	for _, c := range r.calls {
		c.answer(nil, errGone)
	}
	r.calls = nil
	for s, m := range r.members {
		m.unanswered(errGone)
		s.Send(mux.NewFrame(r.module.unavailable(r.documentID)))
		r.leave(s)
		r.module.vacate(s, m.seat)
	}
	r.asking, r.dirty = nil, nil
}

// turnAway answers what a session wants of a document that has been deleted.
func (r *room) turnAway(e event) {
	switch e := e.(type) {
	case received:
		if !e.reply.ID.IsZero() {
			e.reply.Fail(errGone)
		}
		e.reply.Session.Send(mux.NewFrame(r.module.unavailable(r.documentID)))
	case shouted:
		e.reply.Fail(errGone)
	case opened:
		e.reply.Fail(errGone)
	case edited:
		e.reply.Fail(errGone)
	}
}
