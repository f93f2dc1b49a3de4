package main

import (
	"fmt"
	"slices"
	"testing"

	"atrium/cmd/atrium/bench"
	"atrium/internal/scratch"
)

// twoNodes are the flags for two nodes of the bench's own.
func twoNodes(t *testing.T) []string {
	return []string{"--nodes", "2", "--database-url", scratch.Database(t), "--redis-url", scratch.Redis(t)}
}

// TestBenchNodes: what is said on two nodes comes to everybody on both.
func TestBenchNodes(t *testing.T) {
	t.Parallel()
	check := func(t *testing.T, n bench.Nodes) {
		t.Helper()
		if n.Count != 2 || n.On != "Postgres and Redis" {
			t.Errorf("%d nodes on %s, want 2 on Postgres and Redis", n.Count, n.On)
		}
	}
	t.Run("docs", func(t *testing.T) {
		t.Parallel()
		report := benched[bench.DocsReport](t, slices.Concat(smallLoad, twoNodes(t))...)
		checkDocs(t, report, "atrium", "floor")
		check(t, report.Targets[0].Nodes)
	})
	t.Run("chat", func(t *testing.T) {
		t.Parallel()
		report := benched[bench.ChatReport](t, slices.Concat(smallChat, twoNodes(t), []string{"--no-floor"})...)
		checkChat(t, report, "atrium")
		check(t, report.Targets[0].Nodes)
	})
	t.Run("push", func(t *testing.T) {
		t.Parallel()
		report := benched[bench.PushReport](t, slices.Concat(smallPush, twoNodes(t))...)
		checkPush(t, report)
		check(t, report.Nodes)
	})
}

// TestBenchCluster measures nodes that are there already.
func TestBenchCluster(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2)
	var nodes []string
	for _, s := range c.nodes {
		nodes = append(nodes, "--url", "ws://"+s.addr+"/ws", "--pid", fmt.Sprint(s.cmd.Process.Pid))
	}
	nodes = append(nodes, "--jwt-secret", secret, "--api-key", apiKey)
	checkDocs(t, benched[bench.DocsReport](t, slices.Concat(smallLoad, nodes, []string{"--no-floor", "--read-only"})...), "atrium")
	checkChat(t, benched[bench.ChatReport](t, slices.Concat(smallChat, nodes, []string{"--no-floor"})...), "atrium")
	checkPush(t, benched[bench.PushReport](t, slices.Concat(smallPush, nodes)...))
}
