package change

import (
	"bytes"
	"compress/flate"
	_ "embed"
	"errors"
	"testing"
)

//go:embed testdata/corpus.bin
var corpus []byte

// want is what the client that made a change says is in it.
type want struct {
	version        byte // of the client
	chunk          []byte
	hash           Hash
	actor, message []byte
	seq, startOp   uint64
	time           int64
	deps           []Hash
	ops            uint64
	opsKnown       bool
}

// readCorpus reads what testdata/corpus/generate.mjs has written.
func readCorpus(t testing.TB) []want {
	t.Helper()
	var out []want
	rest := corpus
	num := func(src *[]byte) uint64 {
		t.Helper()
		x, r, err := ParseUleb(*src)
		if err != nil {
			t.Fatal(err)
		}
		*src = r
		return x
	}
	take := func(src *[]byte, n uint64) []byte {
		b := (*src)[:n:n]
		*src = (*src)[n:]
		return b
	}
	for len(rest) > 0 {
		r := take(&rest, num(&rest))
		var w want
		w.version = take(&r, 1)[0]
		w.chunk = take(&r, num(&r))
		w.hash = Hash(take(&r, 32))
		w.actor = take(&r, num(&r))
		w.seq = num(&r)
		w.startOp = num(&r)
		time := num(&r)
		w.time = int64(time/2) ^ -int64(time&1)
		w.message = take(&r, num(&r))
		for n := num(&r); n > 0; n-- {
			w.deps = append(w.deps, Hash(take(&r, 32)))
		}
		w.ops = num(&r)
		if w.ops > 0 {
			w.ops, w.opsKnown = w.ops-1, true
		}
		out = append(out, w)
	}
	return out
}

func TestCorpus(t *testing.T) {
	var empty, extra, marks int
	all := readCorpus(t)
	for i, w := range all {
		c, err := Parse(w.chunk)
		if err != nil {
			t.Fatalf("change %d: %v", i, err)
		}
		w.compare(t, &c)
		switch err := Check(&c); {
		case w.version == 2 && errors.Is(err, errMarkOrder):
			// 2.2 writes an empty mark so that 3.5 saves a document which
			// it then does not load.
			marks++
		case err != nil:
			t.Errorf("change %d: %v", i, err)
		}
		if len(c.Extra()) > 0 {
			extra++
		}
		if w.ops == 0 {
			empty++
		}
		// No client compresses what it syncs, but all can.
		d, err := Parse(deflate(c.Chunk))
		if err != nil {
			t.Fatalf("change %d, compressed: %v", i, err)
		}
		w.compare(t, &d)
		if !bytes.Equal(c.Chunk, d.Chunk) {
			t.Errorf("change %d is another one after compression", i)
		}
	}
	if len(all) < 500 || empty == 0 || extra == 0 || marks == 0 {
		t.Errorf("%d changes, %d empty, %d with extra bytes, %d bad marks", len(all), empty, extra, marks)
	}
}

func TestNextReadsARun(t *testing.T) {
	all := readCorpus(t)
	var run []byte
	for _, w := range all {
		run = append(run, w.chunk...)
	}
	for i, w := range all {
		c, rest, err := Next(run)
		if err != nil {
			t.Fatalf("change %d: %v", i, err)
		}
		w.compare(t, &c)
		run = rest
	}
	if len(run) > 0 {
		t.Errorf("%d bytes left", len(run))
	}
}

// deflate returns the compressed form of a chunk.
func deflate(chunk []byte) []byte {
	_, body, _ := ParseUleb(chunk[typeOffset+1:])
	var b bytes.Buffer
	w, _ := flate.NewWriter(&b, flate.DefaultCompression)
	w.Write(body)
	w.Close()
	out := append(bytes.Clone(chunk[:typeOffset]), typeCompressed)
	out = AppendUleb(out, uint64(b.Len()))
	return append(out, b.Bytes()...)
}

func (w *want) compare(t testing.TB, c *Change) {
	t.Helper()
	if c.Hash != w.hash || !bytes.Equal(c.Actor, w.actor) || c.Seq != w.seq ||
		c.StartOp != w.startOp || c.Time != w.time || !bytes.Equal(c.Message(), w.message) {
		t.Errorf("got %v %x %d %d %d %q, want %v %x %d %d %d %q", c.Hash, c.Actor, c.Seq, c.StartOp, c.Time,
			c.Message(), w.hash, w.actor, w.seq, w.startOp, w.time, w.message)
	}
	if c.NumDeps() != len(w.deps) {
		t.Errorf("%v: %d dependencies, want %d", w.hash, c.NumDeps(), len(w.deps))
	}
	for i := range c.NumDeps() {
		if c.Dep(i) != w.deps[i] {
			t.Errorf("%v: dependency %v, want %v", w.hash, c.Dep(i), w.deps[i])
		}
	}
	if n, err := c.Ops(); err != nil || w.opsKnown && n != w.ops {
		t.Errorf("%v: %d operations, %v, want %d", w.hash, n, err, w.ops)
	}
}
