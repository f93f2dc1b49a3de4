package presence

import (
	"testing"
	"time"

	"atrium/internal/scratch"
)

// TestRedisEmptied: nodes say again who is there, and nobody is said to have gone.
func TestRedisEmptied(t *testing.T) {
	t.Parallel()
	c := newCloud(t, scratch.NewRedis(t).RedisURL())
	slow := quick
	slow.lifetime, slow.refresh, slow.sweep, slow.reread = time.Minute, time.Minute, time.Second, 20*time.Millisecond
	a, b := c.start(t, 10*time.Second, slow), c.start(t, 10*time.Second, slow)
	bob := b.join("bob", "bob")
	alice := a.join("alice", "1")
	bob.subscribe("alice", "online 1")
	alice.set(Away)
	bob.isTold("alice", Away)
	client, prefix := b.bus.Redis()
	if err := client.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	b.shows("alice", "away 1") // as far as is known
	b.shows("bob", "online 1")
	b.until(func() bool { return client.HGet(t.Context(), prefix+"presence:user:alice", "status").Val() == "away" })
	b.until(func() bool { return client.HGet(t.Context(), prefix+"presence:user:bob", "status").Val() == "online" })
	alice.set(Busy)
	bob.isTold("alice", Busy)
	alice.goodbye()
	bob.isTold("alice", Offline)
}

// TestLostForGood: who was there when Redis lost all, and is not said to be there
// any more, is gone in the end.
func TestLostForGood(t *testing.T) {
	t.Parallel()
	c := newCloud(t, scratch.NewRedis(t).RedisURL())
	p := quick
	p.reread = 50 * time.Millisecond
	a, b := c.start(t, 10*time.Second, p), c.start(t, 10*time.Second, p)
	bob := b.join("bob", "bob")
	a.join("alice", "1")
	bob.subscribe("alice", "online 1")
	a.bus.Close()
	client, _ := b.bus.Redis()
	if err := client.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	flushed := time.Now()
	bob.isTold("alice", Offline)
	if after := time.Since(flushed); after < p.lifetime/2 {
		t.Errorf("said to be gone after %v", after)
	}
}

// TestRedisAway: sessions come and go meanwhile, and nodes know their own.
func TestRedisAway(t *testing.T) {
	t.Parallel()
	server := scratch.NewRedis(t)
	c := newCloud(t, server.RedisURL())
	a, b := c.start(t, 10*time.Second, quick), c.start(t, 10*time.Second, quick)
	bob, dave := b.join("bob", "bob"), a.join("dave", "dave")
	alice := a.join("alice", "1")
	bob.subscribe("alice", "online 1")
	bob.subscribe("carol", "offline 0")
	dave.subscribe("carol", "offline 0")
	server.Kill()
	a.until(func() bool { return !a.bus.Connected() && !b.bus.Connected() })
	began := time.Now()
	carol := a.join("carol", "1")
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("joining took %v", took)
	}
	dave.isTold("carol", Online)
	dave.subscribe("carol", "online 1")
	a.shows("alice", "online 1")
	b.shows("alice", "online 1") // as far as is known
	b.shows("dave", "offline 0") // of whom nothing is known there
	alice.set(Away)
	server.Start()
	for range 2 { // in any order
		switch got := bob.next(); {
		case got.UserID == "alice" && got.Status == Away, got.UserID == "carol" && got.Status == Online:
		default:
			t.Fatalf("got %+v", got)
		}
	}
	b.until(func() bool { return b.state("dave") == "online 1" })
	carol.goodbye()
	bob.isTold("carol", Offline)
	dave.isTold("carol", Offline)
	alice.goodbye()
	bob.isTold("alice", Offline)
}

// TestRedisStalled for so long that all sessions have expired: nobody has gone.
func TestRedisStalled(t *testing.T) {
	t.Parallel()
	server := scratch.NewRedis(t)
	c := newCloud(t, server.RedisURL())
	p := quick
	p.reread = 100 * time.Millisecond
	a, b := c.start(t, 10*time.Second, p), c.start(t, 10*time.Second, p)
	bob := b.join("bob", "bob")
	alice := a.join("alice", "1")
	bob.subscribe("alice", "online 1")
	client, prefix := b.bus.Redis()
	expiry := func() float64 {
		return client.ZScore(t.Context(), prefix+"presence:expiry", "alice\n"+a.module.opts.Mux.SessionsOf("alice")[0].ID).Val()
	}
	before := expiry()
	server.Stall()
	time.Sleep(p.lifetime + time.Second) // until they have expired
	server.Resume()
	b.until(func() bool { return expiry() > before+float64(p.lifetime.Milliseconds()) })
	alice.set(Busy)
	bob.isTold("alice", Busy)
}
