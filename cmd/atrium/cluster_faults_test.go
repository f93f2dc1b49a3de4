package main

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"atrium/internal/scratch"
)

// faulty is how long something fails: the full time only if there are many rounds.
func faulty(short, full time.Duration) time.Duration {
	if *clusterRounds > 1 {
		return full
	}
	return short
}

// undisturbed fails if anybody but stock clients has lost a connection.
func (l *load) undisturbed() {
	l.t.Helper()
	if writers, watchers := l.lost.Load(), l.watchersLost(); writers+watchers > 0 {
		l.t.Errorf("%d who write and %d who watch have lost their connections", writers, watchers)
	}
}

// goesOn fails unless something is acknowledged.
func (l *load) goesOn(d time.Duration) {
	l.t.Helper()
	if n := l.ackedWithin(d); n == 0 {
		l.t.Errorf("nothing was acknowledged within %v", d)
	}
}

// TestClusterAtWork: a load as the tests of faults have it, without any.
func TestClusterAtWork(t *testing.T) {
	t.Parallel()
	l := newCluster(t, 3).work()
	l.goesOn(2 * time.Second)
	l.undisturbed()
	l.check()
}

// TestClusterNodeKilled: when a node is killed, people go on at others, and nothing
// is missing that was acknowledged.
func TestClusterNodeKilled(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3)
	for range *clusterRounds {
		l := c.work()
		time.Sleep(time.Duration(200+rand.IntN(1000)) * time.Millisecond) // any moment
		victim := c.nodes[rand.IntN(len(c.nodes))]
		victim.kill9()
		l.goesOn(2 * time.Second)
		victim.start()
		time.Sleep(500 * time.Millisecond)
		l.check()
	}
}

// TestClusterRestarts: all nodes are stopped and started, one after the other, while
// people work.
func TestClusterRestarts(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3)
	for range *clusterRounds {
		l := c.work()
		for _, s := range c.nodes {
			l.goesOn(500 * time.Millisecond)
			s.stop()
			s.start()
		}
		l.goesOn(500 * time.Millisecond)
		l.check()
	}
}

// TestClusterRedisGone: while Redis is away, and when it is back with nothing in it,
// people work on and keep their connections.
func TestClusterRedisGone(t *testing.T) {
	t.Parallel()
	redis := scratch.NewRedis(t)
	c := newClusterOn(t, scratch.Database(t), slices.Repeat([]string{redis.RedisURL()}, 3))
	c.errorsOK()
	for range *clusterRounds {
		l := c.work()
		l.goesOn(time.Second)
		redis.Kill()
		l.goesOn(faulty(5*time.Second, 30*time.Second))
		for _, s := range c.nodes {
			if status, body := s.get("/readyz"); status != 200 {
				t.Errorf("without Redis a node says %d %s", status, body)
			}
		}
		redis.Start()
		c.connected()
		l.goesOn(time.Second)
		l.undisturbed()
		l.check()
	}
}

// TestClusterRedisHangs: a Redis that takes connections and says nothing keeps nobody
// waiting.
func TestClusterRedisHangs(t *testing.T) {
	t.Parallel()
	redis := scratch.NewRedis(t)
	c := newClusterOn(t, scratch.Database(t), slices.Repeat([]string{redis.RedisURL()}, 2))
	c.errorsOK()
	l := c.work()
	usual := l.ackedWithin(2 * time.Second)
	redis.Stall()
	if n := l.ackedWithin(6 * time.Second); n < usual {
		t.Errorf("%d were acknowledged in 6 s, usually %d in 2 s", n, usual)
	}
	redis.Resume()
	c.connected()
	l.undisturbed()
	l.check()
}

// TestClusterRedisLoses: of what the nodes tell each other a share gets lost, at
// random, and goes on getting lost until all is told.
func TestClusterRedisLoses(t *testing.T) {
	t.Parallel()
	redis := scratch.NewRedis(t)
	proxy := newProxy(t, redis.Addr)
	c := newClusterOn(t, scratch.Database(t), slices.Repeat([]string{proxy.RedisURL()}, 3))
	for range *clusterRounds {
		share := 0.1 + 0.8*rand.Float64()
		proxy.drop(share)
		lost, passed := proxy.lost.Load(), proxy.passed.Load()
		l := c.work()
		l.goesOn(faulty(4*time.Second, 8*time.Second))
		l.undisturbed()
		l.check()
		lost, passed = proxy.lost.Load()-lost, proxy.passed.Load()-passed
		t.Logf("%.2f were to get lost: %d did, %d did not", share, lost, passed)
		if lost == 0 || passed == 0 {
			t.Error("the proxy did not see to that")
		}
	}
}

// TestClusterPostgresGone: while Postgres is away nothing is acknowledged, and people
// keep their connections; what they have sent is stored when it is back.
func TestClusterPostgresGone(t *testing.T) {
	t.Parallel()
	postgres := scratch.NewPostgres(t)
	c := newClusterOn(t, postgres.CreateDatabase(t), slices.Repeat([]string{scratch.Redis(t)}, 3))
	c.errorsOK()
	for range *clusterRounds {
		l := c.work()
		l.goesOn(time.Second)
		postgres.Kill()
		time.Sleep(500 * time.Millisecond) // for answers that are under way
		if n := l.ackedWithin(faulty(5*time.Second, 20*time.Second)); n > 0 {
			t.Errorf("%d were acknowledged without a database", n)
		}
		for _, s := range c.nodes {
			if status, body := s.get("/readyz"); status != 503 {
				t.Errorf("without Postgres a node says %d %s", status, body)
			}
		}
		postgres.Start()
		back := time.Now()
		eventually(t, "something is acknowledged again", patience, func() bool { return l.ackedWithin(100*time.Millisecond) > 0 })
		t.Logf("first acknowledged after %v", time.Since(back))
		l.goesOn(2 * time.Second)
		l.undisturbed()
		l.check()
	}
}

// TestClusterCutOff: a node without Redis takes part all the same, by the database.
func TestClusterCutOff(t *testing.T) {
	t.Parallel()
	redis := scratch.NewRedis(t)
	proxy := newProxy(t, redis.Addr)
	c := newClusterOn(t, scratch.Database(t), []string{proxy.RedisURL(), redis.RedisURL(), redis.RedisURL()})
	c.errorsOK()
	for range *clusterRounds {
		l := c.work()
		l.goesOn(time.Second)
		proxy.refuse()
		l.goesOn(faulty(3*time.Second, 20*time.Second))
		l.undisturbed()
		l.check() // and it still is
		proxy.allow()
		c.connected()
	}
}
