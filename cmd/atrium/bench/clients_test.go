package bench

import (
	"slices"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/gorilla/websocket"

	"atrium/collab/change"
	"atrium/collab/docsync"
)

// syncFrame is a sync message as a server gets and sends it.
type syncFrame struct {
	Type       string `json:"type"`
	SenderID   string `json:"senderId"`
	DocumentID string `json:"documentId"`
	Data       []byte `json:"data"`

	sync docsync.Message
}

// stage is a run whose server is the test.
type stage struct {
	*docsRun
	t    *testing.T
	got  chan syncFrame
	send chan docsync.Message
	url  string
}

func newStage(t *testing.T, s *script) *stage {
	st := &stage{t: t, got: make(chan syncFrame, 100), send: make(chan docsync.Message, 100)}
	st.url = serveWebSocket(t, func(ws *websocket.Conn) {
		ws.ReadMessage()
		ws.WriteMessage(websocket.BinaryMessage, mustCBOR(map[string]any{"type": "peer", "senderId": "the server"}))
		go func() {
			for m := range st.send {
				ws.WriteMessage(websocket.BinaryMessage, mustCBOR(map[string]any{
					"type": "sync", "senderId": "the server", "documentId": st.documentID, "data": docsync.AppendMessage(nil, m),
				}))
			}
			ws.Close()
		}()
		for {
			_, msg, err := ws.ReadMessage()
			if err != nil {
				close(st.got)
				return
			}
			var f syncFrame
			if err := cbor.Unmarshal(msg, &f); err != nil {
				t.Error(err)
			}
			if f.sync, err = docsync.ParseMessage(f.Data); err != nil {
				t.Error(err)
			}
			st.got <- f
		}
	})
	st.docsRun = &docsRun{
		hearing: hearing{script: s}, load: &Load{}, target: &target{urls: []string{st.url}},
		documentID: newDocumentID(), began: time.Now(),
		opening: newCountdown(1), deliveries: newCountdown(len(s.edits)),
	}
	st.schedule.Store(&schedule{start: time.Now(), rate: 10})
	return st
}

// next returns what the server got next.
func (st *stage) next() syncFrame {
	st.t.Helper()
	select {
	case f, ok := <-st.got:
		if ok {
			return f
		}
	case <-time.After(10 * time.Second):
	}
	st.t.Fatal("the server gets nothing")
	panic("unreachable")
}

// ended fails if the server gets more before the connection ends.
func (st *stage) ended() {
	st.t.Helper()
	close(st.send)
	for f := range st.got {
		st.t.Errorf("the server gets %+v", f)
	}
}

func chunks(changes ...typed) (list [][]byte) {
	for _, c := range changes {
		list = append(list, c.chunk)
	}
	return list
}

func TestObserverPlaysAStockClient(t *testing.T) {
	t.Parallel()
	s := newScript(3, 2, 1)
	st := newStage(t, s)
	o, err := st.newObserver(t.Context(), 7)
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	done := make(chan error, 1)
	go func() { done <- o.open() }()

	f := st.next()
	if f.Type != "request" || f.SenderID != "observer-000007" || f.DocumentID != st.documentID {
		t.Errorf("it asks by %+v", f)
	}
	if m := f.sync; len(m.Heads)+len(m.Need) > 0 || m.Flags != 0 || len(m.Have) != 1 || len(m.Have[0].LastSync) > 0 {
		t.Errorf("it asks by %+v", m)
	}
	tell := func(c typed, changes ...typed) {
		st.send <- docsync.Message{Heads: []change.Hash{c.hash}, Have: []docsync.Have{{LastSync: []change.Hash{c.hash}}}, Changes: chunks(changes...)}
	}
	answered := func(c typed) {
		t.Helper()
		f := st.next()
		heads := []change.Hash{c.hash}
		if f.Type != "sync" || f.Data[0] != typeV2 || f.sync.Flags == 0 || len(f.sync.Changes)+len(f.sync.Need) > 0 ||
			!slices.Equal(f.sync.Heads, heads) || len(f.sync.Have) != 1 || !slices.Equal(f.sync.Have[0].LastSync, heads) {
			t.Errorf("it answers %+v", f)
		}
	}
	tell(s.preload[2], s.preload...)
	answered(s.preload[2])
	<-st.opening.zero
	tell(s.preload[2]) // it has told these heads already
	tell(s.edits[0], s.edits[0])
	answered(s.edits[0])
	tell(s.edits[1], s.edits...) // one of them again
	answered(s.edits[1])
	tell(s.edits[1])
	st.ended()
	if err := <-done; err == nil {
		t.Error("the connection ended without an error")
	}
	if o.received != 2 || o.latency.n != 2 || o.opened <= 0 {
		t.Errorf("got %d edits, want 2; opened at %v", o.received, o.opened)
	}
	if left := st.deliveries.left.Load(); left != 0 {
		t.Errorf("%d deliveries are left", left)
	}
}

// TestLatencyCountsFromDue: an edit that nobody sent in time is late by as much.
func TestLatencyCountsFromDue(t *testing.T) {
	t.Parallel()
	s := newScript(1, 3, 1)
	began := time.Now()
	r := &docsRun{hearing: hearing{script: s}, began: began, deliveries: newCountdown(3), opening: newCountdown(1)}
	r.schedule.Store(&schedule{start: began.Add(time.Second), rate: 10})
	o := &observer{run: r, missing: 1, has: make([]uint64, 1)}
	o.take(&heard{numbers: []int{0}}, 100*time.Millisecond)
	o.take(&heard{numbers: []int{1, 2, 0}}, 3*time.Second) // due at 1 s and 1.1 s
	o.take(&heard{numbers: []int{2, 1}}, 9*time.Second)
	if o.missing != 0 || o.received != 2 || r.deliveries.left.Load() != 1 {
		t.Errorf("%d received, %d of the preload missing, %d left", o.received, o.missing, r.deliveries.left.Load())
	}
	if got := o.latency.max; got != 2*time.Second {
		t.Errorf("the edit due first is %v late, want 2s", got)
	}
	if got := o.latency.quantile(0); !close1(got, 1900*time.Millisecond) {
		t.Errorf("the other is %v late, want 1.9s", got)
	}
}

func TestWriterTellsWhatItHas(t *testing.T) {
	t.Parallel()
	s := newScript(1200, 3, 2)
	st := newStage(t, s)
	w, err := st.newWriter(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	uploaded := make(chan error, 1)
	go func() { uploaded <- w.upload() }()
	for _, n := range []int{1000, 200} {
		f := st.next()
		if f.Type != "sync" || len(f.sync.Changes) != n {
			t.Errorf("it uploads %d changes, want %d", len(f.sync.Changes), n)
		}
		st.send <- docsync.Message{Heads: []change.Hash{{9}}} // not what it waits for
		st.send <- docsync.Message{Heads: f.sync.Heads}
	}
	if err := <-uploaded; err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- w.follow() }()

	heads := func(changes ...typed) []change.Hash {
		f := newFrontier()
		for i := range changes {
			f.add(&typed{hash: changes[i].hash})
		}
		return f.heads
	}
	if err := w.edit(&s.edits[0]); err != nil {
		t.Fatal(err)
	}
	if m := st.next().sync; !slices.Equal(m.Heads, heads(s.edits[0])) || !slices.Equal(m.Have[0].LastSync, s.preloadHeads()) || len(m.Changes) != 1 {
		t.Errorf("its first edit says %+v", m)
	}
	st.send <- docsync.Message{Heads: heads(s.edits[0])} // the acknowledgement: nothing to be said
	st.send <- docsync.Message{Heads: heads(s.edits[0], s.edits[1]), Changes: chunks(s.edits[1])}
	if m := st.next().sync; !slices.Equal(m.Heads, heads(s.edits[0], s.edits[1])) || len(m.Changes) != 0 {
		t.Errorf("to the other's edit it says %+v", m)
	}
	if err := w.edit(&s.edits[2]); err != nil {
		t.Fatal(err)
	}
	if m := st.next().sync; !slices.Equal(m.Heads, heads(s.edits[1], s.edits[2])) || len(m.Changes) != 1 {
		t.Errorf("its next edit says %+v", m)
	}
	st.ended()
	if err := <-done; err == nil {
		t.Error("the connection ended without an error")
	}
}
