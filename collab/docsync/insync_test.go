package docsync_test

import (
	"testing"

	"github.com/automerge/automerge-go"

	"atrium/collab/change"
	"atrium/collab/change/changetest"
	"atrium/collab/docsync"
)

// inSync is a document with an author, and readers that have all of it.
type inSync struct {
	doc     docsync.Document
	author  *docsync.Peer
	last    changetest.Change
	readers []*docsync.Peer
}

func newInSync(tb testing.TB, changes, readers int) *inSync {
	s := &inSync{author: docsync.NewAuthor("author")}
	s.last = changetest.Change{Ops: []changetest.Op{changetest.Set(changetest.ID{}, "x", 0)}}
	for i := range changes {
		if i > 0 {
			s.step()
		}
		s.commit(tb)
	}
	for range readers {
		p := docsync.NewPeer("reader", false)
		if _, err := s.doc.Receive(p, docsync.Message{Heads: s.doc.Heads(), Have: []docsync.Have{{LastSync: s.doc.Heads()}}}); err != nil {
			tb.Fatal(err)
		}
		s.readers = append(s.readers, p)
		s.tell(p)
	}
	return s
}

// step makes the author's next change.
func (s *inSync) step() {
	s.last = changetest.Change{
		Seq: uint64(s.doc.Len()) + 1, StartOp: uint64(s.doc.Len()) + 1, Deps: []change.Hash{s.last.Hash()},
		Ops: []changetest.Op{changetest.Set(changetest.ID{}, "x", s.doc.Len())},
	}
}

func (s *inSync) commit(tb testing.TB) {
	refused, err := s.doc.Submit(s.author, [][]byte{s.last.Encode()})
	if err != nil || len(refused) > 0 {
		tb.Fatal(refused, err)
	}
	s.doc.Commit()
}

// tell is what a change costs for one reader, but for the writing and reading
// of the message that all of them share.
func (s *inSync) tell(p *docsync.Peer) (told bool) {
	out, ok := s.doc.Next(p)
	if ok {
		s.doc.Sent(p, out)
	}
	return ok && out.Shared()
}

// answer is a stock client's, to a change that it has received.
func (s *inSync) answer() []byte {
	return docsync.AppendMessage(nil, docsync.Message{Heads: s.doc.Heads(), Have: []docsync.Have{{LastSync: s.doc.Heads()}}})
}

// TestInSyncAllocatesNothing: neither the message to a reader that is up to
// date, nor its answer.
func TestInSyncAllocatesNothing(t *testing.T) {
	const rounds = 100
	s := newInSync(t, 100, rounds+1)
	s.step()
	s.commit(t)
	next, answer := 0, s.answer()
	allocs := testing.AllocsPerRun(rounds, func() {
		if !s.tell(s.readers[next]) {
			t.Fatal("a reader was told nothing")
		}
		if _, ok := docsync.ParseAnswer(answer); !ok {
			t.Fatal("its answer was not taken for one")
		}
		if _, ok := s.readers[next].Settled(); !ok {
			t.Fatal("a reader is not settled")
		}
		next++
	})
	if allocs != 0 {
		t.Errorf("%v allocations for each reader and change", allocs)
	}
}

// BenchmarkInSync measures what one change costs for each session that is up to
// date: to decide what it is sent, and to take its answer in. For automerge-go
// that includes the message, which is every peer's own.
func BenchmarkInSync(b *testing.B) {
	const changes, readers = 20_000, 100
	b.Run("docsync", func(b *testing.B) {
		s := newInSync(b, changes, readers)
		b.ReportAllocs()
		for b.Loop() {
			b.StopTimer()
			s.step()
			s.commit(b)
			answer := s.answer()
			b.StartTimer()
			for _, p := range s.readers {
				s.tell(p)
				docsync.ParseAnswer(answer)
				p.Settled()
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/readers, "ns/session")
	})
	b.Run("automerge-go", func(b *testing.B) {
		const readers = 2 // it takes long enough
		s := newInSync(b, changes, 0)
		server := automerge.New()
		var log []byte
		for _, c := range s.doc.Since(nil) {
			log = append(log, c...)
		}
		if err := server.LoadIncremental(log); err != nil {
			b.Fatal(err)
		}
		var states []*automerge.SyncState
		receive := func(state *automerge.SyncState) {
			if _, err := state.ReceiveMessage(s.answer()); err != nil {
				b.Fatal(err)
			}
		}
		for range readers {
			state := automerge.NewSyncState(server)
			receive(state)
			state.GenerateMessage()
			states = append(states, state)
		}
		for b.Loop() {
			b.StopTimer()
			s.step()
			s.commit(b)
			if err := server.LoadIncremental(s.last.Encode()); err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
			for _, state := range states {
				if m, ok := state.GenerateMessage(); !ok || len(m.Changes()) != 1 {
					b.Fatal("a reader was not sent one change")
				}
				receive(state)
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/readers, "ns/session")
	})
}
