package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

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
	const allowed = 8 // messages of a session in a second; the server's limit is 10, and 20 at once
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
	Runs   int
	Server Server
	Self   Self
	Floor  bool // the floor too
	Log    io.Writer
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
	starts := []func() (*target, error){func() (*target, error) { return atriumTarget(ctx, o.Self, o.Server) }}
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
		report.Targets = append(report.Targets, newTarget(t))
	}
	err = inTurns(ctx, o.Log, o.Runs, all, func(t *target) (Run, error) {
		r := &chatRun{load: &o.ChatLoad, target: t, room: "bench-" + strconv.FormatInt(time.Now().UnixNano(), 36), failed: newFailures()}
		return r.measure(ctx)
	}, func(k int, run Run) { report.Targets[k].Runs = append(report.Targets[k].Runs, run) })
	if err != nil {
		return nil, err
	}
	sumTargets(report.Targets)
	return report, nil
}

// chatRun is one run on one target.
type chatRun struct {
	load   *ChatLoad
	target *target
	room   string
	clock  atomic.Pointer[schedule] // set before messages are written
	others atomic.Int64             // what members were told besides messages
	left   *countdown               // deliveries that have not come
	failed *failures                // sessions that ended before time
}

// chatMember is one session in the room.
type chatMember struct {
	*session
	run        *chatRun
	last       uint64   // seq
	has        []uint64 // messages that it has, by number, a bit each
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
		writer, err := dial(ctx, r.target.url(0)+"/writer", nil)
		if err != nil {
			return result, err
		}
		crew.add(writer)
		send = func(k int) error { return writer.send(r.delivery(k)) }
	}
	if err := r.settle(ctx); err != nil {
		return result, err
	}
	if err := r.write(ctx, n, send, &result); err != nil {
		return result, err
	}
	rss, err := r.target.meters.rss()
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
	result.Failed, result.Failure = r.failed.told()
	return result, nil
}

// settle waits until nobody is told any more of those who have come: each has
// been announced to all before, half a million times among a thousand.
func (r *chatRun) settle(ctx context.Context) error {
	before := int64(-1)
	for range int(openTimeout / quiet) {
		told := r.others.Load()
		if told == before {
			return nil
		}
		before = told
		if err := pause(ctx, quiet); err != nil {
			return err
		}
	}
	return fmt.Errorf("members are still told of others after %s", openTimeout)
}

// write sends the messages when they are due, and waits until they have come.
func (r *chatRun) write(ctx context.Context, n int, send func(k int) error, result *Run) error {
	clock := &schedule{start: time.Now().Add(quiet), rate: r.load.Rate}
	r.clock.Store(clock)
	if err := pause(ctx, quiet-10*time.Millisecond); err != nil {
		return err
	}
	before, err := r.target.meters.cpu()
	if err != nil {
		return err
	}
	if err := clock.run(ctx, n, send); err != nil {
		_, why := r.failed.get()
		return fmt.Errorf("write: %w", errors.Join(err, why))
	}
	result.Rate = float64(n) / (clock.now() + time.Duration(float64(time.Second)/r.load.Rate)).Seconds()
	if err := r.left.wait(ctx, r.load.Grace); err != nil {
		return err
	}
	after, err := r.target.meters.cpu()
	result.CPUSeconds = (after - before).Seconds()
	return err
}

// content of a message begins with its number, and is as long as people write.
func content(k int) string { return strconv.Itoa(k) + " " + strings.Repeat("x", 80) }

func (r *chatRun) message(k int) []byte {
	return mustCBOR(map[string]any{"type": "chat:message", "roomId": r.room, "message": content(k), "clientId": fmt.Sprintf("client-%08d", k)})
}

// delivery is what members are told of a message, as atrium words it.
func (r *chatRun) delivery(k int) []byte {
	type user struct {
		ID     string `cbor:"id"`
		Name   string `cbor:"name"`
		Avatar string `cbor:"avatar"`
	}
	writer := memberID(k % r.load.Writers)
	return mustCBOR(struct {
		Type      string `cbor:"type"`
		ID        string `cbor:"id"`
		RoomID    string `cbor:"roomId"`
		Seq       int    `cbor:"seq"`
		Content   string `cbor:"content"`
		User      user   `cbor:"user"`
		CreatedAt string `cbor:"createdAt"`
		ClientID  string `cbor:"clientId"`
	}{
		"chat:message", "019aa000-0000-7000-8000-000000000000", r.room, k + 1, content(k),
		user{writer, writer, ""}, "2026-01-01T00:00:00.000000Z", fmt.Sprintf("client-%08d", k),
	})
}

func memberID(i int) string { return fmt.Sprintf("member-%06d", i) }

func (r *chatRun) newMember(ctx context.Context, i int) (_ *chatMember, err error) {
	url := r.target.url(i)
	if r.target.relay {
		url += "/observer"
	}
	s, err := dial(ctx, url, nil)
	if err != nil {
		return nil, fmt.Errorf("member %d: %w", i, err)
	}
	m := &chatMember{session: s, run: r, has: make([]uint64, (r.load.messages()+63)/64)}
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

// follow takes in what it is told until the connection ends.
func (m *chatMember) follow() error {
	for {
		msg, err := m.next()
		if err != nil {
			return err
		}
		now := time.Now()
		told, err := readTold(msg)
		if err != nil {
			return err
		}
		if string(told.typ) != "chat:message" {
			m.run.others.Add(1)
			if err := refusal(fields{typ: told.typ}, msg); err != nil {
				return err
			}
			continue
		}
		k, err := told.number()
		if err != nil {
			return err
		}
		if err := m.take(told.seq, k, now); err != nil {
			return err
		}
	}
}

// take counts one message. One that has come before is no delivery.
func (m *chatMember) take(seq uint64, k int, now time.Time) error {
	clock := m.run.clock.Load()
	if clock == nil || k < 0 || k >= m.run.load.messages() {
		return fmt.Errorf("message %d, which nobody has written", k)
	}
	if seq != m.last+1 {
		m.outOfOrder++
	}
	m.last = seq
	word, bit := k/64, uint64(1)<<(k%64)
	if m.has[word]&bit != 0 {
		return nil
	}
	m.has[word] |= bit
	m.late.add(now.Sub(clock.start) - clock.due(k))
	m.run.left.done()
	return nil
}

// told is what the bench looks at in what members are told. It aliases the
// message.
type told struct {
	typ, content []byte
	seq          uint64
}

// readTold is scan for what is said in rooms. It allocates nothing either: tens
// of thousands come in a second, on the cores of the server.
func readTold(msg []byte) (t told, err error) {
	s := scanner{src: msg}
	major, n := s.head()
	if major != cborMap {
		return t, errMessage
	}
	for ; n > 0 && s.ok(); n-- {
		switch string(s.text()) {
		case "type":
			t.typ = s.text()
		case "content":
			t.content = s.text()
		case "seq":
			if major, t.seq = s.head(); major != cborUint {
				return t, errMessage
			}
		default:
			s.skip(0)
		}
	}
	if !s.ok() {
		return t, errMessage
	}
	return t, nil
}

// number returns the number that a message's content begins with.
func (t *told) number() (int, error) {
	number, _, _ := bytes.Cut(t.content, []byte(" "))
	k, err := strconv.Atoi(string(number))
	if err != nil {
		return 0, fmt.Errorf("a message of somebody else's: %w", err)
	}
	return k, nil
}
