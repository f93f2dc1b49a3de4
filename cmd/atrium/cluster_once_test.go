package main

import (
	"fmt"
	"sync"
	"testing"
)

// TestClusterBuildsOn: who builds on what another node has committed a moment ago is
// understood at once, though this node may not have heard of it.
func TestClusterBuildsOn(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2)
	doc := newDocument()
	alice := dial(t, c.nodes[0], "alice", docs("*", "write")).author(doc)
	alice.submit()
	bob := dial(t, c.nodes[1], "bob", docs("*", "write"))
	bob.open(doc)
	carol := dial(t, c.nodes[1], "carol", docs("*", "write"))
	for i := range 30 {
		h := alice.submit()
		change := carol.author(doc).next()
		change.Deps, change.StartOp = append(change.Deps, h), uint64(1000+i)
		carol.acks(editMsg(doc, change.Encode()))
		bob.receives(doc, h, change.Hash())
	}
}

// TestClusterCreatesOnce: two nodes that are to create one document at the same time
// make one content of it.
func TestClusterCreatesOnce(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2)
	for range 10 {
		id := newDocument()
		var creating sync.WaitGroup
		for _, s := range c.nodes {
			creating.Go(func() {
				s.post(documentsPath, map[string]any{"documentId": id, "content": map[string]any{"list": []any{1}}}).expect(t, 201)
			})
		}
		creating.Wait()
		for i, s := range c.nodes {
			if got := fmt.Sprint(s.content(id)); got != "map[list:[1]]" {
				t.Errorf("node %d has %s", i, got)
			}
		}
	}
}
