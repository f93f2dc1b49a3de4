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

// A few bytes stand for very many operations: no message makes us check them all.
func TestOperationsOfOneMessageAreBounded(t *testing.T) {
	many := func(seq, n int) []byte {
		deletions := append(change.AppendLeb(nil, int64(n)), changetest.Del)
		return changetest.Change{Seq: uint64(seq), Replace: []changetest.Column{{Spec: changetest.Action, Data: deletions}}}.Encode()
	}
	var m docsync.Message
	for i := range 8 {
		m.Changes = append(m.Changes, many(i+1, 1<<20))
	}
	doc := new(docsync.Document)
	p := docsync.NewPeer(nil, false)
	if refused, err := doc.Receive(p, m); err != nil || len(refused) != 8 {
		t.Errorf("8 million operations: %d changes refused, error %v, want 8 and none", len(refused), err)
	}
	if p.Costs != 1<<23/100_000 {
		t.Errorf("they cost %d, want %d", p.Costs, 1<<23/100_000)
	}
	m.Changes = append(m.Changes, many(9, 1<<20))
	if _, err := doc.Receive(docsync.NewPeer(nil, false), m); err != docsync.ErrTooMuch {
		t.Errorf("9 million operations: got error %v, want ErrTooMuch", err)
	}
}
