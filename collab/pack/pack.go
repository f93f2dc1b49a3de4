// Package pack is sealed runs of a document's log: change chunks without what can
// be computed, with who added each of them when, compressed.
//
// A pack stands in the place of the changes from a position of the log on. What
// they depend on is told by how far back it stands, perhaps in an earlier pack.
// Nothing is lost: what comes out is byte for byte what went in.
//
// The format, version 1: the byte 1, the SHA-256 of the hashes of all changes, and
// a zstd frame. That holds the number of changes and four streams, each behind its
// length: users and runs of attribution; dependencies; lengths; and what of each
// chunk follows its dependencies. Numbers are unsigned LEB128, differences of times
// signed.
package pack

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"

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
	// maxBytes is what a pack may inflate to, and what its chunks may take, in bytes.
	maxBytes = 1 << 30

	magic      = "\x85\x6f\x4a\x83"
	typeOffset = 8 // of a chunk; see package change
	typeChange = 1
)

var (
	errVersion = errors.New("pack has an unknown version")
	errDamaged = errors.New("pack is damaged")
	errLarge   = errors.New("pack is too large")
)

var compressor = sync.OnceValue(func() *zstd.Encoder {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedDefault))
	if err != nil {
		panic(err) // the options are constants
	}
	return e
})

var inflater = sync.OnceValue(func() *zstd.Decoder {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxMemory(maxBytes))
	if err != nil {
		panic(err)
	}
	return d
})

// Append appends a pack of entries, which stand at positions first, first+1, … of
// the log. position returns where a change before first stands. Chunks must be
// such that change.Parse takes them.
func Append(dst []byte, entries []Entry, first int, position func(change.Hash) (int, bool)) ([]byte, error) {
	w := writer{within: make(map[change.Hash]int, len(entries))}
	all := sha256.New()
	for i, e := range entries {
		c, err := change.Parse(e.Chunk)
		if err != nil {
			return nil, fmt.Errorf("pack change %d: %w", first+i, err)
		}
		w.attribute(e)
		w.add(&c, first+i, position)
		w.within[c.Hash] = first + i
		all.Write(c.Hash[:])
	}
	payload := change.AppendUleb(nil, uint64(len(entries)))
	for _, stream := range [][]byte{w.attribution(), w.deps, w.lengths, w.bodies} {
		payload = change.AppendUleb(payload, uint64(len(stream)))
		payload = append(payload, stream...)
	}
	if len(payload) > maxBytes {
		return nil, errLarge
	}
	dst = append(dst, version)
	dst = all.Sum(dst)
	return compressor().EncodeAll(payload, dst), nil
}

// writer is the streams of a pack that is being made.
type writer struct {
	within map[change.Hash]int

	users  []byte
	byUser map[string]uint64
	runs   []byte
	last   Entry  // of the run that has not been written yet
	count  uint64 // of its changes
	at     int64  // of the run before

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
	w.runs = change.AppendUleb(w.runs, w.count)
	w.runs = change.AppendUleb(w.runs, user)
	w.runs = change.AppendLeb(w.runs, w.last.At-w.at)
	w.at, w.count = w.last.At, 0
}

func (w *writer) attribution() []byte {
	if w.count > 0 {
		w.endRun()
	}
	stream := change.AppendUleb(nil, uint64(len(w.byUser)))
	return append(append(stream, w.users...), w.runs...)
}

// add writes a change's dependencies as how far back they stand, and what follows
// them in the chunk; or 0 and the chunk as it is, if it cannot be made again so.
func (w *writer) add(c *change.Change, at int, position func(change.Hash) (int, bool)) {
	back := make([]int, c.NumDeps())
	for i := range back {
		p, ok := w.within[c.Dep(i)]
		if !ok {
			p, ok = position(c.Dep(i))
		}
		if !ok || p >= at {
			w.verbatim(c.Chunk)
			return
		}
		back[i] = at - p
	}
	rest, ok := afterDeps(c)
	if !ok {
		w.verbatim(c.Chunk)
		return
	}
	w.deps = change.AppendUleb(w.deps, uint64(len(back))+1)
	for _, b := range back {
		w.deps = change.AppendUleb(w.deps, uint64(b))
	}
	w.lengths = change.AppendUleb(w.lengths, uint64(len(rest)))
	w.bodies = append(w.bodies, rest...)
}

func (w *writer) verbatim(chunk []byte) {
	w.deps = append(w.deps, 0)
	w.lengths = change.AppendUleb(w.lengths, uint64(len(chunk)))
	w.bodies = append(w.bodies, chunk...)
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
	head := appendHead(nil, c.NumDeps(), len(rest))
	return rest, bytes.HasPrefix(c.Chunk[typeOffset:], head)
}

// appendHead appends what stands between a chunk's checksum and its dependencies.
func appendHead(dst []byte, deps, rest int) []byte {
	count := change.AppendUleb(nil, uint64(deps))
	dst = append(dst, typeChange)
	dst = change.AppendUleb(dst, uint64(len(count)+deps*len(change.Hash{})+rest))
	return append(dst, count...)
}
