package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"

	"atrium/collab/change"
	ct "atrium/collab/change/changetest"
	"atrium/collab/docsync"
)

// innocents are two people who go on editing one document.
type innocents struct {
	t          *testing.T
	s          *testServer
	doc        string
	alice, bob *author
	log        []change.Hash
}

func edited(t *testing.T, s *testServer) *innocents {
	t.Helper()
	doc := newDocument()
	in := &innocents{
		t: t, s: s, doc: doc,
		alice: dial(t, s, "alice", senderID(doc), docs("*", "write")).author(doc),
		bob:   dial(t, s, "bob", senderID(doc), docs("*", "write")).author(doc),
	}
	in.alice.ask(syncMsg(in.alice.client, doc, nothingYet()))
	in.bob.ask(syncMsg(in.bob.client, doc, nothingYet()))
	in.goOn()
	return in
}

// goOn lets both edit: the change must be stored and reach the other, and
// nothing else may.
func (in *innocents) goOn() {
	in.t.Helper()
	for _, pair := range [][2]*author{{in.alice, in.bob}, {in.bob, in.alice}} {
		h := pair[0].write()
		in.log = append(in.log, h)
		pair[1].await("the other's edit", func(m msg) bool {
			hashes := changesIn(in.t, m)
			if strange := slices.DeleteFunc(slices.Clone(hashes), func(h change.Hash) bool { return slices.Contains(in.log, h) }); len(strange) > 0 {
				in.t.Fatalf("%s was sent changes of others: %v", pair[1].user, strange)
			}
			if m["type"] == "error" {
				in.t.Fatalf("%s was told %v", pair[1].user, m)
			}
			return slices.Contains(hashes, h)
		})
	}
}

// check restarts the server, and finds in the log what the two have written.
func (in *innocents) check() {
	in.t.Helper()
	in.s.stop()
	if got := stored(in.t, in.s)[in.doc]; !slices.Equal(got, in.log) {
		in.t.Errorf("stored %v, want %v", got, in.log)
	}
	in.s.start()
	dial(in.t, in.s, "carol", docs("*", "read")).open(in.doc).receives(in.doc, in.log...)
}

func TestBadChanges(t *testing.T) {
	t.Parallel()
	in := edited(t, startServer(t))
	set := func(key string) []ct.Op { return []ct.Op{ct.Set(ct.ID{}, key, 1)} }
	actor := byte(1)
	fresh := func() []byte { actor++; return ct.Actor(actor) }
	refused := ct.Change{Actor: fresh(), Ops: []ct.Op{{Key: "a", Action: 99}}}
	damaged := ct.Change{Actor: fresh(), Ops: set("a")}.Encode()
	damaged[5]++
	flipped := ct.Change{Actor: fresh(), Ops: set("a")}.Encode()
	flipped[len(flipped)-1]++
	tests := []struct {
		name   string
		change func() ct.Change
		chunk  []byte
	}{
		{"bad actor index", func() ct.Change {
			return ct.Change{Actor: fresh(), Ops: []ct.Op{ct.Set(ct.ID{Actor: 5, Ctr: 1}, "a", 1)}}
		}, nil},
		{"unknown action", func() ct.Change { return refused }, nil},
		{"unused other actor", func() ct.Change {
			return ct.Change{Actor: fresh(), Others: [][]byte{ct.Actor(200)}, Ops: set("a")}
		}, nil},
		{"an increment that is a text", func() ct.Change {
			return ct.Change{Actor: fresh(), Ops: []ct.Op{{Key: "a", Action: ct.Inc, Value: "x"}}}
		}, nil},
		{"the same actor and sequence number again", func() ct.Change {
			return ct.Change{Actor: in.alice.actor, Seq: in.alice.seq, StartOp: in.alice.seq, Deps: nil, Ops: set("other")}
		}, nil},
		{"a gap in sequence numbers", func() ct.Change { return ct.Change{Actor: fresh(), Seq: 3, StartOp: 9, Ops: set("a")} }, nil},
		{"a gap in alice's sequence numbers", func() ct.Change {
			return ct.Change{Actor: in.alice.actor, Seq: in.alice.seq + 2, StartOp: 100, Deps: in.alice.head, Ops: set("a")}
		}, nil},
		{"first operation too low", func() ct.Change { return ct.Change{Actor: fresh(), StartOp: 1, Deps: in.alice.head, Ops: set("a")} }, nil},
		{"sequence number 0", func() ct.Change { return ct.Change{Actor: fresh(), Raw: true, StartOp: 1, Ops: set("a")} }, nil},
		{"an actor without bytes", func() ct.Change { return ct.Change{Actor: []byte{}, Ops: set("a")} }, nil},
		{"on a refused change", func() ct.Change {
			return ct.Change{Actor: fresh(), StartOp: 9, Deps: []change.Hash{refused.Hash()}, Ops: set("a")}
		}, nil},
		{"document chunk", nil, ct.Chunk(0, []byte("a document"))},
		{"bundle chunk", nil, ct.Chunk(3, []byte("a bundle"))},
		{"unknown chunk", nil, ct.Chunk(9, []byte("what"))},
		{"compressed chunk of nonsense", nil, ct.Chunk(2, []byte("nonsense"))},
		{"damaged checksum", nil, damaged},
		{"damaged body", nil, flipped},
		{"two changes in one", nil, bytes.Repeat(ct.Change{Actor: fresh(), Ops: set("a")}.Encode(), 2)},
		{"an empty chunk", nil, []byte{}},
	}
	mallory := dial(t, in.s, "mallory", docs("*", "write"))
	mallory.ask(syncMsg(mallory, in.doc, nothingYet()))
	for _, asked := range []bool{false, true} {
		for _, test := range tests {
			t.Run(fmt.Sprintf("%s/asked=%v", test.name, asked), func(t *testing.T) {
				chunk, name := test.chunk, ""
				if test.change != nil {
					c := test.change()
					chunk, name = c.Encode(), c.Hash().String()
				}
				m := syncMsg(mallory, in.doc, docsync.Message{Have: []docsync.Have{{}}, Changes: [][]byte{chunk}})
				if asked {
					m["id"] = test.name
				}
				mallory.send(m)
				var told []msg
				for _, m := range mallory.settle(in.doc) {
					if m["type"] != "sync" && m["type"] != "ephemeral" {
						told = append(told, m)
					}
				}
				switch {
				case len(told) != 1 || told[0]["code"] != "bad_request" || told[0]["id"] != m["id"]:
					t.Errorf("got %v, want one bad_request with id %v", told, m["id"])
				case !strings.Contains(told[0]["message"].(string), name):
					t.Errorf("got %v, want it to name %s", told[0], name)
				case strings.Contains(told[0]["message"].(string), strings.Repeat("0", 64)):
					t.Errorf("got %v, which names a change that is none", told[0])
				}
				in.goOn()
			})
		}
	}
	mallory.ping() // all that ended nothing
	in.check()
}

// TestOrphans fills the place for changes whose dependencies are missing: it
// costs who does it their session, and nobody else anything.
func TestOrphans(t *testing.T) {
	t.Parallel()
	in := edited(t, startServer(t))
	mallory := dial(t, in.s, "mallory", docs("*", "write"))
	// Changes that come before what they depend on are taken from others all the while.
	outOfOrder := func() {
		first, second := in.alice.next(), in.alice.next()
		for _, c := range []ct.Change{second, first} {
			in.alice.sync(in.doc, docsync.Message{Heads: in.alice.head, Have: []docsync.Have{{LastSync: first.Deps}}, Changes: [][]byte{c.Encode()}})
		}
		in.alice.acknowledged(second.Hash())
		in.log = append(in.log, first.Hash(), second.Hash())
	}
	const most = 50_000
	var chunks [][]byte
	for i := range most + 1 {
		missing := change.Hash{1, byte(i >> 16), byte(i >> 8), byte(i)}
		chunks = append(chunks, ct.Change{StartOp: 9, Deps: []change.Hash{missing}, Ops: []ct.Op{ct.Set(ct.ID{}, "a", 1)}}.Encode())
	}
	// As many as one may hold leave place for what others send.
	mallory.sync(in.doc, docsync.Message{Have: []docsync.Have{{}}, Changes: chunks[:most]})
	outOfOrder()
	mallory.sync(in.doc, docsync.Message{Have: []docsync.Have{{}}, Changes: chunks[most:]})
	in.goOn()
	mallory.await("the error", func(m msg) bool { return m["type"] == "error" && m["code"] == "unavailable" })
	mallory.expectClose(4503)
	in.goOn()

	outOfOrder()
	in.goOn()
	in.check()
}

// TestMutations: whatever bytes somebody sends, others go on.
func TestMutations(t *testing.T) {
	t.Parallel()
	in := edited(t, startServer(t))
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	mutate := func(original []byte) []byte {
		data := slices.Clone(original)
		for n := random.IntN(3); n >= 0 || bytes.Equal(data, original); n-- {
			switch i := random.IntN(len(data)); random.IntN(4) {
			case 0:
				data[i] = byte(random.IntN(256))
			case 1:
				data[i] ^= 1 << random.IntN(8)
			case 2:
				data = data[:max(i, 1)]
			case 3:
				data = slices.Insert(data, i, data[random.IntN(len(data)):]...)
			}
		}
		return data
	}
	mallory := dial(t, in.s, "mallory", docs("*", "write"))
	closes := 0
	for round := range 40 {
		author := mallory.author(in.doc)
		message := docsync.Message{
			Heads: in.alice.head, Need: in.bob.head, Have: []docsync.Have{{LastSync: in.alice.head}},
			Changes: [][]byte{mutate(author.next().Encode())}, // its checksum cannot match
		}
		data := docsync.AppendMessage(nil, message)
		for range 10 {
			m := syncMsg(mallory, in.doc, docsync.Message{})
			m["data"] = mutate(data)
			raw, err := cbor.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			if random.IntN(4) == 0 {
				raw = mutate(raw)
			}
			mallory.sendRaw(raw)
		}
		in.goOn()
		if mallory.ended() != nil {
			closes++
			mallory = dial(t, in.s, "mallory", senderID(fmt.Sprint(round)), docs("*", "write"))
		}
	}
	t.Logf("the attacker was closed %d times", closes)
	in.check()
}
