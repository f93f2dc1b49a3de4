package presence

import (
	"context"
	"testing"
	"time"

	"atrium/internal/bus"
	"atrium/internal/db"
	"atrium/internal/scratch"
)

// TestNodesAgree: users are the same on every node, and are told in the order of
// what has happened.
func TestNodesAgree(t *testing.T) {
	t.Parallel()
	c := newCloud(t, scratch.Redis(t))
	a, b := c.start(t, 10*time.Second, quick), c.start(t, 10*time.Second, quick)
	updates := make(chan state, 100)
	ready := make(chan struct{}, 1)
	third, err := bus.New(bus.Options{URL: c.redis, Cluster: c.name})
	if err != nil {
		t.Fatal(err)
	}
	defer third.Close()
	third.Listen("presence/alice", bus.Listener{Missed: func() { ready <- struct{}{} }, Message: func(_ string, data []byte) {
		st, err := parseUpdate(data)
		if err != nil {
			t.Error(err)
		}
		updates <- st
	}})
	<-ready

	bob := b.join("bob", "bob")
	bob.subscribe("alice", "offline 0")
	first := a.join("alice", "1")
	bob.isTold("alice", Online)
	bob.subscribe("alice", "online 1")
	second := b.join("alice", "2")
	bob.subscribe("alice", "online 2")
	bob.subscribe("bob", "online 1")
	a.shows("alice", "online 2")
	where := a.module.users.look(t.Context(), []string{"alice"})[0].where
	if len(where) != 2 || where[0].SenderID != "1" || where[1].SenderID != "2" || where[0].Node == where[1].Node || where[0].Node == "" {
		t.Errorf("sessions: %+v", where)
	}
	for i, status := range []Status{Away, Busy, Busy, Online} {
		[]*client{first, second}[i%2].set(status)
	}
	bob.isTold("alice", Away)
	bob.isTold("alice", Busy)
	bob.isTold("alice", Online)
	first.goodbye()
	a.until(func() bool { return a.state("alice") == "online 1" })
	left := time.Now()
	second.goodbye()
	if at := bob.isTold("alice", Offline).LastSeen; at.Before(left.Add(-time.Second)) || at.After(time.Now().Add(time.Second)) {
		t.Errorf("seen last at %v, left at %v", at, left)
	}
	a.shows("alice", "offline 0")
	var before state
	for _, want := range []Status{Online, Away, Busy, Online, Offline} {
		st := <-updates
		if st.status != want || st.version <= before.version {
			t.Errorf("got %+v after %+v, want %s", st, before, want)
		}
		before = st
	}
}

// TestDroppedUserMayComeBack to any node, without anybody being told.
func TestDroppedUserMayComeBack(t *testing.T) {
	t.Parallel()
	c := newCloud(t, scratch.Redis(t))
	a, b := c.start(t, time.Hour, quick), c.start(t, time.Hour, quick)
	bob := b.join("bob", "bob")
	alice := a.join("alice", "1")
	bob.subscribe("alice", "online 1")
	alice.ws.NetConn().Close()
	a.until(func() bool { return b.state("alice") == "online 0" })
	alice = b.join("alice", "1")
	b.shows("alice", "online 1")
	alice.goodbye() // what has dropped is forgotten: she is gone at once
	bob.isTold("alice", Offline)
}

// TestDroppedUserIsGone after the grace, and was seen last before it.
func TestDroppedUserIsGone(t *testing.T) {
	t.Parallel()
	c := newCloud(t, scratch.Redis(t))
	a, b := c.start(t, 2*time.Second, quick), c.start(t, 2*time.Second, quick)
	bob := b.join("bob", "bob")
	alice := a.join("alice", "1")
	bob.subscribe("alice", "online 1")
	alice.ws.NetConn().Close()
	dropped := time.Now()
	seen := bob.isTold("alice", Offline).LastSeen
	if after := time.Since(dropped); after < 1500*time.Millisecond {
		t.Errorf("said to be gone after %v", after)
	}
	if d := seen.Sub(dropped); d < -time.Second || d > time.Second {
		t.Errorf("seen last %v after she dropped", d)
	}
}

// TestNodeDies: its users are gone when their sessions expire.
func TestNodeDies(t *testing.T) {
	t.Parallel()
	c := newCloud(t, scratch.Redis(t))
	a, b := c.start(t, 10*time.Second, quick), c.start(t, 10*time.Second, quick)
	bob := b.join("bob", "bob")
	a.join("alice", "1")
	a.join("carol", "1")
	b.join("carol", "2")
	bob.subscribe("alice", "online 1")
	bob.subscribe("carol", "online 2")
	a.bus.Close() // it cannot tell anybody anything any more
	died := time.Now()
	seen := bob.isTold("alice", Offline).LastSeen
	if after := time.Since(died); after < quick.lifetime-2*quick.refresh {
		t.Errorf("said to be gone after %v", after)
	}
	if d := seen.Sub(died); d < -2*quick.refresh-time.Second || d > time.Second { // when it spoke of her last
		t.Errorf("seen last %v after it died", d)
	}
	b.until(func() bool { return b.state("carol") == "online 1" })
	b.shows("alice", "offline 0")
	b.until(func() bool {
		var micros int64
		err := b.db.Read(t.Context(), func(tx *db.Tx) error {
			return tx.QueryRow(`SELECT last_seen FROM users WHERE id = 'alice'`).Scan(&micros)
		})
		return err == nil && time.UnixMicro(micros).After(seen.Add(-time.Second))
	})
}

// TestAnyName goes through JSON, Lua and keys unharmed.
func TestAnyName(t *testing.T) {
	t.Parallel()
	const name = "a/l:i*c\"e\\ <&> é \u2028 😀"
	c := newCloud(t, scratch.Redis(t))
	a, b := c.start(t, 100*time.Millisecond, quick), c.start(t, 100*time.Millisecond, quick)
	bob := b.join("bob", "bob")
	bob.subscribe(name, "offline 0")
	alice := a.join(name, name+"\n\x00")
	bob.isTold(name, Online)
	b.shows(name, "online 1")
	if where := b.module.users.look(t.Context(), []string{name})[0].where; where[0].SenderID != name+"\n\x00" {
		t.Errorf("got %+v", where)
	}
	alice.ws.NetConn().Close()
	bob.isTold(name, Offline)
	a.shows(name, "offline 0")
}

// TestLostMessages: what was not heard is read.
func TestLostMessages(t *testing.T) {
	t.Parallel()
	c := newCloud(t, scratch.Redis(t))
	often := quick
	often.reread = 300 * time.Millisecond
	a, b := c.start(t, 10*time.Second, quick), c.start(t, 10*time.Second, often)
	bob := b.join("bob", "bob")
	bob.subscribe("alice", "offline 0")
	b.module.mu.Lock()
	b.module.watched["alice"].stop()
	b.module.mu.Unlock()
	alice := a.join("alice", "1")
	bob.isTold("alice", Online)
	alice.set(Busy)
	bob.isTold("alice", Busy)
	alice.goodbye()
	bob.isTold("alice", Offline)
}

// TestRevokedElsewhere: a revocation comes over the bus, or from the database.
func TestRevokedElsewhere(t *testing.T) {
	t.Parallel()
	c := newCloud(t, scratch.Redis(t))
	a, b := c.start(t, 10*time.Second, quick), c.start(t, 10*time.Second, quick)
	alice, bob, carol := b.join("alice", "1"), b.join("bob", "1"), b.join("carol", "1")
	told := make(chan struct{})
	go func() {
		defer close(told)
		alice.isClosed(4401)
	}()
	for heard := false; !heard; {
		a.module.tellRevoked("alice", time.Now()) // until b listens
		select {
		case <-told:
			heard = true
		case <-time.After(50 * time.Millisecond):
		}
	}
	err := a.db.Write(context.Background(), func(tx *db.Tx) error { return revoke(tx, "bob", time.Now()) })
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	bob.isClosed(4401)
	if took := time.Since(began); took > 8*time.Second {
		t.Errorf("closed after %v", took)
	}
	carol.set(Away) // she is not meant
}
