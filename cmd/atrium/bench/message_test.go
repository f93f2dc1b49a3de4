package bench

import (
	"bytes"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/fxamacker/cbor/v2"

	"atrium/collab/change"
	"atrium/collab/docsync"
)

func TestScan(t *testing.T) {
	data := payloadOf(70_000)
	msg := mustCBOR(map[string]any{
		"type": "sync", "documentId": "doc", "data": data, "senderId": "server", "count": 1.5,
		"peerMetadata": map[string]any{"isEphemeral": true, "list": []any{1, "a", nil, cbor.Tag{Number: 1, Content: 5}}},
	})
	// As JavaScript writes it: 16 bits for the number of fields, undefined values.
	quirky := append([]byte{0xb9, 0, 7}, msg[1:]...)
	quirky = append(quirky, 0x61, 'u', 0xf7)
	for _, m := range [][]byte{msg, quirky} {
		f, err := scan(m)
		if err != nil || string(f.typ) != "sync" || string(f.documentID) != "doc" || !bytes.Equal(f.data, data) {
			t.Fatalf("got %s %s and %d bytes: %v", f.typ, f.documentID, len(f.data), err)
		}
		for n := range min(len(m), 200) {
			if _, err := scan(m[:n]); err == nil {
				t.Errorf("no error after %d bytes", n)
			}
		}
	}
	if n := testing.AllocsPerRun(10, func() { scan(msg) }); n != 0 {
		t.Errorf("looking at a message costs %g allocations", n)
	}
}

func TestClientsFrame(t *testing.T) {
	t.Parallel()
	for _, n := range []int{10, 100, 300, 70_000} {
		frame := appendSync(nil, appendFields(nil, "type", "sync", "senderId", "me"), payloadOf(n))
		_, payload, err := newFrameReader(bytes.NewReader(frame), 64).next()
		if err != nil {
			t.Fatal(err)
		}
		var got struct {
			Type, SenderID string
			Data           []byte
		}
		if err := cbor.Unmarshal(payload, &got); err != nil || got.Type != "sync" || !bytes.Equal(got.Data, payloadOf(n)) {
			t.Errorf("%d bytes of data came as %d: %v", n, len(got.Data), err)
		}
	}
}

func TestAnswer(t *testing.T) {
	t.Parallel()
	heads := []change.Hash{{1}, {2}}
	answer := answerTo(heads)
	if !bytes.HasSuffix(answer, []byte{0, 0, 2, 2, 0x84}) || answer[0] != 0x43 {
		t.Errorf("got % x", answer)
	}
	got, ok := docsync.ParseAnswer(answer)
	if !ok || !bytes.Equal(got, append(heads[0][:], heads[1][:]...)) {
		t.Errorf("the server understands % x, %t", got, ok)
	}
}

// TestHears finds the script's changes whatever chunks they come in.
func TestHears(t *testing.T) {
	t.Parallel()
	s := newScript(10, 6, 2)
	doc := apply(t, slices.Concat(s.preload, s.edits[:1])).Save()
	for name, test := range map[string]struct {
		entries [][]byte
		want    []int
	}{
		"one each":            {[][]byte{s.edits[0].chunk, s.edits[1].chunk}, []int{10, 11}},
		"in a row":            {[][]byte{append(bytes.Clone(s.edits[2].chunk), s.edits[3].chunk...)}, []int{12, 13}},
		"document":            {[][]byte{doc}, numbers(0, 11)},
		"document and change": {[][]byte{append(bytes.Clone(doc), s.edits[2].chunk...)}, append(numbers(0, 11), 12)},
		"somebody else's":     {[][]byte{newScript(1, 0, 1).preload[0].chunk}, nil},
		"none":                {nil, nil},
	} {
		h := hearing{script: s}
		m, err := h.hear(docsync.AppendMessage(nil, docsync.Message{Heads: []change.Hash{s.edits[0].hash}, Changes: test.entries}))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := distinct(slices.Clone(m.numbers)); !slices.Equal(got, test.want) {
			t.Errorf("%s: heard of %v, want %v", name, got, test.want)
		}
	}
	h := hearing{script: s}
	for _, bad := range [][]byte{nil, {0x42}, doc[:len(doc)/2], s.edits[0].chunk[:20]} {
		if _, err := h.hear(docsync.AppendMessage(nil, docsync.Message{Changes: [][]byte{append(bytes.Clone(bad), make([]byte, 20)...)}})); err == nil {
			t.Errorf("no error for a chunk of %x", bad)
		}
	}
}

// TestRecentUnderstandsOnce: what many are sent is looked into once.
func TestRecentUnderstandsOnce(t *testing.T) {
	t.Parallel()
	var r recent[string]
	var understood atomic.Int64
	understand := func(data []byte) (*string, error) {
		if len(data) == 0 {
			return nil, errors.New("nothing")
		}
		understood.Add(1)
		s := string(data)
		return &s, nil
	}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			buf := make([]byte, 2)
			for i := range 2 * maxRemembered {
				copy(buf, []byte{'a', byte('a' + i%maxRemembered)}) // the buffer is used again
				got, err := r.meaning(buf, understand)
				if err != nil || *got != string(buf) {
					t.Errorf("%s means %v: %v", buf, got, err)
				}
			}
		})
	}
	all.Wait()
	if n := understood.Load(); n != maxRemembered {
		t.Errorf("%d messages were understood %d times", maxRemembered, n)
	}
	if _, err := r.meaning(nil, understand); err == nil {
		t.Error("no error")
	}
	if _, err := r.meaning([]byte("new"), understand); err != nil || len(*r.list.Load()) != maxRemembered {
		t.Errorf("%d are remembered: %v", len(*r.list.Load()), err)
	}
}
