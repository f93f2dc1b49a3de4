package bench

import (
	"bytes"
	"crypto/rand"
	"slices"

	"atrium/collab/change"
	ct "atrium/collab/change/changetest"
)

// typed is one change that somebody types.
type typed struct {
	chunk []byte
	hash  change.Hash
	deps  []change.Hash
}

// typist types changes into one text, each on top of the one before.
type typist struct {
	actor  []byte
	others [][]byte // the maker of the text, unless that is this one
	text   ct.ID    // the text
	at     ct.ID    // the element after which the next goes
	seq    uint64
	nextOp uint64
	deps   []change.Hash
}

func newActor() []byte {
	actor := make([]byte, 16)
	rand.Read(actor)
	return actor
}

// newTypist returns one that begins a document: its first change makes the text.
func newTypist() *typist { return &typist{actor: newActor(), nextOp: 1} }

// colleague returns a typist of another actor, who goes on from where t is and
// sees nothing of what comes later.
func (t *typist) colleague() *typist {
	c := &typist{actor: newActor(), others: [][]byte{t.actor}, text: t.text, at: t.at, nextOp: t.nextOp, deps: t.deps}
	c.text.Actor, c.at.Actor = 1, 1
	return c
}

// change makes the next change of the operations that ops returns, given the
// counter that the first of them has.
func (t *typist) change(ops func(first uint64) []ct.Op) typed {
	t.seq++
	c := ct.Change{Actor: t.actor, Seq: t.seq, StartOp: t.nextOp, Deps: t.deps, Others: t.others}
	if t.text == (ct.ID{}) {
		t.text = ct.ID{Ctr: t.nextOp}
		c.Ops = append(c.Ops, ct.Make(ct.ID{}, "text", ct.MakeText))
	}
	c.Ops = append(c.Ops, ops(t.nextOp+uint64(len(c.Ops)))...)
	t.nextOp += uint64(len(c.Ops))
	made := typed{chunk: c.Encode(), hash: c.Hash(), deps: t.deps}
	t.deps = []change.Hash{made.hash}
	return made
}

// key types one character after the last one.
func (t *typist) key() typed {
	return t.change(func(first uint64) []ct.Op {
		after := t.at
		t.at = ct.ID{Ctr: first}
		return []ct.Op{ct.Insert(t.text, after, string('a'+rune(t.seq%26)))}
	})
}

// script is all the changes of one run: what is there before it, and what is
// typed in it. Its changes are numbered through: first the preload's, then the
// edits.
type script struct {
	preload []typed
	edits   []typed // the k-th is writer k % writers'
	writers int
	numbers map[change.Hash]int
}

// newScript types preload changes by one actor, one at least, and on top of them
// edits by so many others in turn.
func newScript(preload, edits, writers int) *script {
	s := &script{writers: writers}
	t := newTypist()
	for range max(preload, 1) {
		s.preload = append(s.preload, t.key())
	}
	typists := make([]*typist, writers)
	for i := range typists {
		typists[i] = t.colleague()
	}
	for k := range edits {
		s.edits = append(s.edits, typists[k%writers].key())
	}
	s.number()
	return s
}

func (s *script) number() {
	s.numbers = make(map[change.Hash]int, len(s.preload)+len(s.edits))
	for i, c := range s.preload {
		s.numbers[c.hash] = i
	}
	for k, c := range s.edits {
		s.numbers[c.hash] = len(s.preload) + k
	}
}

// frontier is which changes somebody has, by its heads.
type frontier struct {
	heads []change.Hash
	known map[change.Hash]bool
}

func newFrontier(heads ...change.Hash) *frontier {
	f := &frontier{heads: heads, known: make(map[change.Hash]bool)}
	for _, h := range heads {
		f.known[h] = true
	}
	return f
}

// add takes a change whose dependencies are there. It reports whether it is new.
func (f *frontier) add(c *typed) bool {
	if f.known[c.hash] {
		return false
	}
	f.known[c.hash] = true
	heads := make([]change.Hash, 0, len(f.heads)+1)
	for _, h := range f.heads {
		if !slices.Contains(c.deps, h) {
			heads = append(heads, h)
		}
	}
	f.heads = append(heads, c.hash)
	slices.SortFunc(f.heads, func(a, b change.Hash) int { return bytes.Compare(a[:], b[:]) })
	return true
}

// preloadHeads are the heads before the first edit.
func (s *script) preloadHeads() []change.Hash {
	return []change.Hash{s.preload[len(s.preload)-1].hash}
}

// appendPast appends the numbers of all changes up to heads, some perhaps more
// than once. Heads that are none of the script's are passed over.
func (s *script) appendPast(dst []int, heads []change.Hash) []int {
	for _, h := range heads {
		n, ok := s.numbers[h]
		if !ok {
			continue
		}
		for n >= len(s.preload) {
			dst = append(dst, n)
			if n -= s.writers; n < len(s.preload) { // it was that writer's first
				n = len(s.preload) - 1
			}
		}
		for ; n >= 0; n-- {
			dst = append(dst, n)
		}
	}
	return dst
}
