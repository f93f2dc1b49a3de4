// Package change reads the change chunks of Automerge: it parses and hashes
// them, and checks that stock clients can apply them, save the document and
// load it again.
//
// It decodes no operation and materialises no document. What a check would
// need to know about other changes (whether the object, the element or the
// predecessor named by an operation exists) is left to those who have them.
//
// The format is that of rust/automerge/src/storage of automerge/automerge:
// chunk.rs, change.rs, change/change_op_columns.rs and columnar/.
package change

import (
	"bytes"
	"compress/flate"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
)

// MaxChunk is the length in bytes of the longest chunk that is accepted, and
// of what a compressed one may inflate to.
const MaxChunk = 64 << 20

// Chunk types, and errors that tell what a chunk is instead of a change.
const (
	typeDocument   = 0
	typeChange     = 1
	typeCompressed = 2
	typeBundle     = 3
)

var (
	// ErrDocument says that a chunk is a whole document, not a change.
	ErrDocument = errors.New("chunk is a document, not a change")
	// ErrBundle says that a chunk is a bundle of changes, an experimental
	// format that is not accepted.
	ErrBundle = errors.New("chunk is a bundle, not a change")
	// ErrChecksum says that a chunk was damaged.
	ErrChecksum = errors.New("checksum does not match")
)

var (
	errCutOff   = errors.New("chunk is cut off")
	errMagic    = errors.New("not an automerge chunk")
	errType     = errors.New("unknown chunk type")
	errLong     = errors.New("chunk is too long")
	errTrailing = errors.New("bytes after the end of the chunk")
	errInflate  = errors.New("compressed chunk does not inflate")
	errZeroOp   = errors.New("first operation has counter 0")
)

// magic begins every chunk; checksum (4 bytes), type, length and body follow.
const magic = "\x85\x6f\x4a\x83"

// typeOffset is where the type of a chunk stands, and where the bytes begin
// whose SHA-256 is the hash.
const typeOffset = 8

// Hash is the SHA-256 of a change chunk: of type, length and body.
type Hash [32]byte

// String returns the hash in hex.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// ParseHash reads a hash from its 64 hex digits.
func ParseHash(s string) (Hash, error) {
	var h Hash
	if len(s) != 2*len(h) {
		return h, errors.New("hash is not 64 hex digits")
	}
	if _, err := hex.Decode(h[:], []byte(s)); err != nil {
		return Hash{}, errors.New("hash is not 64 hex digits")
	}
	return h, nil
}

// Change is one parsed change chunk: its header, with no operations decoded.
// Its slices alias Chunk.
type Change struct {
	Hash Hash
	// Chunk is the chunk in its uncompressed form. It aliases what was
	// parsed, or is new if that was compressed.
	Chunk []byte
	Actor []byte
	// Seq counts the changes of the actor, from 1.
	Seq uint64
	// StartOp is the counter of the first operation; those that follow count
	// up from it. A change without operations has one too.
	StartOp uint64
	// Time is in seconds since 1970, by the author's clock.
	Time int64

	deps, message, others, meta, columns, extra span
}

// A span is a part of Change.Chunk.
type span struct{ from, to uint32 }

func (c *Change) bytes(s span) []byte { return c.Chunk[s.from:s.to:s.to] }

// NumDeps returns the number of changes that this one depends on.
func (c *Change) NumDeps() int { return int(c.deps.to-c.deps.from) / len(Hash{}) }

// Dep returns the i-th change that this one depends on.
func (c *Change) Dep(i int) Hash { return Hash(c.bytes(c.deps)[i*len(Hash{}):]) }

// Others goes through the actors that operations name besides the author, in the
// order of their indices, which begin at 1. They alias Chunk.
func (c *Change) Others(yield func(actor []byte) bool) {
	for src := c.bytes(c.others); len(src) > 0; {
		n, rest, err := ParseUleb(src)
		if err != nil || n > uint64(len(rest)) || !yield(rest[:n:n]) {
			return
		}
		src = rest[n:]
	}
}

// Message returns what the author wrote about the change, often nothing.
// It aliases Chunk.
func (c *Change) Message() []byte { return c.bytes(c.message) }

// Extra returns the bytes after the columns, where newer clients put an
// author. It aliases Chunk.
func (c *Change) Extra() []byte { return c.bytes(c.extra) }

// Parse reads exactly one change chunk, compressed or not. It verifies
// checksum and sizes and leaves the rest to [Check]. The result aliases chunk
// if that is not compressed. [ErrDocument] and [ErrBundle] tell other chunks
// apart, [ErrChecksum] a damaged one.
func Parse(chunk []byte) (Change, error) {
	h, err := parseHeader(chunk)
	if err != nil {
		return Change{}, err
	}
	if h.end != len(chunk) {
		return Change{}, errTrailing
	}
	if h.typ == typeCompressed {
		if chunk, err = inflate(chunk, h); err != nil {
			return Change{}, err
		}
		if h, err = parseHeader(chunk); err != nil {
			return Change{}, err
		}
	}
	return parseChange(chunk, h)
}

// Next reads the first change of a run of uncompressed change chunks and
// returns what follows it. It verifies what [Parse] verifies. The change
// aliases run.
func Next(run []byte) (c Change, rest []byte, err error) {
	h, err := nextHeader(run)
	if err != nil {
		return Change{}, nil, err
	}
	c, err = parseChange(run[:h.end:h.end], h)
	return c, run[h.end:], err
}

// NextHashed is [Next] for who has computed the first change's hash already: it
// only compares hash with the checksum.
func NextHashed(run []byte, hash Hash) (c Change, rest []byte, err error) {
	h, err := nextHeader(run)
	if err != nil {
		return Change{}, nil, err
	}
	c, err = parseHashed(run[:h.end:h.end], h, hash)
	return c, run[h.end:], err
}

// Reopen reads a [Change.Chunk] again. It computes no checksum and leaves Hash
// at zero.
func Reopen(chunk []byte) (Change, error) {
	h, err := parseHeader(chunk)
	if err != nil {
		return Change{}, err
	}
	if h.typ != typeChange || h.end != len(chunk) {
		return Change{}, errType
	}
	c := Change{Chunk: chunk}
	if err := c.parseBody(h); err != nil {
		return Change{}, err
	}
	return c, nil
}

// header says where the body of a chunk begins and where it ends.
type header struct {
	typ       byte
	body, end int
}

func parseHeader(src []byte) (header, error) {
	if len(src) <= typeOffset {
		return header{}, errCutOff
	}
	if string(src[:len(magic)]) != magic {
		return header{}, errMagic
	}
	h := header{typ: src[typeOffset]}
	switch h.typ {
	case typeChange, typeCompressed:
	case typeDocument:
		return header{}, ErrDocument
	case typeBundle:
		return header{}, ErrBundle
	default:
		return header{}, errType
	}
	n, rest, err := ParseUleb(src[typeOffset+1:])
	if err != nil {
		return header{}, fmt.Errorf("length: %w", err)
	}
	if n > MaxChunk {
		return header{}, errLong
	}
	if n > uint64(len(rest)) {
		return header{}, errCutOff
	}
	h.body = len(src) - len(rest)
	h.end = h.body + int(n)
	return h, nil
}

// nextHeader reads the header of an uncompressed change chunk.
func nextHeader(run []byte) (header, error) {
	h, err := parseHeader(run)
	if err == nil && h.typ == typeCompressed {
		err = errors.New("chunk is compressed")
	}
	return h, err
}

// inflate makes an uncompressed chunk of a compressed one, with the same
// checksum, which is that of the uncompressed form.
func inflate(chunk []byte, h header) ([]byte, error) {
	src := bytes.NewReader(chunk[h.body:h.end])
	// flate reads byte by byte from an io.ByteReader, and no further than
	// the end of the stream.
	var body bytes.Buffer
	n, err := io.Copy(&body, io.LimitReader(flate.NewReader(src), MaxChunk+1))
	if err != nil {
		return nil, errInflate
	}
	if n > MaxChunk {
		return nil, errLong
	}
	if src.Len() != 0 {
		return nil, errTrailing
	}
	out := make([]byte, 0, typeOffset+1+binary.MaxVarintLen32+body.Len())
	out = append(out, chunk[:typeOffset]...)
	out = append(out, typeChange)
	out = AppendUleb(out, uint64(n))
	return append(out, body.Bytes()...), nil
}

func parseChange(chunk []byte, h header) (Change, error) {
	return parseHashed(chunk, h, sha256.Sum256(chunk[typeOffset:]))
}

func parseHashed(chunk []byte, h header, hash Hash) (Change, error) {
	if string(hash[:4]) != string(chunk[len(magic):typeOffset]) {
		return Change{}, ErrChecksum
	}
	c := Change{Chunk: chunk, Hash: hash}
	if err := c.parseBody(h); err != nil {
		return Change{}, err
	}
	return c, nil
}

// parseBody sets what stands in the body of c.Chunk.
func (c *Change) parseBody(h header) error {
	chunk := c.Chunk
	r := reader{src: chunk, at: h.body}
	c.deps = r.take(r.uleb(), uint64(len(Hash{})))
	actor := r.take(r.uleb(), 1)
	c.Seq = r.uleb()
	c.StartOp = r.uleb()
	c.Time = r.leb()
	c.message = r.take(r.uleb(), 1)
	others := r.uleb()
	c.others.from = r.pos()
	for ; others > 0 && r.err == nil; others-- {
		r.take(r.uleb(), 1)
	}
	c.others.to = r.pos()
	var size uint64
	n := r.uleb()
	c.meta.from = r.pos()
	for ; n > 0 && r.err == nil; n-- {
		// A specification and a length, mostly of one byte each.
		if p := r.src[r.at:]; len(p) > 1 && p[0] < 0x80 && p[1] < 0x80 {
			size += uint64(p[1])
			r.at += 2
			continue
		}
		r.uleb()
		l := r.uleb()
		if l > MaxChunk {
			return errCutOff
		}
		size += l
	}
	c.meta.to = r.pos()
	c.columns = r.take(size, 1)
	c.extra = span{c.columns.to, uint32(len(chunk))}
	if r.err != nil {
		return r.err
	}
	if c.StartOp == 0 {
		return errZeroOp
	}
	c.Actor = c.bytes(actor)
	return nil
}

// A reader reads the fields of a chunk one after the other and keeps the first
// error.
type reader struct {
	src []byte
	at  int // where the next field begins
	err error
}

func (r *reader) pos() uint32 { return uint32(r.at) }

func (r *reader) uleb() uint64 {
	if s := r.src[r.at:]; len(s) > 0 && s[0] < 0x80 {
		r.at++
		return uint64(s[0])
	}
	x, rest, err := ParseUleb(r.src[r.at:])
	if err != nil {
		r.fail(err)
		return 0
	}
	r.at = len(r.src) - len(rest)
	return x
}

func (r *reader) leb() int64 {
	x, rest, err := ParseLeb(r.src[r.at:])
	if err != nil {
		r.fail(err)
		return 0
	}
	r.at = len(r.src) - len(rest)
	return x
}

// take takes n items of size bytes.
func (r *reader) take(n, size uint64) span {
	if n > uint64(len(r.src)-r.at)/size {
		r.fail(errCutOff)
		return span{}
	}
	from := r.pos()
	r.at += int(n * size)
	return span{from, r.pos()}
}

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.at = len(r.src)
}
