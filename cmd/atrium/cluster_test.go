package main

import (
	"flag"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"atrium/internal/scratch"
)

var clusterRounds = flag.Int("cluster-rounds", 1, "how often the TestClusters of chance go round; with more than 1, what fails does so for its full time")

// cluster is nodes on one database, which hear each other.
type cluster struct {
	t           *testing.T
	nodes       []*testServer
	databaseURL string
}

// clusters holds one for each that runs: more than a few are too much for two cores.
var clusters = make(chan struct{}, 3)

// newCluster starts nodes, on servers that other tests use, too.
func newCluster(t *testing.T, n int, settings ...string) *cluster {
	t.Helper()
	return newClusterOn(t, scratch.Database(t), slices.Repeat([]string{scratch.Redis(t)}, n), settings...)
}

// newClusterOn starts a node for each address under which one is to find Redis. All
// start at once: the first on a database makes the tables.
func newClusterOn(t *testing.T, databaseURL string, redisURLs []string, settings ...string) *cluster {
	t.Helper()
	clusters <- struct{}{}
	t.Cleanup(func() { <-clusters }) // when the nodes have stopped
	c := &cluster{t: t, databaseURL: databaseURL}
	var starting sync.WaitGroup
	for _, redisURL := range redisURLs {
		s := newServer(t, append([]string{onFile, withAPIKey, "ATRIUM_DATABASE_URL=" + databaseURL, "ATRIUM_REDIS_URL=" + redisURL}, settings...)...)
		s.databaseURL = databaseURL
		c.nodes = append(c.nodes, s)
		starting.Go(s.start)
	}
	starting.Wait()
	if t.Failed() {
		t.FailNow()
	}
	c.connected()
	return c
}

// connected waits until all nodes hear Redis.
func (c *cluster) connected() {
	c.t.Helper()
	for _, s := range c.nodes {
		eventually(c.t, "a node hears Redis", patience, func() bool {
			_, body := s.get("/readyz")
			return strings.Contains(body, `"ok"`)
		})
	}
}

// errorsOK lets the nodes log errors: their surroundings fail.
func (c *cluster) errorsOK() {
	for _, s := range c.nodes {
		s.errorsOK = true
	}
}

// each dials every node as a user of its own: name 0, name 1, …
func (c *cluster) each(name string, options ...option) (clients []*client) {
	c.t.Helper()
	for i, s := range c.nodes {
		clients = append(clients, dial(c.t, s, name+" "+string(rune('0'+i)), options...))
	}
	return clients
}

// eventually waits until something holds, and returns how long that took.
func eventually(t *testing.T, what string, within time.Duration, ok func() bool) time.Duration {
	t.Helper()
	for began := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		if ok() {
			return time.Since(began)
		}
		if time.Since(began) > within {
			t.Fatalf("not within %v: %s", within, what)
		}
	}
}

// tells waits for a message of a type with these fields, and skips others.
func (c *client) tells(typ string, fields msg) msg {
	c.t.Helper()
	return c.await(typ, func(m msg) bool {
		for k, v := range fields {
			if m[k] != v {
				return false
			}
		}
		return m["type"] == typ
	}).msg
}
