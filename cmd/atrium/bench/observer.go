package bench

import (
	"context"
	"fmt"
	"slices"
	"time"

	"atrium/internal/auth"
)

// observer is one client that only reads.
type observer struct {
	*session
	run    *docsRun
	prefix []byte // of its sync messages
	frame  []byte // to be sent, kept for the next

	has      []uint64 // changes that it has, by number, a bit each
	missing  int      // of the preload
	opened   time.Duration
	answered *heard // the last message it has answered
	latency  histogram
	received int // edits
}

func (r *docsRun) newObserver(ctx context.Context, i int) (*observer, error) {
	url := r.target.url(i)
	if r.target.relay {
		url += "/observer"
	}
	s, err := dial(ctx, url, nil)
	if err != nil {
		return nil, fmt.Errorf("observer %d: %w", i, err)
	}
	s.id = fmt.Sprintf("observer-%06d", i)
	if !r.target.relay {
		if err := r.join(s, r.load.observerLevel()); err != nil {
			s.Close()
			return nil, err
		}
	}
	return &observer{
		session: s, run: r, prefix: r.prefix("sync", s), missing: len(r.script.preload),
		has: make([]uint64, (len(r.script.preload)+len(r.script.edits)+63)/64),
	}, nil
}

func (l *Load) observerLevel() auth.Level {
	if l.ReadOnly {
		return auth.Read
	}
	return auth.Write
}

// open asks for the document, and follows it until the connection ends.
func (o *observer) open() error {
	if _, err := o.conn.Write(appendSync(nil, o.run.prefix("request", o.session), firstRequest(o.run.load.V2))); err != nil {
		return err
	}
	return o.follow()
}

// follow takes all messages in and answers them as a stock client does.
func (o *observer) follow() error {
	for {
		msg, err := o.next()
		if err != nil {
			return err
		}
		now := o.run.now()
		f, err := scan(msg)
		if err != nil {
			return err
		}
		if string(f.typ) != "sync" {
			if err := refusal(f, msg); err != nil {
				return err
			}
			continue
		}
		m, err := o.run.hear(f.data)
		if err != nil {
			return err
		}
		wasOpen := o.missing == 0
		o.take(m, now)
		// A stock client is silent to heads that it has told already.
		if len(m.numbers) > 0 || o.answered == nil || !slices.Equal(m.heads, o.answered.heads) {
			o.answered = m
			o.frame = appendSync(o.frame[:0], o.prefix, m.answer)
			if _, err := o.conn.Write(o.frame); err != nil {
				return err
			}
		}
		if !wasOpen && o.missing == 0 {
			o.opened = now
			o.in.shrink(readBuffer)
			o.run.opening.done()
		}
	}
}

// take counts what is new to the observer. now is run time.
func (o *observer) take(m *heard, now time.Duration) {
	edits := 0
	for _, n := range m.numbers {
		word, bit := n/64, uint64(1)<<(n%64)
		if o.has[word]&bit != 0 {
			continue
		}
		o.has[word] |= bit
		if n < len(o.run.script.preload) {
			o.missing--
			continue
		}
		o.latency.add(now - o.run.due(n-len(o.run.script.preload)))
		edits++
	}
	if edits > 0 {
		o.received += edits
		o.run.deliveries.add(edits)
	}
}
