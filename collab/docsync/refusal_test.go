package docsync_test

import (
	"testing"

	"atrium/collab/change"
	"atrium/collab/change/changetest"
	"atrium/collab/docsync"
)

// What builds on a refused change is refused with it, also if it came first,
// and nothing of it is asked for.
func TestWhatBuildsOnARefusedChange(t *testing.T) {
	bad := changetest.Change{Seq: 1, StartOp: 1, Ops: []changetest.Op{{Key: "x", Action: 99}}}
	next := changetest.Change{Seq: 2, StartOp: 2, Deps: []change.Hash{bad.Hash()}, Ops: []changetest.Op{changetest.Set(changetest.ID{}, "x", 1)}}
	for name, order := range map[string][][]byte{
		"in order":          {bad.Encode(), next.Encode()},
		"the other way":     {next.Encode(), bad.Encode()},
		"each by itself":    {bad.Encode(), nil, next.Encode()},
		"itself, reversed":  {next.Encode(), nil, bad.Encode()},
		"more than once":    {next.Encode(), next.Encode(), bad.Encode(), bad.Encode()},
		"the second a gift": {next.Encode(), nil, nil, bad.Encode(), next.Encode()},
	} {
		doc := new(docsync.Document)
		p := docsync.NewPeer(nil, false)
		refused := make(map[change.Hash]bool)
		m := docsync.Message{Heads: []change.Hash{next.Hash()}, Have: []docsync.Have{{LastSync: []change.Hash{next.Hash()}}}}
		send := func() {
			got, err := doc.Receive(p, m)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range got {
				refused[r.Change] = true
			}
			doc.Commit()
			m.Changes = nil
		}
		for _, chunk := range order {
			if chunk == nil {
				send()
				continue
			}
			m.Changes = append(m.Changes, chunk)
		}
		send()
		if len(doc.Staged()) > 0 || doc.Len() > 0 || !refused[bad.Hash()] || !refused[next.Hash()] {
			t.Errorf("%s: %d changes were added, refused are %v", name, doc.Len(), refused)
		}
		if out, ok := doc.Next(p); ok {
			sent, err := docsync.ParseMessage(doc.Append(nil, out))
			if err != nil || len(sent.Need) > 0 {
				t.Errorf("%s: asks for %.8s, %v", name, sent.Need, err)
			}
		}
	}
}
