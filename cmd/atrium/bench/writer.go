package bench

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"atrium/collab/change"
	"atrium/collab/docsync"
	"atrium/internal/auth"
)

// writer is one client that types.
type writer struct {
	*session
	run    *docsRun
	prefix []byte

	mu  sync.Mutex
	has *frontier // guarded by mu
}

func (r *docsRun) newWriter(ctx context.Context, i int) (*writer, error) {
	url := r.target.url(i)
	if r.target.relay {
		url += "/writer"
	}
	s, err := dial(ctx, url, nil)
	if err != nil {
		return nil, fmt.Errorf("writer %d: %w", i, err)
	}
	s.id = fmt.Sprintf("writer-%06d", i)
	if !r.target.relay {
		if err := r.join(s, auth.Write); err != nil {
			s.Close()
			return nil, err
		}
	}
	return &writer{session: s, run: r, prefix: r.prefix("sync", s), has: newFrontier(r.script.preloadHeads()...)}, nil
}

const uploadAtOnce = 1000 // changes in one message

// upload brings the preload into the document, and returns when the server says
// that it has it.
func (w *writer) upload() error {
	var before []change.Hash
	for batch := range slices.Chunk(w.run.script.preload, uploadAtOnce) {
		heads := []change.Hash{batch[len(batch)-1].hash}
		m := docsync.Message{Heads: heads, Have: []docsync.Have{{LastSync: before}}}
		for _, c := range batch {
			m.Changes = append(m.Changes, c.chunk)
		}
		if err := w.sync(m); err != nil {
			return err
		}
		if err := w.acknowledged(heads[0]); err != nil {
			return fmt.Errorf("upload the preload: %w", err)
		}
		before = heads
	}
	return nil
}

// introduce says that the writer has the preload, and returns when the server
// has understood it.
func (w *writer) introduce() error {
	heads := w.run.script.preloadHeads()
	if err := w.sync(docsync.Message{Heads: heads, Have: []docsync.Have{{LastSync: heads}}}); err != nil {
		return err
	}
	return w.acknowledged(heads[0])
}

// acknowledged waits for a sync message with a hash among its heads.
func (w *writer) acknowledged(hash change.Hash) error {
	w.conn.SetReadDeadline(time.Now().Add(openTimeout))
	defer w.conn.SetReadDeadline(time.Time{})
	for {
		msg, err := w.nextOf("sync")
		if err != nil {
			return err
		}
		f, err := scan(msg)
		if err != nil {
			return err
		}
		m, err := docsync.ParseMessage(f.data)
		if err != nil {
			return err
		}
		if slices.Contains(m.Heads, hash) {
			return nil
		}
	}
}

func (w *writer) sync(m docsync.Message) error {
	_, err := w.conn.Write(appendSync(nil, w.prefix, docsync.AppendMessage(nil, m)))
	return err
}

// edit sends one change of the writer's own.
func (w *writer) edit(c *typed) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	before := w.has.heads
	w.has.add(c)
	return w.sync(docsync.Message{Heads: w.has.heads, Have: []docsync.Have{{LastSync: before}}, Changes: [][]byte{c.chunk}})
}

// follow takes the others' changes in, and says so, until the connection ends.
func (w *writer) follow() error {
	for {
		msg, err := w.nextOf("sync")
		if err != nil {
			return err
		}
		f, err := scan(msg)
		if err != nil {
			return err
		}
		m, err := w.run.hear(f.data)
		if err != nil {
			return err
		}
		if err := w.take(m); err != nil {
			return err
		}
	}
}

func (w *writer) take(m *heard) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	added := false
	for _, n := range m.numbers {
		if k := n - len(w.run.script.preload); k >= 0 {
			added = w.has.add(&w.run.script.edits[k]) || added
		}
	}
	if !added {
		return nil
	}
	_, err := w.conn.Write(appendSync(nil, w.prefix, answerTo(w.has.heads)))
	return err
}

// relayed returns the frames that the floor's writers send: what Atrium sends
// its observers for every edit, so that as many bytes go as far.
func (r *docsRun) relayed() [][]byte {
	prefix := appendFields(nil, "type", "sync", "senderId", "atrium-00000000-0000-0000-0000-000000000000", "documentId", r.documentID)
	has := newFrontier(r.script.preloadHeads()...)
	frames := make([][]byte, len(r.script.edits))
	for k := range r.script.edits {
		c := &r.script.edits[k]
		has.add(c)
		frames[k] = appendSync(nil, prefix, docsync.AppendMessage(nil, docsync.Message{
			Heads: has.heads, Have: []docsync.Have{{LastSync: has.heads}}, Changes: [][]byte{c.chunk},
		}))
	}
	return frames
}
