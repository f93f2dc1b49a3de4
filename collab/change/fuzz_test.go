package change

import (
	"bytes"
	"crypto/sha256"
	"testing"
)

// FuzzParse gives Parse anything. What it accepts is one chunk, and the same
// as Next reads.
func FuzzParse(f *testing.F) {
	for i, w := range readCorpus(f) {
		if i%20 == 0 {
			f.Add(w.chunk)
			f.Add(deflate(w.chunk))
		}
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		c, err := Parse(src)
		if err != nil {
			return
		}
		again, rest, err := Next(c.Chunk)
		if err != nil || len(rest) > 0 || again.Hash != c.Hash || !bytes.Equal(again.Actor, c.Actor) {
			t.Fatalf("Next reads another change: %v", err)
		}
		c.exercise()
	})
}

// FuzzCheck gives Check anything with a header and a checksum that are right.
func FuzzCheck(f *testing.F) {
	for i, w := range readCorpus(f) {
		if i%10 == 0 {
			_, body, _ := ParseUleb(w.chunk[typeOffset+1:])
			f.Add(body)
		}
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		chunk := append([]byte(magic), 0, 0, 0, 0, typeChange)
		chunk = append(AppendUleb(chunk, uint64(len(body))), body...)
		sum := sha256.Sum256(chunk[typeOffset:])
		copy(chunk[len(magic):], sum[:])
		c, err := Parse(chunk)
		if err != nil {
			return
		}
		c.exercise()
	})
}

// exercise calls all there is.
func (c *Change) exercise() {
	for i := range c.NumDeps() {
		c.Dep(i)
	}
	c.Message()
	c.Extra()
	n, err := c.Ops()
	if Check(c) != nil {
		return
	}
	if err != nil || n > MaxOps || c.StartOp+n-1 > MaxCounter {
		panic("Check accepts what Ops does not count")
	}
	var o Ops
	if err := o.Open(c); err != nil {
		panic(err)
	}
	for o.Next() {
		n--
	}
	if n != 0 || o.Err() != nil {
		panic("Check accepts what Ops does not read")
	}
}
