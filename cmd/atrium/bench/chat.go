package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/fxamacker/cbor/v2"

	"atrium/internal/auth"
)

// ChatLoad is what is done to one room.
type ChatLoad struct {
	Members  int           `json:"members"`  // who hear everything
	Writers  int           `json:"writers"`  // as many of them write in turn
	Rate     float64       `json:"rate"`     // messages per second, of all writers together
	Duration time.Duration `json:"duration"` // in nanoseconds
	Grace    time.Duration `json:"grace"`    // for the last ones, in nanoseconds
}

func (l *ChatLoad) messages() int { return int(l.Rate*l.Duration.Seconds() + 0.5) }

func (l *ChatLoad) check() error {
	const allowed = 10 // control messages of a session in a second
	switch {
	case l.Members < 1 || l.Writers < 1 || l.Writers > l.Members:
		return errors.New("at least one writer is needed, and no more than there are members")
	case l.messages() < 1:
		return errors.New("with this rate and duration nothing is written")
	case l.Rate > allowed*float64(l.Writers):
		return fmt.Errorf("%d writers may write %d messages a second at most: more writers are needed", l.Writers, allowed*l.Writers)
	}
	return nil
}

// ChatOptions say what Chat measures.
type ChatOptions struct {
	ChatLoad
	Runs  int
	Self  Self
	Floor bool // the floor too
	Log   io.Writer
}

// Chat measures one room: when each member gets what some of them write, beside
// the floor, to which the same frames are given.
func Chat(ctx context.Context, o ChatOptions) (_ *ChatReport, err error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	if err := enoughFiles(o.Members + 1); err != nil {
		return nil, err
	}
	var all targets
	defer func() { err = errors.Join(err, all.Close()) }()
	starts := []func() (*target, error){func() (*target, error) { return atriumTarget(o.Self, Server{}) }}
	if o.Floor {
		starts = append(starts, func() (*target, error) { return relayTarget(o.Self) })
	}
	report := &ChatReport{Load: o.ChatLoad}
	for _, start := range starts {
		t, err := start()
		if err != nil {
			return nil, err
		}
		all = append(all, t)
		report.Targets = append(report.Targets, Target{Name: t.name})
	}
	for i := range o.Runs {
		for k, t := range all {
			progress(o.Log, "run %d of %d: %s", i+1, o.Runs, t.name)
			r := &chatRun{load: &o.ChatLoad, target: t, room: "bench-" + strconv.FormatInt(time.Now().UnixNano(), 36), failed: newFailures()}
			result, err := r.measure(ctx)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", t.name, err)
			}
			report.Targets[k].Runs = append(report.Targets[k].Runs, result)
			if err := pause(ctx, time.Second); err != nil { // the server sees all of them go
				return nil, err
			}
		}
	}
	sumTargets(report.Targets)
	return report, nil
}

// chatRun is one run on one target.
type chatRun struct {
	load   *ChatLoad
	target *target
	room   string
	clock  schedule
	left   *countdown // deliveries that have not come
	failed *failures  // sessions that ended before time
}

// chatMember is one session in the room.
type chatMember struct {
	*session
	run        *chatRun
	last       uint64 // seq
	outOfOrder int
	late       histogram
}

func (r *chatRun) measure(ctx context.Context) (result Run, err error) {
	var crew crew
	defer crew.dismiss()
	n := r.load.messages()
	r.left = newCountdown(n * r.load.Members)
	connecting := time.Now()
	members := make([]*chatMember, r.load.Members)
	err = each(len(members), func(i int) (err error) {
		if members[i], err = r.newMember(ctx, i); err == nil {
			crew.add(members[i])
			crew.start(members[i].follow, r.failed)
		}
		return err
	})
	if err != nil {
		return result, err
	}
	result.ConnectMS = ms(time.Since(connecting))
	send := func(k int) error { return members[k%r.load.Writers].send(r.message(k)) }
	if r.target.relay {
		writer, err := dial(ctx, r.target.url+"/writer", nil)
		if err != nil {
			return result, err
		}
		crew.add(writer)
		send = func(k int) error { return writer.send(r.delivery(k)) }
	}
	r.clock = schedule{start: time.Now().Add(3 * quiet), rate: r.load.Rate} // that all have come is told by then
	if err := pause(ctx, 3*quiet-10*time.Millisecond); err != nil {
		return result, err
	}
	if err := r.write(ctx, n, send, &result); err != nil {
		return result, err
	}
	rss, err := r.target.meter.rss()
	if err != nil {
		return result, err
	}
	result.RSSMB = float64(rss) / 1e6
	crew.dismiss()
	var late histogram
	for _, m := range members {
		late.merge(&m.late)
		result.OutOfOrder += m.outOfOrder
	}
	result.Delivered, result.Expected = int(late.n), n*len(members)
	result.latencies(&late)
	var first error
	if result.Failed, first = r.failed.get(); first != nil {
		result.Failure = first.Error()
	}
	return result, nil
}

// write sends the messages when they are due, and waits until they have come.
func (r *chatRun) write(ctx context.Context, n int, send func(k int) error, result *Run) error {
	before, err := r.target.meter.cpu()
	if err != nil {
		return err
	}
	if err := r.clock.run(ctx, n, send); err != nil {
		_, why := r.failed.get()
		return fmt.Errorf("write: %w", errors.Join(err, why))
	}
	result.Rate = float64(n) / (r.clock.now() + time.Duration(float64(time.Second)/r.load.Rate)).Seconds()
	grace := time.NewTimer(r.load.Grace)
	defer grace.Stop()
	select {
	case <-r.left.zero:
	case <-grace.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	after, err := r.target.meter.cpu()
	result.CPUSeconds = (after - before).Seconds()
	return err
}

// content of a message begins with its number, and is as long as people write.
func content(k int) string { return strconv.Itoa(k) + " " + strings.Repeat("x", 80) }

func (r *chatRun) message(k int) []byte {
	return mustCBOR(map[string]any{"type": "chat:message", "roomId": r.room, "message": content(k), "clientId": fmt.Sprintf("client-%08d", k)})
}

// delivery is the frame that a message becomes.
func (r *chatRun) delivery(k int) []byte {
	return mustCBOR(struct {
		Type      string            `cbor:"type"`
		ID        string            `cbor:"id"`
		RoomID    string            `cbor:"roomId"`
		Seq       int               `cbor:"seq"`
		Content   string            `cbor:"content"`
		User      map[string]string `cbor:"user"`
		CreatedAt string            `cbor:"createdAt"`
		ClientID  string            `cbor:"clientId"`
	}{
		"chat:message", "019aa000-0000-7000-8000-000000000000", r.room, k + 1, content(k),
		map[string]string{"id": memberID(k), "name": memberID(k), "avatar": ""}, "2026-01-01T00:00:00.000000Z", fmt.Sprintf("client-%08d", k),
	})
}

func memberID(i int) string { return fmt.Sprintf("member-%06d", i) }

func (r *chatRun) newMember(ctx context.Context, i int) (_ *chatMember, err error) {
	url := r.target.url
	if r.target.relay {
		url += "/observer"
	}
	s, err := dial(ctx, url, nil)
	if err != nil {
		return nil, fmt.Errorf("member %d: %w", i, err)
	}
	m := &chatMember{session: s, run: r}
	if r.target.relay {
		return m, nil
	}
	token, err := r.target.tokenFor(memberID(i), auth.None)
	if err == nil {
		_, err = s.join(memberID(i), token)
	}
	if err == nil {
		err = s.send(mustCBOR(map[string]any{"type": "chat:join", "roomId": r.room, "id": "join"}))
	}
	if err == nil {
		_, err = s.nextOf("ack")
	}
	if err != nil {
		s.Close()
		return nil, fmt.Errorf("member %d: %w", i, err)
	}
	return m, nil
}

var (
	messageType = []byte("\x6cchat:message")
	seqKey      = []byte("\x63seq")
	contentKey  = []byte("\x67content\x78")
)

// follow takes messages in until the connection ends.
func (m *chatMember) follow() error {
	for {
		msg, err := m.next()
		if err != nil {
			return err
		}
		now := m.run.clock.now()
		if !bytes.Contains(msg, messageType) {
			f, err := scan(msg)
			if err == nil {
				err = refusal(f, msg)
			}
			if err != nil {
				return err
			}
			continue
		}
		seq, k, err := readMessage(msg)
		if err != nil {
			return err
		}
		if seq != m.last+1 {
			m.outOfOrder++
		}
		m.last = seq
		m.late.add(now - m.run.clock.due(k))
		m.run.left.done()
	}
}

// readMessage finds a message's seq, and its number in its content, without
// decoding the rest: thousands come in a second, on the cores of the server.
func readMessage(msg []byte) (seq uint64, k int, err error) {
	at, text := bytes.Index(msg, seqKey), bytes.Index(msg, contentKey)
	if at < 0 || text < 0 {
		return 0, 0, errors.New("a message without seq or content")
	}
	if _, err := cbor.UnmarshalFirst(msg[at+len(seqKey):], &seq); err != nil {
		return 0, 0, err
	}
	number, _, _ := bytes.Cut(msg[text+len(contentKey)+1:], []byte(" ")) // behind a byte of length
	k, err = strconv.Atoi(string(number))
	return seq, k, err
}
