package collab

import (
	"context"
	"errors"
	"time"

	"atrium/collab/change"
	"atrium/collab/docsync"
)

// load reads the log. It does not give up while anybody waits: until it
// succeeds the document is neither there nor empty. It reports false when the
// room has ended instead.
func (r *room) load() bool {
	for attempt := 0; ; attempt++ {
		err := r.extend()
		if err == nil {
			return true
		}
		if attempt&(attempt-1) == 0 { // more and more seldom
			r.log.Error("document cannot be loaded; trying again", "error", err, "attempt", attempt+1)
		}
		r.reset()
		r.timer.Reset(backoff(attempt))
		<-r.timer.C
		r.mail.forgetLeft()
		if r.module.isClosing() || r.module.remove(r) {
			return false
		}
	}
}

func backoff(attempt int) time.Duration {
	return min(2*time.Second, 50*time.Millisecond<<min(attempt, 6))
}

// extend adds what the log has past r.version.
func (r *room) extend() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	t, err := r.module.store.load(ctx, r.documentID, r.version)
	if errors.Is(err, errDeleted) {
		r.vanish()
		return nil
	}
	if err != nil {
		return err
	}
	return r.add(t)
}

func (r *room) add(t tail) error {
	counted := r.doc.Len()
	count := func() {
		for _, chunk := range r.doc.Chunks(counted, r.doc.Len()) {
			r.bytes += len(chunk)
		}
		counted = r.doc.Len()
	}
	take := func(run []byte) error {
		refused, err := r.doc.Extend(run)
		r.refuse(refused, nil)
		return err
	}
	for _, p := range t.packs {
		run, err := unpack(&r.doc, p)
		if err == nil {
			err = take(run)
		}
		if err != nil {
			return err
		}
		count()
		r.keeping.sealed(p)
		r.keeping.bytes = r.bytes
	}
	for _, run := range t.runs {
		if err := take(run); err != nil {
			return err
		}
	}
	count()
	if !t.empty() {
		r.hasGrown()
	}
	r.setVersion(t.version)
	if t.snapshotted <= r.doc.Len() && change.CheckDocument(t.snapshot) == nil {
		r.takeSnapshot(t.snapshot, t.snapshotted)
	}
	return nil
}

// reset forgets the log.
func (r *room) reset() {
	r.doc, r.bytes, r.keeping = docsync.Document{}, 0, keeping{}
	r.version = 0
	r.known.Store(-1)
}

func (r *room) setVersion(version int64) {
	r.version = version
	r.known.Store(version)
}

func (r *room) hasGrown() {
	r.grown = true
	r.frames.clear()
	r.runs = r.runs[:0]
	r.recent.add(r.doc.Heads(), r.doc.Len())
}
