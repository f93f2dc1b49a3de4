package main

import (
	"fmt"
	"reflect"
	"slices"
	"sync"
	"testing"

	"atrium/collab/change"
	ct "atrium/collab/change/changetest"
	"atrium/collab/docsync"
)

// TestClusterSameSeq: two nodes are given different changes with one actor and seq at
// once, in each way. One is stored, the other refused, and all nodes show the same;
// what others write meanwhile is not touched.
func TestClusterSameSeq(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2)
	for round := range 10 * *clusterRounds {
		doc := newDocument()
		first := dial(t, c.nodes[0], "first", senderID(doc), docs("*", "write")).author(doc)
		base := first.submit()
		one := first.author(doc)
		one.head = []change.Hash{base}
		twin := *one
		twin.value = "the other"
		rivals := []ct.Change{one.next(), twin.next()}
		for i := range rivals {
			rivals[i].StartOp = 2 // behind the first
		}
		var writing sync.WaitGroup
		var acked [2]bool
		for i, s := range c.nodes {
			x := dial(t, s, fmt.Sprint("rival ", i), senderID(doc), docs("*", "write"))
			writing.Go(func() {
				if round%2 == 0 {
					answer := x.ask(editMsg(doc, rivals[i].Encode()))
					acked[i] = outcome(answer) == "ack"
					if !acked[i] && (outcome(answer) != "conflict" && outcome(answer) != "bad_request" || answer["retryable"] != false) {
						t.Errorf("the refusal is %v", answer)
					}
					return
				}
				h := rivals[i].Hash()
				x.sync(doc, docsync.Message{Heads: []change.Hash{h}, Have: []docsync.Have{{LastSync: rivals[i].Deps}}, Changes: [][]byte{rivals[i].Encode()}})
				x.await("an answer", func(m msg) bool {
					acked[i] = m["documentId"] == doc && slices.Contains(syncOf(t, m).Heads, h)
					return acked[i] || m["type"] == "error"
				})
			})
			bystander := dial(t, s, fmt.Sprint("bystander ", i), senderID(doc), docs("*", "write")).author(doc)
			writing.Go(func() { bystander.submit() })
		}
		writing.Wait()
		if acked[0] == acked[1] {
			t.Fatalf("round %d: stored by node 0: %v, by node 1: %v; want one of them", round, acked[0], acked[1])
		}
		winner := rivals[0].Hash()
		if acked[1] {
			winner = rivals[1].Hash()
		}
		log := stored(t, c.nodes[0])[doc]
		if len(log) != 4 || !slices.Contains(log, winner) {
			t.Errorf("round %d: stored are %v, want %v among four", round, log, winner)
		}
		var contents []any
		for i, s := range c.nodes {
			contents = append(contents, s.content(doc))
			got := dial(t, s, "fresh", docs("*", "read")).follow(doc)
			if !reflect.DeepEqual(asSet(got), asSet(log)) {
				t.Errorf("round %d: node %d has %v, stored are %v", round, i, got, log)
			}
		}
		if !reflect.DeepEqual(contents[0], contents[1]) {
			t.Errorf("round %d: the nodes show %v", round, contents)
		}
	}
}
