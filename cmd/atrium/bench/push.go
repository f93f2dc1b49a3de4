package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/fxamacker/cbor/v2"

	"atrium/internal/auth"
)

// PushOptions say what Push measures.
type PushOptions struct {
	Users    int     // each with one session
	Rate     float64 // notifications per second, to all users in turn
	Duration time.Duration
	Grace    time.Duration // for the last ones
	Runs     int
	Server   Server
	Self     Self
	Log      io.Writer
}

func (o *PushOptions) pushes() int { return int(o.Rate*o.Duration.Seconds() + 0.5) }

// pushesAtOnce is how many calls may be under way.
const pushesAtOnce = 64

// Push measures notifications from an HTTP call to the user's socket.
func Push(ctx context.Context, o PushOptions) (_ *PushReport, err error) {
	if o.Users < 1 || o.pushes() < 1 {
		return nil, errors.New("at least one user and one notification are needed")
	}
	if len(o.Server.URLs) > 0 && (o.Server.Secret == "" || o.Server.APIKey == "") {
		return nil, errors.New("each user needs a token, and the calls a key: say --jwt-secret and --api-key")
	}
	if err := enoughFiles(o.Users + pushesAtOnce); err != nil {
		return nil, err
	}
	t, err := atriumTarget(ctx, o.Self, o.Server)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, t.Close()) }()
	report := &PushReport{Nodes: nodesOf(t), Users: o.Users, Rate: o.Rate, Duration: o.Duration}
	err = inTurns(ctx, o.Log, o.Runs, targets{t}, func(t *target) (PushRun, error) {
		r := &pushRun{opts: &o, target: t, name: strconv.FormatInt(time.Now().UnixNano(), 36), failed: newFailures()}
		return r.measure(ctx)
	}, func(_ int, run PushRun) { report.Runs = append(report.Runs, run) })
	if err != nil {
		return nil, err
	}
	report.sum()
	return report, nil
}

// pushRun is one run.
type pushRun struct {
	opts   *PushOptions
	target *target
	name   string // begins the run's user ids
	clock  schedule
	left   *countdown // notifications that have not come
	failed *failures  // sessions that ended before time
}

func (r *pushRun) user(i int) string { return fmt.Sprintf("%s-%06d", r.name, i) }

func (r *pushRun) measure(ctx context.Context) (result PushRun, err error) {
	var crew crew
	defer crew.dismiss()
	n := r.opts.pushes()
	r.left = newCountdown(n)
	inboxes := make([]*inbox, r.opts.Users)
	err = each(len(inboxes), func(i int) (err error) {
		if inboxes[i], err = r.newInbox(ctx, i); err == nil {
			crew.add(inboxes[i])
		}
		return err
	})
	if err != nil {
		return result, err
	}
	r.clock = schedule{start: time.Now().Add(quiet), rate: r.opts.Rate}
	for _, in := range inboxes {
		crew.start(in.follow, r.failed)
	}
	before, err := r.target.meters.cpu()
	if err != nil {
		return result, err
	}
	answers, err := r.push(ctx, n)
	if err != nil {
		return result, err
	}
	if err := r.left.wait(ctx, r.opts.Grace); err != nil {
		return result, err
	}
	after, err := r.target.meters.cpu()
	if err != nil {
		return result, err
	}
	result.Expected = n
	result.CPUPerPushUS = (after - before).Seconds() * 1e6 / float64(n)
	crew.dismiss()
	var late histogram
	for _, in := range inboxes {
		late.merge(&in.late)
	}
	result.Delivered = int(late.n)
	result.P50MS, result.P95MS = ms(late.quantile(0.50)), ms(late.quantile(0.95))
	result.P99MS, result.MaxMS = ms(late.quantile(0.99)), ms(late.max)
	result.AnswerP99MS = ms(answers.quantile(0.99))
	if result.Stored, err = r.stored(ctx); err != nil {
		return result, err
	}
	result.Failed, result.Failure = r.failed.told()
	return result, nil
}

// push makes all calls, each when it is due, and returns how long after that
// they were answered.
func (r *pushRun) push(ctx context.Context, n int) (*histogram, error) {
	client := &http.Client{Timeout: joinTimeout, Transport: &http.Transport{MaxIdleConnsPerHost: pushesAtOnce, MaxConnsPerHost: pushesAtOnce}}
	defer client.CloseIdleConnections()
	var answers histogram
	var mu sync.Mutex // of answers
	failed := newFailures()
	var wg sync.WaitGroup
	due := make(chan int, n) // who is late is not waited for
	for range pushesAtOnce {
		wg.Go(func() {
			for k := range due {
				if err := r.call(ctx, client, k); err != nil {
					failed.add(err)
					continue
				}
				late := r.clock.now() - r.clock.due(k)
				mu.Lock()
				answers.add(late)
				mu.Unlock()
			}
		})
	}
	err := r.clock.run(ctx, n, func(k int) error {
		due <- k
		return nil
	})
	close(due)
	wg.Wait()
	_, why := failed.get()
	return &answers, errors.Join(err, why)
}

// call pushes the k-th notification.
func (r *pushRun) call(ctx context.Context, client *http.Client, k int) error {
	body, err := json.Marshal(map[string]any{"kind": "bench", "title": strconv.Itoa(k)})
	if err != nil {
		return err
	}
	resp, err := r.request(ctx, client, http.MethodPost, r.user(k%r.opts.Users), body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusCreated {
		err = fmt.Errorf("push: the server answers %s %s", resp.Status, answer)
	}
	return err
}

func (r *pushRun) request(ctx context.Context, client *http.Client, method, user string, body []byte) (*http.Response, error) {
	req, err := r.target.request(ctx, method, 0, "/api/v1/users/"+user+"/notifications", body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	return client.Do(req)
}

// stored returns how many of the run's notifications the server has kept.
func (r *pushRun) stored(ctx context.Context) (int, error) {
	client := &http.Client{Timeout: joinTimeout}
	defer client.CloseIdleConnections()
	all := 0
	for i := range r.opts.Users {
		resp, err := r.request(ctx, client, http.MethodGet, r.user(i), nil)
		if err != nil {
			return 0, err
		}
		var inbox struct{ Unread int }
		err = json.NewDecoder(resp.Body).Decode(&inbox)
		resp.Body.Close()
		if err != nil {
			return 0, fmt.Errorf("read an inbox: %w", err)
		}
		all += inbox.Unread
	}
	return all, nil
}

// inbox is one user's session.
type inbox struct {
	*session
	run  *pushRun
	late histogram
}

func (r *pushRun) newInbox(ctx context.Context, i int) (*inbox, error) {
	s, err := dial(ctx, r.target.url(i), nil)
	if err != nil {
		return nil, fmt.Errorf("user %d: %w", i, err)
	}
	token, err := r.target.tokenFor(r.user(i), auth.None)
	if err == nil {
		_, err = s.join(r.user(i), token)
	}
	if err != nil {
		s.Close()
		return nil, fmt.Errorf("user %d: %w", i, err)
	}
	return &inbox{session: s, run: r}, nil
}

// follow takes notifications in until the connection ends.
func (in *inbox) follow() error {
	for {
		msg, err := in.next()
		if err != nil {
			return err
		}
		now := in.run.clock.now()
		var m struct{ Type, Title string }
		if err := cbor.Unmarshal(msg, &m); err != nil {
			return err
		}
		if m.Type != "notification:new" {
			continue
		}
		k, err := strconv.Atoi(m.Title)
		if err != nil {
			return fmt.Errorf("a notification of somebody else's: %w", err)
		}
		in.late.add(now - in.run.clock.due(k))
		in.run.left.add(1)
	}
}
