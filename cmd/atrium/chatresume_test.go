package main

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"
)

// follower is a client of a room that comes back whenever it loses its
// connection, and keeps what it is told.
type follower struct {
	*client
	t    *testing.T
	s    *testServer
	name string
	room string
	last int64
	ids  []string // of messages, in the order in which they came; edits as "edit id"
}

// back connects and joins from where the follower is. It reports an error if the
// connection is lost again before it is there.
func (f *follower) back() error {
	c, err := tryConnect(f.t, f.s, f.name, inJSON)
	if err != nil {
		return err
	}
	f.client = c
	c.join(rooms("*", "read"))
	c.send(chatMsg("join", f.room, msg{"since": f.last, "id": "joining"}))
	for {
		m, err := c.tryNext()
		switch {
		case err != nil:
			return err
		case m.msg["id"] != "joining":
			if m.msg["seq"] != nil {
				return fmt.Errorf("%v before the answer to the join", m.msg)
			}
			continue
		case outcome(m.msg) != "ack" || m.msg["truncated"] != nil:
			return fmt.Errorf("joining got %v", m.msg)
		}
		for _, e := range m.msg["messages"].([]any) {
			if err := f.take(e.(map[string]any)); err != nil {
				return err
			}
		}
		if m.msg["lastSeq"] != float64(f.last) {
			return fmt.Errorf("last is %v after %d", m.msg["lastSeq"], f.last)
		}
		return nil
	}
}

// take fails unless m is what comes next.
func (f *follower) take(m msg) error {
	if m["seq"] == nil {
		return nil
	}
	if m["seq"] != float64(f.last+1) {
		return fmt.Errorf("%v after %d", m, f.last)
	}
	f.last++
	switch m["type"] {
	case "chat:message":
		f.ids = append(f.ids, m["id"].(string))
	case "chat:edited":
		f.ids = append(f.ids, "edit "+m["messageId"].(string))
	}
	return nil
}

// TestChatResume: who loses the connection at random 100 times while others talk
// has every message once, in order, at the end.
func TestChatResume(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 0))
	t.Logf("seed %d", seed)

	stop := make(chan struct{})
	var talking sync.WaitGroup
	var mu sync.Mutex
	said := make(map[float64]string) // by seq; guarded by mu
	for w := range 8 {
		c := dial(t, s, fmt.Sprintf("writer %d", w), rooms("*", "write"))
		c.enters("a")
		talking.Go(func() {
			every := 110 * time.Millisecond // ten a second are allowed
			if w == 0 {
				every *= 2 // who also edits
			}
			for tick := time.NewTicker(every); ; <-tick.C {
				select {
				case <-stop:
					tick.Stop()
					return
				default:
				}
				m := c.says("a", "something")
				mu.Lock()
				said[m["seq"].(float64)] = m["id"].(string)
				mu.Unlock()
				if w == 0 {
					seq := c.acks(chatMsg("edit", "a", msg{"messageId": m["id"], "message": "something else"}))["seq"].(float64)
					mu.Lock()
					said[seq] = "edit " + m["id"].(string)
					mu.Unlock()
				}
			}
		})
	}
	f := &follower{t: t, s: s, name: "alice", room: "a"}
	for lost := range 100 {
		err := f.back()
		if err != nil {
			t.Fatalf("after %d losses: %v", lost, err)
		}
		cut := time.AfterFunc(time.Duration(random.IntN(60))*time.Millisecond, func() { f.client.ws.NetConn().Close() })
		for {
			m, err := f.tryNext()
			if err != nil {
				break
			}
			if err := f.take(m.msg); err != nil {
				t.Fatalf("after %d losses: %v", lost, err)
			}
		}
		cut.Stop()
	}
	close(stop)
	talking.Wait()
	if err := f.back(); err != nil {
		t.Fatal(err)
	}
	if f.last != int64(len(said)) || len(said) < 100 {
		t.Fatalf("%d of %d came", f.last, len(said))
	}
	for i, id := range f.ids {
		if said[float64(i+1)] != id {
			t.Errorf("%d is %s, want %s", i+1, id, said[float64(i+1)])
		}
	}
}

// kept is what has been acknowledged: ids by what the sender calls it.
type kept struct {
	mu     sync.Mutex
	ids    map[string]string
	unsure []func() // send again what may have been lost
}

func (k *kept) add(name string, id any) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.ids[name] = id.(string)
}

func (k *kept) doubt(again func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.unsure = append(k.unsure, again)
}

// TestKill9Siblings kills the server while people write and backends push. What
// was acknowledged is there after the restart; what was not, and is sent again
// under the same name, is there once.
func TestKill9Siblings(t *testing.T) {
	t.Parallel()
	s := startServer(t, withAPIKey)
	f := &follower{t: t, s: s, name: "reader", room: "a"}
	messages, pushes := &kept{ids: make(map[string]string)}, &kept{ids: make(map[string]string)}
	for round := range *killRounds {
		var writing sync.WaitGroup
		for w := range 4 {
			user := fmt.Sprint("writer ", w)
			c := dial(t, s, user, senderID(fmt.Sprint(round)), rooms("*", "write"))
			c.enters("a")
			writing.Go(func() {
				for i := 0; ; i++ {
					name := fmt.Sprint(round, "-", w, "-", i)
					id, err := c.trySay("a", name)
					if err != nil {
						messages.doubt(func() {
							c := dial(t, s, user, senderID("again"), rooms("*", "write"))
							c.enters("a")
							id, err := c.trySay("a", name)
							if err != nil {
								t.Fatal(err)
							}
							messages.add(name, id)
						})
						return
					}
					messages.add(name, id)
				}
			})
			writing.Go(func() {
				for i := 0; ; i++ {
					name := fmt.Sprint(round, "-", w, "-", i)
					push := request{
						method: "POST", path: inboxPath("alice"), credential: apiKey, body: notification(name),
						header: http.Header{"Idempotency-Key": {name}},
					}
					a, err := s.tryCall(push)
					if err != nil || a.status != 201 {
						pushes.doubt(func() { pushes.add(name, s.call(push).expect(t, 201).msg["id"]) })
						return
					}
					pushes.add(name, a.msg["id"])
				}
			})
		}
		time.Sleep(time.Duration(20+rand.IntN(400)) * time.Millisecond) // any moment
		s.kill9()
		writing.Wait()
		s.start()
		for _, k := range []*kept{messages, pushes} {
			for _, again := range k.unsure {
				again()
			}
			k.unsure = nil
		}
		if err := f.back(); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
	}
	want := make(map[string]bool)
	for _, id := range messages.ids {
		want[id] = true
	}
	for _, id := range f.ids {
		if !want[id] {
			t.Errorf("message %s is there twice, or nobody's", id)
		}
		delete(want, id)
	}
	if len(want) > 0 {
		t.Errorf("%d of %d acknowledged messages are missing", len(want), len(messages.ids))
	}
	alice := dial(t, s, "alice")
	inbox := make(map[string]string)
	for before := any(nil); ; {
		page := alice.acks(listMsg(msg{"limit": 200, "before": before}))
		for _, n := range page["notifications"].([]any) {
			n := n.(map[string]any)
			if inbox[n["title"].(string)] != "" {
				t.Errorf("notification %v is there twice", n["title"])
			}
			inbox[n["title"].(string)] = n["id"].(string)
			before = n["id"]
		}
		if page["more"] == false {
			break
		}
		time.Sleep(100 * time.Millisecond) // ten a second are allowed
	}
	if !maps.Equal(inbox, pushes.ids) {
		t.Errorf("%d notifications are in the inbox, %d were acknowledged", len(inbox), len(pushes.ids))
	}
	t.Logf("%d messages and %d notifications in %d rounds", len(messages.ids), len(pushes.ids), *killRounds)
}

// trySay writes a message under a client id, as often as it takes while the
// connection lasts, and returns its id.
func (c *client) trySay(room, clientID string) (id string, err error) {
	for {
		ask := c.id()
		c.send(chatMsg("message", room, msg{"message": clientID, "clientId": clientID, "id": ask}))
		for {
			f, err := c.tryNext()
			if err != nil {
				return "", err
			}
			if f.msg["id"] != ask {
				continue
			}
			switch outcome(f.msg) {
			case "ack":
				return f.msg["message"].(map[string]any)["id"].(string), nil
			case "rate_limited":
				time.Sleep(time.Duration(f.msg["retryAfterMs"].(float64)) * time.Millisecond)
			default:
				return "", fmt.Errorf("got %v", f.msg)
			}
			break
		}
	}
}

// TestJoinAgain: also who is in the room already, or has just left it, hears after
// the answer to a join only what comes after its lastSeq, and misses nothing.
func TestJoinAgain(t *testing.T) {
	t.Parallel()
	s := startServer(t, withAPIKey)
	for range 30 { // so that telling takes its time
		dial(t, s, "listener", senderID(fmt.Sprint(rand.Int())), rooms("*", "read")).enters("a")
	}
	stop := make(chan struct{})
	var talking sync.WaitGroup
	for w := range 6 {
		talking.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				s.post("/api/v1/rooms/a/messages", map[string]any{"content": fmt.Sprint(w, " ", i)}).expect(t, 201)
				time.Sleep(10 * time.Millisecond) // or alice gets too far behind
			}
		})
	}
	alice := dial(t, s, "alice", rooms("*", "read"))
	last := 0.0
	for round := range 30 {
		id := fmt.Sprint("join ", round)
		if round%3 == 2 {
			alice.send(chatMsg("leave", "a", nil))
		}
		alice.send(chatMsg("join", "a", msg{"id": id, "since": int(last)}))
		for answered := false; !answered || rand.IntN(10) > 0; {
			m := alice.next().msg
			switch {
			case m["id"] == id:
				answered = true
				list := m["messages"].([]any)
				for _, e := range list {
					if seq := e.(map[string]any)["seq"].(float64); seq > last {
						if seq != last+1 {
							t.Fatalf("round %d: the answer goes on with %v after %v", round, seq, last)
						}
						last = seq
					}
				}
				if m["lastSeq"] != last {
					t.Fatalf("round %d: lastSeq is %v, and the last message %v", round, m["lastSeq"], last)
				}
			case m["seq"] != nil:
				if m["seq"] != last+1 && (answered || m["seq"].(float64) > last+1) {
					t.Fatalf("round %d: %v after %v, answered %v", round, m["seq"], last, answered)
				}
				last = max(last, m["seq"].(float64))
			}
		}
	}
	close(stop)
	talking.Wait()
}
