package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync/atomic"
	"time"

	"atrium/internal/auth"
)

// Load is what is done to one document.
type Load struct {
	Observers int           `json:"observers"`
	Writers   int           `json:"writers"`
	Rate      float64       `json:"rate"`     // edits per second, of all writers together
	Preload   int           `json:"preload"`  // changes that are there before
	Duration  time.Duration `json:"duration"` // of the typing, in nanoseconds
	Grace     time.Duration `json:"grace"`    // for what has not come by then, in nanoseconds
	ReadOnly  bool          `json:"readOnly"` // observers may only read
	V2        bool          `json:"v2"`       // observers read version 2, and so snapshots; they wait for one
	Trace     string        `json:"trace,omitempty"`
}

// edits returns how many are typed.
func (l *Load) edits() int { return int(l.Rate*l.Duration.Seconds() + 0.5) }

func (l *Load) check() error {
	switch {
	case l.Observers < 1 || l.Writers < 1 || l.Preload < 0:
		return errors.New("at least one observer and one writer are needed")
	case l.edits() < 1:
		return errors.New("with this rate and duration nothing is typed")
	case l.V2 && l.Preload < 10_000:
		return errors.New("for version 2 a longer preload is needed: short documents have no snapshot")
	case l.Trace != "" && l.Writers != 1:
		return errors.New("a trace is typed by one writer")
	}
	return nil
}

func (l *Load) script(t trace) (*script, error) {
	if t != nil {
		return t.script(l.Preload, l.edits())
	}
	return newScript(l.Preload, l.edits(), l.Writers), nil
}

// DocsOptions say what Docs measures.
type DocsOptions struct {
	Load
	Runs   int
	Server Server
	Self   Self
	Beside string // shell command of another server; empty: none
	NoDocs bool   // the floor alone
	Floor  bool   // the floor too
	Log    io.Writer
}

// Docs measures one document with many readers: how long they take to open it,
// and when each gets what the writers type. The targets take turns, run by run.
func Docs(ctx context.Context, o DocsOptions) (_ *DocsReport, err error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	if o.ReadOnly && len(o.Server.URLs) > 0 && o.Server.Secret == "" {
		return nil, errors.New("with a server of yours, it is the token that says whether observers may only read")
	}
	if err := enoughFiles(o.Observers + o.Writers); err != nil {
		return nil, err
	}
	var recorded trace
	if o.Trace != "" {
		if recorded, err = readTrace(o.Trace); err != nil {
			return nil, err
		}
	}
	targets, err := o.start(ctx)
	defer func() { err = errors.Join(err, targets.Close()) }()
	if err != nil {
		return nil, err
	}
	report := newDocsReport(o.Load, targets)
	err = inTurns(ctx, o.Log, o.Runs, targets, func(t *target) (Run, error) {
		s, err := o.script(recorded)
		if err != nil {
			return Run{}, err
		}
		r := &docsRun{
			hearing: hearing{script: s}, load: &o.Load, target: t, documentID: newDocumentID(),
			began: time.Now(), failed: newFailures(),
		}
		return r.measure(ctx)
	}, func(k int, run Run) { report.Targets[k].Runs = append(report.Targets[k].Runs, run) })
	if err != nil {
		return nil, err
	}
	sumTargets(report.Targets)
	return report, nil
}

// start starts what is to be measured. What it returns with an error is to be
// closed too.
func (o *DocsOptions) start(ctx context.Context) (all targets, err error) {
	add := func(t *target, failed error) {
		if err = failed; err == nil {
			all = append(all, t)
		}
	}
	if !o.NoDocs {
		add(atriumTarget(ctx, o.Self, o.Server))
	}
	if o.Floor && err == nil {
		add(relayTarget(o.Self))
	}
	if o.Beside != "" && err == nil {
		add(rivalTarget(ctx, o.Self, o.Beside))
	}
	return all, err
}

// docsRun is one run on one target.
type docsRun struct {
	hearing
	load       *Load
	target     *target
	documentID string
	began      time.Time
	schedule   atomic.Pointer[schedule] // set before edits are sent

	opening    *countdown // observers that do not have the preload yet
	deliveries *countdown // edits that observers have not got yet
	failed     *failures  // sessions that ended before time
}

// now returns run time.
func (r *docsRun) now() time.Duration { return time.Since(r.began) }

// due returns the run time at which an edit is due.
func (r *docsRun) due(k int) time.Duration {
	s := r.schedule.Load()
	return s.start.Sub(r.began) + s.due(k)
}

func (r *docsRun) join(s *session, level auth.Level) error {
	token, err := r.target.tokenFor(s.id, level)
	if err != nil {
		return err
	}
	_, err = s.join(s.id, token)
	return err
}

// prefix is what stands before the data of a session's messages.
func (r *docsRun) prefix(typ string, s *session) []byte {
	return appendFields(nil, "type", typ, "senderId", s.id, "targetId", s.server, "documentId", r.documentID)
}

// quiet is how long nothing happens between the opening and the first edit.
const quiet = 500 * time.Millisecond

func (r *docsRun) measure(ctx context.Context) (result Run, err error) {
	var crew crew
	defer crew.dismiss()
	writers, err := r.writers(ctx, &crew)
	if err != nil {
		return result, err
	}
	if r.load.V2 && r.target.apiKey != "" {
		if err := r.awaitSnapshot(ctx); err != nil {
			return result, err
		}
	}
	connecting := time.Now()
	observers := make([]*observer, r.load.Observers)
	err = each(len(observers), func(i int) (err error) {
		if observers[i], err = r.newObserver(ctx, i); err == nil {
			crew.add(observers[i])
		}
		return err
	})
	if err != nil {
		return result, err
	}
	result.ConnectMS = ms(time.Since(connecting))

	r.opening = newCountdown(len(observers))
	r.deliveries = newCountdown(len(observers) * len(r.script.edits))
	if err := r.open(ctx, &crew, observers, &result); err != nil {
		return result, err
	}
	if err := r.typing(ctx, writers, &result); err != nil {
		return result, err
	}
	rss, err := r.target.meters.rss()
	if err != nil {
		return result, err
	}
	result.RSSMB = float64(rss) / 1e6
	crew.dismiss()

	var latency histogram
	for _, o := range observers {
		latency.merge(&o.latency)
		result.Delivered += o.received
	}
	result.Expected = len(observers) * len(r.script.edits)
	result.latencies(&latency)
	result.Failed, result.Failure = r.failed.told()
	return result, nil
}

// writers connects those who type; the first of them brings the preload.
func (r *docsRun) writers(ctx context.Context, crew *crew) ([]*writer, error) {
	writers := make([]*writer, r.script.writers)
	for i := range writers {
		w, err := r.newWriter(ctx, i)
		if err != nil {
			return nil, err
		}
		crew.add(w)
		writers[i] = w
		switch {
		case r.target.relay:
		case i == 0:
			err = w.upload()
		default:
			err = w.introduce()
		}
		if err != nil {
			return nil, err
		}
		crew.start(w.follow, r.failed)
	}
	return writers, nil
}

// open lets all observers ask for the document at once, and waits until each has it.
func (r *docsRun) open(ctx context.Context, crew *crew, observers []*observer, result *Run) error {
	asked := make(chan struct{})
	for _, o := range observers {
		work := o.open
		if r.target.relay {
			work = o.follow
			o.take(&heard{numbers: r.script.appendPast(nil, r.script.preloadHeads())}, 0)
		}
		crew.start(func() error { <-asked; return work() }, r.failed)
	}
	if r.target.relay {
		close(asked)
		return pause(ctx, quiet)
	}
	from := r.now()
	close(asked)
	timeout := time.NewTimer(openTimeout)
	defer timeout.Stop()
	select {
	case <-r.opening.zero:
	case <-r.failed.any:
		_, err := r.failed.get()
		return fmt.Errorf("open the document: %w", err)
	case <-timeout.C:
		return fmt.Errorf("%d of %d observers have not got the document within %s", r.opening.left.Load(), len(observers), openTimeout)
	case <-ctx.Done():
		return ctx.Err()
	}
	times := make([]time.Duration, len(observers))
	for i, o := range observers {
		times[i] = o.opened - from
	}
	slices.Sort(times)
	result.OpenP50MS, result.OpenMaxMS = ms(times[len(times)/2]), ms(times[len(times)-1])
	return nil
}

// typing sends the edits when they are due, and waits until they have come.
func (r *docsRun) typing(ctx context.Context, writers []*writer, result *Run) error {
	send := func(k int) error { return writers[k%len(writers)].edit(&r.script.edits[k]) }
	if r.target.relay {
		frames := r.relayed()
		send = func(k int) error {
			_, err := writers[k%len(writers)].conn.Write(frames[k])
			return err
		}
	}
	clock := &schedule{start: time.Now().Add(quiet), rate: r.load.Rate}
	r.schedule.Store(clock)
	if err := pause(ctx, quiet-10*time.Millisecond); err != nil {
		return err
	}
	before, err := r.target.meters.cpu()
	if err != nil {
		return err
	}
	if err := clock.run(ctx, len(r.script.edits), send); err != nil {
		_, why := r.failed.get()
		return fmt.Errorf("send an edit: %w", errors.Join(err, why))
	}
	took := clock.now() + time.Duration(float64(time.Second)/r.load.Rate)
	result.Rate = float64(len(r.script.edits)) / took.Seconds()

	if err := r.deliveries.wait(ctx, r.load.Grace); err != nil {
		return err
	}
	// What the last delivery makes the server do belongs to it.
	if err := pause(ctx, 100*time.Millisecond); err != nil {
		return err
	}
	after, err := r.target.meters.cpu()
	result.CPUSeconds = (after - before).Seconds()
	return err
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
