// Package pack is sealed runs of a document's log: change chunks without what can
// be computed, with who added each of them when, compressed.
//
// A pack stands in the place of the changes from a position of the log on. What
// they depend on is told by how far back it stands, perhaps in an earlier pack.
// Nothing is lost: what comes out is byte for byte what went in.
//
// The format, version 1: the byte 1, the SHA-256 of the hashes of all changes, and
// a zstd frame. That holds the number of changes and four streams, each behind its
// length: attribution; dependencies, behind their number and one; lengths; and what of each chunk follows its dependencies. Where 0 stands for the
// number the chunk follows as it is. Numbers are unsigned LEB128, differences of
// times signed. The chunks are guarded by the SHA-256, the attribution only by the
// 32-bit checksum of the frame.
package pack

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/bits"

	"github.com/klauspost/compress/zstd"

	"atrium/collab/change"
)

// Entry is one change of a log, and who added it when.
type Entry struct {
	Chunk  []byte // an uncompressed change chunk
	UserID string
	At     int64 // microseconds since 1970
}

const (
	version = 1
	// maxBytes is what a pack may inflate to, and what its chunks and their hashes
	// may take, in bytes.
	maxBytes = 1 << 30

	magic      = "\x85\x6f\x4a\x83"
	typeOffset = 8 // of a chunk; see package change
	typeChange = 1
)

var (
	errVersion  = errors.New("pack has an unknown version")
	errDamaged  = errors.New("pack is damaged")
	errLarge    = errors.New("pack is too large")
	errTrailing = errors.New("bytes after the end of the chunk")
	errReadBack = errors.New("pack does not inflate to what was compressed")
)

// Append appends a pack of entries, which stand at positions first, first+1, … of
// the log. position returns where a change before first stands; nil knows none.
// Each chunk must be one that change.Next takes and nothing else, and all of them
// together shorter than 1 GiB. It keeps nothing of entries.
func Append(dst []byte, entries []Entry, first int, position func(change.Hash) (int, bool)) ([]byte, error) {
	w := writer{first: first, position: position, hashes: make([]change.Hash, 0, len(entries))}
	all := sha256.New()
	size := 0
	for i, e := range entries {
		c, rest, err := change.Next(e.Chunk)
		if err == nil && len(rest) > 0 {
			err = errTrailing
		}
		if err != nil {
			return nil, fmt.Errorf("pack change %d: %w", first+i, err)
		}
		if size += len(e.Chunk) + len(c.Hash); size > maxBytes {
			return nil, errLarge
		}
		w.attribute(e)
		w.add(&c)
		all.Write(c.Hash[:])
	}
	payload, err := w.payload()
	if err != nil {
		return nil, err
	}
	dst = append(dst, version)
	dst = all.Sum(dst)
	return compress(dst, payload)
}

// compress appends a zstd frame. What is packed is deleted where it stood, so the
// frame is read back.
func compress(dst, payload []byte) ([]byte, error) {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedDefault))
	if err != nil {
		return nil, fmt.Errorf("compress pack: %w", err)
	}
	start := len(dst)
	dst = e.EncodeAll(payload, dst)
	if again, err := inflate(dst[start:]); err != nil || !bytes.Equal(again, payload) {
		return nil, errReadBack
	}
	return dst, nil
}

// inflate returns what a zstd frame holds, maxBytes at most.
func inflate(frame []byte) ([]byte, error) {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxBytes))
	if err != nil {
		return nil, fmt.Errorf("inflate pack: %w", err)
	}
	payload, err := d.DecodeAll(frame, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errDamaged, err)
	}
	return payload, nil
}

// writer is the streams of a pack that is being made.
type writer struct {
	first    int
	position func(change.Hash) (int, bool)
	hashes   []change.Hash
	within   map[change.Hash]int // positions of hashes[:indexed]
	indexed  int

	users  []byte
	byUser map[string]uint64
	last   Entry  // of the run that has not been written yet
	count  uint64 // of its changes
	at     int64  // of the run before

	counts, who, times []byte // of runs

	deps, lengths, bodies []byte
}

// attribute counts runs of changes that one user added at one time.
func (w *writer) attribute(e Entry) {
	if w.count > 0 && (e.UserID != w.last.UserID || e.At != w.last.At) {
		w.endRun()
	}
	w.last = e
	w.count++
}

func (w *writer) endRun() {
	user, known := w.byUser[w.last.UserID]
	if !known {
		if w.byUser == nil {
			w.byUser = make(map[string]uint64)
		}
		user = uint64(len(w.byUser))
		w.byUser[w.last.UserID] = user
		w.users = change.AppendUleb(w.users, uint64(len(w.last.UserID)))
		w.users = append(w.users, w.last.UserID...)
	}
	w.counts = change.AppendUleb(w.counts, w.count)
	w.who = change.AppendUleb(w.who, user)
	w.times = change.AppendLeb(w.times, w.last.At-w.at)
	w.at, w.count = w.last.At, 0
}

func (w *writer) attribution() []byte {
	if w.count > 0 {
		w.endRun()
	}
	stream := change.AppendUleb(nil, uint64(len(w.byUser)))
	stream = append(stream, w.users...)
	for _, column := range [][]byte{w.counts, w.who} {
		stream = change.AppendUleb(stream, uint64(len(column)))
		stream = append(stream, column...)
	}
	return append(stream, w.times...)
}

// payload returns the streams, one behind the other.
func (w *writer) payload() ([]byte, error) {
	streams := [][]byte{w.attribution(), w.deps, w.lengths, w.bodies}
	size := ulebLen(len(w.hashes))
	for _, s := range streams {
		size += ulebLen(len(s)) + len(s)
	}
	if size > maxBytes {
		return nil, errLarge
	}
	payload := change.AppendUleb(make([]byte, 0, size), uint64(len(w.hashes)))
	for _, s := range streams {
		payload = change.AppendUleb(payload, uint64(len(s)))
		payload = append(payload, s...)
	}
	return payload, nil
}

// add writes a change's dependencies as how far back they stand, and what follows
// them in the chunk; or 0 and the chunk as it is, if it cannot be made again so.
func (w *writer) add(c *change.Change) {
	at := w.first + len(w.hashes)
	rest, ok := afterDeps(c)
	deps := change.AppendUleb(w.deps, uint64(c.NumDeps())+1)
	for i := 0; i < c.NumDeps() && ok; i++ {
		var p int
		p, ok = w.find(c.Dep(i))
		deps = change.AppendUleb(deps, uint64(at-p))
	}
	if !ok {
		deps, rest = append(w.deps, 0), c.Chunk
	}
	w.deps = deps
	w.lengths = change.AppendUleb(w.lengths, uint64(len(rest)))
	w.bodies = append(w.bodies, rest...)
	w.hashes = append(w.hashes, c.Hash)
}

// find returns where a change stands. Most depend on the one before, and where all
// do, no index is made.
func (w *writer) find(h change.Hash) (int, bool) {
	n := len(w.hashes)
	if n > 0 && w.hashes[n-1] == h {
		return w.first + n - 1, true
	}
	if w.within == nil {
		w.within = make(map[change.Hash]int)
	}
	for ; w.indexed < n; w.indexed++ {
		w.within[w.hashes[w.indexed]] = w.first + w.indexed
	}
	if p, ok := w.within[h]; ok {
		return p, true
	}
	if w.position == nil {
		return 0, false
	}
	p, ok := w.position(h)
	return p, ok && 0 <= p && p < w.first
}

// afterDeps returns what follows the dependencies in a chunk, if the chunk can be
// made again of both.
func afterDeps(c *change.Change) (rest []byte, ok bool) {
	n, body, err := change.ParseUleb(c.Chunk[typeOffset+1:])
	if err != nil || n != uint64(len(body)) {
		return nil, false
	}
	_, deps, err := change.ParseUleb(body)
	if err != nil {
		return nil, false
	}
	rest = deps[c.NumDeps()*len(change.Hash{}):]
	var buf [headBytes]byte
	head := appendHead(buf[:0], c.NumDeps(), len(rest))
	return rest, bytes.HasPrefix(c.Chunk[typeOffset:], head)
}

// headBytes is how long a head is at most.
const headBytes = 1 + 10 + 10

// appendHead appends what stands between a chunk's checksum and its dependencies.
func appendHead(dst []byte, deps, rest int) []byte {
	dst = append(dst, typeChange)
	dst = change.AppendUleb(dst, uint64(bodyLen(deps, rest)))
	return change.AppendUleb(dst, uint64(deps))
}

// bodyLen is how long a chunk is behind its header.
func bodyLen(deps, rest int) int { return ulebLen(deps) + deps*len(change.Hash{}) + rest }

// ulebLen is how long x is as unsigned LEB128.
func ulebLen(x int) int { return (bits.Len64(uint64(x)|1) + 6) / 7 }
