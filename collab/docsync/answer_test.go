package docsync_test

import (
	"bytes"
	"slices"
	"testing"

	"atrium/collab/change"
	"atrium/collab/change/changetest"
	"atrium/collab/docsync"
)

func TestParseAnswer(t *testing.T) {
	a, b := change.Hash{1}, change.Hash{2}
	filter := docsync.NewBloom(1)
	filter.Add(b)
	have := func(lastSync ...change.Hash) docsync.Have { return docsync.Have{LastSync: lastSync} }
	chunk := changetest.Change{Ops: []changetest.Op{changetest.Set(changetest.ID{}, "x", 1)}}.Encode()
	answer := docsync.Message{Heads: []change.Hash{a, b}, Have: []docsync.Have{have(a, b)}}
	with := func(alter func(*docsync.Message)) []byte {
		m := answer
		alter(&m)
		return docsync.AppendMessage(nil, m)
	}
	plain := docsync.AppendMessage(nil, answer)
	tests := []struct {
		name string
		data []byte
		want []change.Hash
		ok   bool
	}{
		{"an answer", plain, answer.Heads, true},
		{"version 2", append([]byte{0x43}, plain[1:]...), answer.Heads, true},
		{"with a filter", with(func(m *docsync.Message) { m.Have[0].Bloom = filter }), answer.Heads, true},
		{"one head", with(func(m *docsync.Message) { m.Heads = m.Heads[:1] }), answer.Heads[:1], true},
		{"no heads", with(func(m *docsync.Message) { m.Heads = nil }), nil, true},
		{"no have", with(func(m *docsync.Message) { m.Have = nil }), answer.Heads, true},
		{"an empty filter beside another", with(func(m *docsync.Message) { m.Have = []docsync.Have{{}, have(a)} }), answer.Heads, true},
		{"two empty filters", with(func(m *docsync.Message) { m.Have = []docsync.Have{{}, {}} }), answer.Heads, true},
		{"a filter since ever", with(func(m *docsync.Message) { m.Have = []docsync.Have{{Bloom: filter}} }), answer.Heads, true},
		{"16 haves", with(func(m *docsync.Message) { m.Have = slices.Repeat([]docsync.Have{have(a)}, 16) }), answer.Heads, true},
		{"flags", with(func(m *docsync.Message) { m.Flags = 4 }), answer.Heads, true},
		{"more than flags", append(with(func(m *docsync.Message) { m.Flags = 4 }), 1, 2, 3), answer.Heads, true},
		{"a reset", with(func(m *docsync.Message) { m.Have = []docsync.Have{{}} }), nil, false},
		{"a need", with(func(m *docsync.Message) { m.Need = []change.Hash{b} }), nil, false},
		{"a change", with(func(m *docsync.Message) { m.Changes = [][]byte{chunk} }), nil, false},
		{"a change that is none", with(func(m *docsync.Message) { m.Changes = [][]byte{make([]byte, 16)} }), nil, false},
		{"17 haves", with(func(m *docsync.Message) { m.Have = slices.Repeat([]docsync.Have{have(a)}, 17) }), nil, false},
		{"nothing", nil, nil, false},
		{"another type", append([]byte{0x41}, plain[1:]...), nil, false},
		{"flags cut off", append(slices.Clone(plain), 3, 1), nil, false},
		{"a filter that is none", []byte{0x42, 0, 0, 1, 0, 1, 5, 0}, nil, false},
	}
	for i := range plain {
		tests = append(tests, tests[0])
		cut := &tests[len(tests)-1]
		cut.name, cut.data, cut.want, cut.ok = "cut off", plain[:i], nil, false
	}
	for _, test := range tests {
		heads, ok := docsync.ParseAnswer(test.data)
		var want []byte
		for _, h := range test.want {
			want = append(want, h[:]...)
		}
		if ok != test.ok || ok && !bytes.Equal(heads, want) {
			t.Errorf("%s (%x): got heads %x, %t, want %x, %t", test.name, test.data, heads, ok, want, test.ok)
		}
		checkAnswer(t, test.data)
		if allocs := testing.AllocsPerRun(10, func() { docsync.ParseAnswer(test.data) }); allocs > 0 && test.ok {
			t.Errorf("%s: %v allocations", test.name, allocs)
		}
	}
}

// checkAnswer holds ParseAnswer to what ParseMessage says: an answer is a
// message that tells heads and no more.
func checkAnswer(t *testing.T, data []byte) {
	t.Helper()
	heads, ok := docsync.ParseAnswer(data)
	m, err := docsync.ParseMessage(data)
	reset := len(m.Have) == 1 && len(m.Have[0].LastSync) == 0 && m.Have[0].Bloom.Empty()
	want := err == nil && len(m.Need) == 0 && len(m.Changes) == 0 && !reset
	if ok != want {
		t.Fatalf("%x: taken for an answer: %t, though it is %+v, %v", data, ok, m, err)
	}
	var told []byte
	for _, h := range m.Heads {
		told = append(told, h[:]...)
	}
	if ok && !bytes.Equal(heads, told) {
		t.Fatalf("%x: heads %x, want %x", data, heads, told)
	}
}

// TestToldOfDroppedAnswers: a peer that has told, in answers that were dropped,
// that it had more than it says now has lost it, and is sent it again.
func TestToldOfDroppedAnswers(t *testing.T) {
	for _, told := range []bool{true, false} {
		s := newInSync(t, 5, 1)
		p := s.readers[0]
		top, ok := p.Settled()
		if !ok || top != 4 {
			t.Fatalf("the reader is settled at %d, %t, want 4", top, ok)
		}
		var heads []change.Hash
		for range 3 {
			s.step()
			s.commit(t)
			if !s.tell(p) {
				t.Fatal("the reader was told nothing")
			}
			heads = append(heads, s.doc.Heads()...)
		}
		if told {
			p.Told(7)
			p.Told(5) // an older one takes nothing back
		}
		back := docsync.Message{Heads: heads[1:2], Have: []docsync.Have{{LastSync: heads[1:2]}}}
		if _, err := s.doc.Receive(p, back); err != nil {
			t.Fatal(err)
		}
		if again := s.tell(p); again != told {
			t.Errorf("it had told of the newest change: %t, and was sent that again: %t", told, again)
		}
	}
}

func FuzzParseAnswer(f *testing.F) {
	h := change.Hash{1}
	filter := docsync.NewBloom(2)
	filter.Add(h)
	chunk := changetest.Change{Ops: []changetest.Op{changetest.Set(changetest.ID{}, "x", 1)}}.Encode()
	for _, m := range []docsync.Message{
		{Heads: []change.Hash{h}, Have: []docsync.Have{{LastSync: []change.Hash{h}}}},
		{Heads: []change.Hash{h}, Have: []docsync.Have{{Bloom: filter}}, Flags: 4},
		{Heads: []change.Hash{h}, Need: []change.Hash{h}},
		{Have: []docsync.Have{{}}},
		{Have: []docsync.Have{{}, {}}},
		{Heads: []change.Hash{h}, Have: []docsync.Have{{LastSync: []change.Hash{h}}}, Changes: [][]byte{chunk}},
	} {
		f.Add(docsync.AppendMessage(nil, m))
	}
	f.Add([]byte{0x43, 0, 0, 0, 0, 1})
	f.Add([]byte{0x42, 0, 0, 0x81, 0x80, 0x00, 0, 0, 0})
	f.Fuzz(checkAnswer)
}
