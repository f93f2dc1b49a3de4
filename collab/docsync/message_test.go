package docsync_test

import (
	"bytes"
	"reflect"
	"testing"

	"github.com/automerge/automerge-go"

	"atrium/collab/docsync"
)

func TestMessagesOfTheReferenceImplementation(t *testing.T) {
	alice, bob := automerge.New(), automerge.New()
	for i, doc := range []*automerge.Doc{alice, alice, bob, bob, bob} {
		if err := doc.Path("key").Set(i); err != nil {
			t.Fatal(err)
		}
		if _, err := doc.Commit(""); err != nil {
			t.Fatal(err)
		}
	}
	a, b := automerge.NewSyncState(alice), automerge.NewSyncState(bob)
	messages, changes := 0, 0
	for again := true; again; {
		again = false
		for _, way := range []struct{ from, to *automerge.SyncState }{{a, b}, {b, a}} {
			m, ok := way.from.GenerateMessage()
			if !ok {
				continue
			}
			again = true
			messages++
			parsed, err := docsync.ParseMessage(m.Bytes())
			if err != nil {
				t.Fatalf("message %d: %v", messages, err)
			}
			if got := docsync.AppendMessage(nil, parsed); !bytes.Equal(got, m.Bytes()) {
				t.Errorf("message %d is written as\n%x, want\n%x", messages, got, m.Bytes())
			}
			for i, h := range m.Heads() {
				if parsed.Heads[i].String() != h.String() {
					t.Errorf("message %d: head %d is %s, want %s", messages, i, parsed.Heads[i], h)
				}
			}
			if len(parsed.Have) > 0 {
				for _, h := range parsed.Heads {
					if !parsed.Have[0].Bloom.Empty() && len(parsed.Have[0].LastSync) == 0 && !parsed.Have[0].Bloom.Contains(h) {
						t.Errorf("message %d: its own filter lacks %s", messages, h)
					}
				}
			}
			changes += len(m.Changes())
			if _, err := way.to.ReceiveMessage(docsync.AppendMessage(nil, parsed)); err != nil {
				t.Fatalf("message %d, written again: %v", messages, err)
			}
		}
	}
	if changes != 5 || alice.Heads()[0] != bob.Heads()[0] {
		t.Errorf("got %d changes over, want 5 and equal heads", changes)
	}
}

func FuzzParseMessage(f *testing.F) {
	peer := newRefPeer()
	for i := range 3 {
		peer.write(&testing.T{}, []byte("an actor of mine"), i+1, i)
	}
	m, _ := peer.generate()
	f.Add(docsync.AppendMessage(nil, m))
	peer.receive(&testing.T{}, docsync.Message{Have: []docsync.Have{{}}})
	m, _ = peer.generate()
	f.Add(docsync.AppendMessage(nil, m))
	f.Add([]byte{0x42, 0, 0, 0, 0, 2, 2, 0x84})
	f.Add([]byte{0x43, 0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := docsync.ParseMessage(data)
		if err != nil {
			return
		}
		again, err := docsync.ParseMessage(docsync.AppendMessage(nil, m))
		if err != nil || !reflect.DeepEqual(m, again) {
			t.Errorf("%+v became %+v, %v", m, again, err)
		}
		// A document takes any message of any peer, in any state.
		doc := new(docsync.Document)
		for _, readOnly := range []bool{false, true} {
			p := docsync.NewPeer(nil, readOnly)
			for range 2 {
				if _, err := doc.Receive(p, m); err != nil {
					t.Fatal(err)
				}
				doc.Commit()
				for range 3 {
					out, ok := doc.Next(p)
					if !ok {
						break
					}
					if _, err := docsync.ParseMessage(doc.Append(nil, out)); err != nil {
						t.Errorf("own message: %v", err)
					}
					doc.Sent(p, out)
				}
			}
		}
	})
}
