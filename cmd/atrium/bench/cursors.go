package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"atrium/internal/auth"
)

// CursorsOptions say what Cursors measures.
type CursorsOptions struct {
	Clients  int
	Rate     float64 // moves per second of each
	Duration time.Duration
	Grace    time.Duration // for the last positions
	Runs     int
	Server   Server
	Self     Self
	Log      io.Writer
}

func (o *CursorsOptions) moves() int { return int(o.Rate*o.Duration.Seconds() + 0.5) }

// Cursors measures one document in which everybody moves a cursor and sees all
// the others'.
func Cursors(ctx context.Context, o CursorsOptions) (_ *CursorsReport, err error) {
	if o.Clients < 2 || o.moves() < 1 {
		return nil, errors.New("at least two clients and one move of each are needed")
	}
	if err := enoughFiles(o.Clients); err != nil {
		return nil, err
	}
	t, err := atriumTarget(ctx, o.Self, o.Server)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, t.Close()) }()
	report := &CursorsReport{Nodes: nodesOf(t), Clients: o.Clients, Rate: o.Rate, Duration: o.Duration}
	err = inTurns(ctx, o.Log, o.Runs, targets{t}, func(t *target) (CursorsRun, error) {
		r := &cursorsRun{
			watching: watching{moves: o.moves(), began: time.Now(), clients: make(map[string]int)},
			opts:     &o, target: t, documentID: newDocumentID(), failed: newFailures(),
		}
		return r.measure(ctx)
	}, func(_ int, run CursorsRun) { report.Runs = append(report.Runs, run) })
	if err != nil {
		return nil, err
	}
	report.sum()
	return report, nil
}

// cursorsRun is one run.
type cursorsRun struct {
	watching
	opts       *CursorsOptions
	target     *target
	documentID string

	last   *countdown // last positions that viewers have not been shown
	failed *failures  // sessions that ended before time
}

func (r *cursorsRun) measure(ctx context.Context) (result CursorsRun, err error) {
	var crew crew
	defer crew.dismiss()
	if err := r.makeDocument(ctx); err != nil {
		return result, err
	}
	n := r.opts.Clients
	r.last = newCountdown(n * (n - 1))
	viewers := make([]*viewer, n)
	connecting := time.Now()
	err = each(n, func(i int) (err error) {
		if viewers[i], err = r.newViewer(ctx, i); err == nil {
			crew.add(viewers[i])
			crew.start(viewers[i].follow, r.failed)
		}
		return err
	})
	if err != nil {
		return result, err
	}
	result.ConnectMS = ms(time.Since(connecting))

	// All are staggered evenly: one schedule, in which they take turns.
	clock := &schedule{start: time.Now().Add(quiet), rate: r.opts.Rate * float64(n)}
	r.schedule.Store(clock)
	if err := pause(ctx, quiet-10*time.Millisecond); err != nil {
		return result, err
	}
	before, err := r.target.meters.cpu()
	if err != nil {
		return result, err
	}
	var frame []byte
	prefix := r.movePrefix()
	err = clock.run(ctx, n*r.moves, func(k int) error {
		frame = appendMove(frame[:0], prefix, k/n)
		_, err := viewers[k%n].conn.Write(frame)
		return err
	})
	if err != nil {
		_, why := r.failed.get()
		return result, fmt.Errorf("move a cursor: %w", errors.Join(err, why))
	}
	took := clock.now()
	after, err := r.target.meters.cpu()
	if err != nil {
		return result, err
	}
	result.CPUPercent = 100 * (after - before).Seconds() / took.Seconds()

	if err := r.last.wait(ctx, r.opts.Grace); err != nil {
		return result, err
	}
	result.Missing = int(r.last.left.Load())
	rss, err := r.target.meters.rss()
	if err != nil {
		return result, err
	}
	result.RSSMB = float64(rss) / 1e6
	crew.dismiss()
	r.tell(viewers, &result)
	return result, nil
}

// tell adds up what the viewers were shown.
func (r *cursorsRun) tell(viewers []*viewer, result *CursorsRun) {
	var ages, ticks histogram
	var bytes, frames int
	for _, v := range viewers {
		ages.merge(&v.ages)
		ticks.merge(&v.ticks)
		bytes += v.bytes
		frames += v.frames
	}
	n := len(viewers)
	result.Shown = int(ages.n)
	result.Superseded = n*(n-1)*r.moves - result.Shown - result.Missing
	result.P50MS, result.P95MS = ms(ages.quantile(0.50)), ms(ages.quantile(0.95))
	result.P99MS, result.MaxMS = ms(ages.quantile(0.99)), ms(ages.max)
	result.TickMS = ms(ticks.quantile(0.50))
	per := float64(n) * r.opts.Duration.Seconds()
	result.BytesPerSecond, result.FramesPerSecond = float64(bytes)/per, float64(frames)/per
	result.Failed, result.Failure = r.failed.told()
}

// makeDocument makes the document that is to be joined, by a session of its own.
func (r *cursorsRun) makeDocument(ctx context.Context) error {
	docs := &docsRun{
		hearing: hearing{script: newScript(1, 0, 1)},
		load:    &Load{}, target: r.target, documentID: r.documentID, began: r.began,
	}
	w, err := docs.newWriter(ctx, 0)
	if err != nil {
		return err
	}
	return errors.Join(w.upload(), w.Close())
}

// movePrefix is a collab:cursor_move without the value of its last field, x.
func (r *cursorsRun) movePrefix() []byte {
	b := appendCBORHead(nil, cborMap, 4)
	for _, s := range []string{"type", "collab:cursor_move", "documentId", r.documentID, "y"} {
		b = append(appendCBORHead(b, cborText, len(s)), s...)
	}
	b = appendCBORHead(b, cborUint, 0)
	return append(appendCBORHead(b, cborText, 1), 'x')
}

func appendMove(dst, prefix []byte, x int) []byte {
	var number [5]byte
	n := appendCBORHead(number[:0], cborUint, x)
	dst = appendHead(dst, opBinary, len(prefix)+len(n), true)
	return append(append(dst, prefix...), n...)
}

// viewer is one client: it moves and looks.
type viewer struct {
	*session
	run *cursorsRun
	me  int

	shown []int32 // the newest position of each client, by its number; 0: none yet
	ages  histogram
	ticks histogram
	prev  time.Duration // run time of the last frame; 0: none yet

	bytes, frames int // within the time of moving
}

func (r *cursorsRun) newViewer(ctx context.Context, i int) (*viewer, error) {
	s, err := dial(ctx, r.target.url(i), nil)
	if err != nil {
		return nil, fmt.Errorf("client %d: %w", i, err)
	}
	v := &viewer{session: s, run: r, me: i, shown: make([]int32, r.opts.Clients)}
	if err := v.enter(fmt.Sprintf("cursor-%06d", i)); err != nil {
		s.Close()
		return nil, fmt.Errorf("client %d: %w", i, err)
	}
	return v, nil
}

// enter joins the server, and the document.
func (v *viewer) enter(id string) error {
	token, err := v.run.target.tokenFor(id, auth.Write)
	if err != nil {
		return err
	}
	peer, err := v.join(id, token)
	if err != nil {
		return err
	}
	v.run.know(peer.SessionID, v.me)
	v.conn.SetReadDeadline(time.Now().Add(joinTimeout))
	defer v.conn.SetReadDeadline(time.Time{})
	join := map[string]any{"type": "collab:join_document", "documentId": v.run.documentID, "id": 1}
	if err := v.send(mustCBOR(join)); err != nil {
		return err
	}
	_, err = v.nextOf("ack")
	return err
}

// follow looks at all that it is shown, until the connection ends.
func (v *viewer) follow() error {
	for {
		msg, err := v.next()
		if err != nil {
			return err
		}
		now := time.Since(v.run.began)
		f, err := scan(msg)
		if err != nil {
			return err
		}
		if string(f.typ) != "collab:cursor_update" {
			if err := refusal(f, msg); err != nil {
				return err
			}
			continue
		}
		seen, err := v.run.watch(msg)
		if err != nil {
			return err
		}
		v.look(seen, now, len(msg))
	}
}

// look takes in what one frame shows.
func (v *viewer) look(seen *sight, now time.Duration, size int) {
	clock := v.run.schedule.Load()
	if clock == nil {
		return // nobody has moved yet
	}
	start := clock.start.Sub(v.run.began)
	if now < start+v.run.opts.Duration {
		v.bytes += size
		v.frames++
	}
	if v.prev != 0 {
		v.ticks.add(now - v.prev)
	}
	v.prev = now
	last := 0
	for _, p := range seen.positions {
		if int(p.client) == v.me || p.number <= v.shown[p.client] {
			continue
		}
		v.shown[p.client] = p.number
		v.ages.add(now - p.due)
		if p.last {
			last++
		}
	}
	if last > 0 {
		v.run.last.add(last)
	}
}
