package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"atrium/internal/auth"
)

// EditsLoad is what is done to many documents.
type EditsLoad struct {
	Documents int           `json:"documents"` // each with one session that types, of a user of its own
	Window    int           `json:"window"`    // edits of each session that are on their way at once
	Duration  time.Duration `json:"duration"`  // of each phase, in nanoseconds
	Grace     time.Duration `json:"grace"`     // for the last acknowledgements, in nanoseconds
}

func (l *EditsLoad) check() error {
	if l.Documents < 1 || l.Window < 1 || l.Duration <= 0 {
		return errors.New("at least one document, one edit at once and some time are needed")
	}
	return nil
}

// allowed is how many edits the server takes from a session in the time of a
// phase before it reads more slowly: 4,000 at once, and 1,000 a second. With as
// many sessions as documents that is far away.
func (l *EditsLoad) allowed() float64 { return 4000 + 1000*l.Duration.Seconds() }

// EditsOptions say what Edits measures.
type EditsOptions struct {
	EditsLoad
	Runs   int
	Server Server
	Self   Self
	Log    io.Writer
}

// Edits measures how many edits a second are on disk and acknowledged, when the
// writers wait for nothing but that; and how long it takes at half that rate.
func Edits(ctx context.Context, o EditsOptions) (_ *EditsReport, err error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	if err := enoughFiles(o.Documents); err != nil {
		return nil, err
	}
	t, err := atriumTarget(ctx, o.Self, o.Server)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, t.Close()) }()
	report := &EditsReport{Nodes: nodesOf(t), Load: o.EditsLoad}
	for i := range o.Runs {
		var run EditsRun
		for _, phase := range []*EditsPhase{&run.Full, &run.Half} {
			rate := run.Full.Rate / 2 // 0: as fast as it goes
			progress(o.Log, "run %d of %d: %s", i+1, o.Runs, phaseName(rate))
			r := &editsRun{load: &o.EditsLoad, target: t, rate: rate, failed: newFailures()}
			if *phase, err = r.measure(ctx); err != nil {
				return nil, err
			}
			if err := pause(ctx, time.Second); err != nil {
				return nil, err
			}
		}
		report.Runs = append(report.Runs, run)
	}
	report.sum()
	return report, nil
}

// editsRun is one phase of a run. It has documents and sessions of its own, so
// that both begin alike, the sessions' limits too.
type editsRun struct {
	load   *EditsLoad
	target *target
	rate   float64     // edits per second, of all authors together; 0: as many as are acknowledged
	clock  schedule    // set before the authors begin
	over   atomic.Bool // nobody sends any more
	acks   atomic.Int64
	left   *countdown // edits that are not acknowledged; with rate 0, authors that have such
	failed *failures  // sessions that ended before time
}

func (r *editsRun) measure(ctx context.Context) (result EditsPhase, err error) {
	var crew crew
	defer crew.dismiss()
	authors := make([]*author, r.load.Documents)
	err = each(len(authors), func(i int) (err error) {
		if authors[i], err = r.newAuthor(ctx, i); err == nil {
			crew.add(authors[i])
		}
		return err
	})
	if err != nil {
		return result, err
	}
	if err := pause(ctx, quiet); err != nil {
		return result, err
	}
	before, err := r.target.spent(ctx)
	if err != nil {
		return result, err
	}
	r.clock = schedule{start: time.Now(), rate: r.rate}
	if r.rate == 0 {
		result.Rate, err = r.rush(ctx, &crew, authors)
	} else {
		result.Rate, err = r.keepRate(ctx, &crew, authors)
	}
	if err != nil {
		return result, err
	}
	after, err := r.target.spent(ctx)
	if err != nil {
		return result, err
	}
	crew.dismiss()
	var late histogram
	for _, a := range authors {
		if r.rate == 0 && float64(a.late.n) > 0.95*r.load.allowed() {
			return result, fmt.Errorf("%d edits of one session: its limit is what was measured, more documents are needed", a.late.n)
		}
		late.merge(&a.late)
		result.Unacknowledged += len(a.waiting)
	}
	result.Acknowledged = int(late.n)
	result.latencies(&late)
	result.costs(before, after)
	result.Failed, result.Failure = r.failed.told()
	return result, nil
}

// rush lets every author have edits on their way all the time, and returns how
// many were acknowledged in a second.
func (r *editsRun) rush(ctx context.Context, crew *crew, authors []*author) (rate float64, err error) {
	r.left = newCountdown(len(authors))
	for _, a := range authors {
		crew.start(a.rush, r.failed)
	}
	if err := pause(ctx, r.load.Duration); err != nil {
		return 0, err
	}
	rate = float64(r.acks.Load()) / r.clock.now().Seconds()
	r.over.Store(true)
	if rate == 0 {
		_, why := r.failed.get()
		return 0, errors.Join(errors.New("no edit was acknowledged"), why)
	}
	return rate, r.left.wait(ctx, r.load.Grace)
}

// keepRate sends edits when they are due, and returns how many were acknowledged
// in a second.
func (r *editsRun) keepRate(ctx context.Context, crew *crew, authors []*author) (rate float64, err error) {
	n := max(int(r.rate*r.load.Duration.Seconds()+0.5), 1)
	r.left = newCountdown(n)
	for _, a := range authors {
		crew.start(a.follow, r.failed)
	}
	err = r.clock.run(ctx, n, func(k int) error { return authors[k%len(authors)].edit(r.clock.due(k)) })
	if err != nil {
		_, why := r.failed.get()
		return 0, fmt.Errorf("send an edit: %w", errors.Join(err, why))
	}
	if err := r.left.wait(ctx, r.load.Grace); err != nil {
		return 0, err
	}
	return float64(r.acks.Load()) / r.clock.now().Seconds(), nil
}

// author is one session that types a document of its own.
type author struct {
	*session
	run        *editsRun
	documentID string
	typist     *typist // owned by who sends: rush, or else the run
	late       histogram

	mu      sync.Mutex
	waiting map[string]time.Duration // when edits were due, by id; guarded by mu
}

func (r *editsRun) newAuthor(ctx context.Context, i int) (*author, error) {
	s, err := dial(ctx, r.target.url(i), nil)
	if err != nil {
		return nil, fmt.Errorf("author %d: %w", i, err)
	}
	a := &author{session: s, run: r, documentID: newDocumentID(), typist: newTypist(), waiting: make(map[string]time.Duration)}
	if err := a.begin(fmt.Sprintf("author-%06d", i)); err != nil {
		s.Close()
		return nil, fmt.Errorf("author %d: %w", i, err)
	}
	return a, nil
}

// begin joins, and makes the document by its first edit.
func (a *author) begin(id string) error {
	token, err := a.run.target.tokenFor(id, auth.Write)
	if err != nil {
		return err
	}
	if _, err := a.join(id, token); err != nil {
		return err
	}
	a.conn.SetReadDeadline(time.Now().Add(joinTimeout))
	defer a.conn.SetReadDeadline(time.Time{})
	if err := a.edit(0); err != nil {
		return err
	}
	msg, err := a.nextOf("ack")
	if err != nil {
		return err
	}
	_, _, err = a.acknowledged(msg)
	return err
}

// edit sends one change, which builds on the one before whether that is
// acknowledged or not.
func (a *author) edit(due time.Duration) error {
	c := a.typist.key()
	id := strconv.FormatUint(a.typist.seq, 10)
	a.mu.Lock()
	a.waiting[id] = due
	a.mu.Unlock()
	return a.send(appendEdit(nil, a.documentID, id, c.chunk))
}

// acknowledged takes the acknowledgement of an edit, and returns when that was due
// and how many others there are to come.
func (a *author) acknowledged(msg []byte) (due time.Duration, left int, err error) {
	id, err := readID(msg)
	if err != nil {
		return 0, 0, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	due, ok := a.waiting[string(id)]
	if !ok {
		return 0, 0, fmt.Errorf("an acknowledgement of edit %s, which does not wait for one", id)
	}
	delete(a.waiting, string(id))
	return due, len(a.waiting), nil
}

// rush sends an edit for each that is acknowledged, until the time is over.
func (a *author) rush() error {
	for range a.run.load.Window {
		if err := a.edit(a.run.clock.now()); err != nil {
			return err
		}
	}
	return a.take(func(left int) error {
		switch {
		case !a.run.over.Load():
			return a.edit(a.run.clock.now())
		case left == 0:
			a.run.left.done()
		}
		return nil
	})
}

// follow takes acknowledgements.
func (a *author) follow() error {
	return a.take(func(int) error {
		a.run.left.done()
		return nil
	})
}

// take takes acknowledgements until the connection ends, and calls then after
// each with how many are to come.
func (a *author) take(then func(left int) error) error {
	for {
		msg, err := a.nextOf("ack")
		if err != nil {
			return err
		}
		now := a.run.clock.now()
		due, left, err := a.acknowledged(msg)
		if err != nil {
			return err
		}
		a.late.add(now - due)
		a.run.acks.Add(1)
		if err := then(left); err != nil {
			return err
		}
	}
}

// appendEdit appends a collab:edit of one change.
func appendEdit(dst []byte, documentID, id string, chunk []byte) []byte {
	dst = appendCBORHead(dst, cborMap, 4)
	for _, s := range []string{"type", "collab:edit", "documentId", documentID, "id", id, "changes"} {
		dst = append(appendCBORHead(dst, cborText, len(s)), s...)
	}
	dst = appendCBORHead(dst, cborArray, 1)
	return append(appendCBORHead(dst, cborBytes, len(chunk)), chunk...)
}

// readID returns the id in an answer, which is a text. It aliases the message.
func readID(msg []byte) (id []byte, err error) {
	s := scanner{src: msg}
	major, n := s.head()
	if major != cborMap {
		return nil, errMessage
	}
	for ; n > 0 && s.ok(); n-- {
		if string(s.text()) == "id" {
			id = s.text()
		} else {
			s.skip(0)
		}
	}
	if !s.ok() {
		return nil, errMessage
	}
	return id, nil
}
