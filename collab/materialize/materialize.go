// Package materialize gives documents their contents: as JSON, as snapshots,
// as changes that make a content what it should be.
//
// It does so with automerge-go, whose core ends the whole process when it meets
// a change that was made to harm it. So automerge-go runs in worker processes,
// and what it costs when one of them dies, hangs or takes too much memory is
// the one request that it worked on. A [Pool] starts them, gives them requests
// and ends them; [Work] is what each of them runs. Files whose names begin with
// worker_ run in the workers, and nowhere else; wire.go is what the two say to
// each other; all others run in the parent.
//
// It keeps no documents: every request brings the log that it is about.
package materialize

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"atrium/collab/change"
)

// Bounds of requests.
const (
	// MaxInput is the length in bytes of the longest content or patch.
	MaxInput = 16 << 20
	// MaxDepth is how deep a content or a patch may be nested. A document that
	// is nested deeper already may stay so.
	MaxDepth = 64
	// MaxLog is the length in bytes of the longest log.
	MaxLog = 256 << 20
)

var (
	// ErrUnavailable says that a worker died or took too long, or that there
	// is none. Another attempt may succeed.
	ErrUnavailable = errors.New("document worker is unavailable")
	// ErrQuarantined says that requests on this document have killed workers
	// again and again. Attempts within some minutes fail at once.
	ErrQuarantined = errors.New("document is quarantined: it makes workers fail")
	// ErrUnreadable says that the bytes of a document are damaged or
	// incomplete, or of a kind that automerge-go does not know.
	ErrUnreadable = errors.New("document cannot be read")
)

// Options are those of [New].
type Options struct {
	// Command is how to start a worker: program and arguments. Required.
	Command []string
	// Env is the environment of workers; default: the parent's.
	Env []string
	// Workers is how many there are at most; default 2. They are started when
	// needed, and end after a minute without a request.
	Workers int
	// Memory is how many bytes a worker may allocate; default 1 GiB. Only
	// Linux enforces it.
	Memory int64
	// Deadline is how long one request may take in a worker; default 30 s.
	Deadline time.Duration
	// Logger gets a line for each worker that fails; default: none.
	Logger *slog.Logger
}

// Commit says who makes a change, when and why.
type Commit struct {
	// Actor is 16 random bytes, new for each change.
	Actor []byte
	// Time is kept in seconds. The zero time is none.
	Time    time.Time
	Message string
}

// PatchKind says what a patch is.
type PatchKind uint8

// Kinds of patches.
const (
	// MergePatch is a merge patch of RFC 7396.
	MergePatch PatchKind = iota + 1
	// JSONPatch is a patch of RFC 6902, with one operation more that edits
	// strings: {"op":"splice", "path":"/text", "index":3, "delete":2,
	// "insert":"abc"}. Index and length are in UTF-16 code units.
	JSONPatch
)

// PatchError says why a content or a patch cannot be applied. Nothing of it
// has been.
type PatchError struct {
	// Index is the position of the operation that fails, -1 if the content or
	// the patch as a whole does.
	Index int
	// Pointer is the JSON pointer of what it fails at.
	Pointer string
	Reason  string
	// Conflict says that the patch is sound and does not fit the document: a
	// test failed, or a path is not there.
	Conflict bool
}

// Error tells where and why.
func (e *PatchError) Error() string {
	if e.Index < 0 {
		return fmt.Sprintf("at %q: %s", e.Pointer, e.Reason)
	}
	return fmt.Sprintf("operation %d at %q: %s", e.Index, e.Pointer, e.Reason)
}

// In all that follows, log is concatenated chunks in the order of the log:
// change chunks, perhaps after a document chunk. key names the document: its
// failures are counted together. Slices that are passed are only read, and not
// after the call.

// Snapshot returns the document as one document chunk, and its heads. The chunk
// has been loaded again, with the same heads and the same content.
func (p *Pool) Snapshot(ctx context.Context, key string, log []byte) (doc []byte, heads []change.Hash, err error) {
	a, err := p.call(ctx, key, request{Op: opSnapshot, Log: log})
	if err != nil {
		return nil, nil, fmt.Errorf("snapshot: %w", err)
	}
	for h := range bytesOf(a.Heads, len(change.Hash{})) {
		heads = append(heads, change.Hash(h))
	}
	return a.Body, heads, nil
}

// JSON returns the content. Texts and strings are strings, counters are
// numbers, dates are strings as JavaScript's toISOString makes them, bytes are
// strings in base64, and NaN and infinities are null. Integers are written out
// however large they are. The keys of objects are sorted.
func (p *Pool) JSON(ctx context.Context, key string, log []byte) (json.RawMessage, error) {
	a, err := p.call(ctx, key, request{Op: opJSON, Log: log})
	if err != nil {
		return nil, fmt.Errorf("content: %w", err)
	}
	return a.Body, nil
}

// Create returns the first change of a document with this content, which must
// be an object. Strings become texts; a number without a fraction that a
// JavaScript number holds exactly, and any that is written as an integer,
// becomes an int; every other one a float.
func (p *Pool) Create(ctx context.Context, key string, content json.RawMessage, c Commit) (chunk []byte, err error) {
	chunk, err = p.write(ctx, key, request{Op: opCreate, Input: content}, c)
	if err != nil {
		return nil, fmt.Errorf("create content: %w", err)
	}
	return chunk, nil
}

// Patch returns a change that does what the patch says, with few operations:
// what stays equal as JSON is left alone, texts are edited where they differ,
// counters are incremented. Without anything to change, chunk is nil. See
// [Pool.Create] for what new values become, and [PatchError].
func (p *Pool) Patch(ctx context.Context, key string, log []byte, kind PatchKind, patch json.RawMessage, c Commit) (chunk []byte, err error) {
	chunk, err = p.write(ctx, key, request{Op: opPatch, Log: log, Input: patch, Kind: kind}, c)
	if err != nil {
		return nil, fmt.Errorf("patch: %w", err)
	}
	return chunk, nil
}

// Restore returns a change on top of log that brings back the content of old,
// an earlier state of it. Dates, bytes, counters and all other values come back
// as what they were; the marks of texts (bold, links) do not, since this core
// does not tell them. Without anything to change, chunk is nil.
func (p *Pool) Restore(ctx context.Context, key string, log, old []byte, c Commit) (chunk []byte, err error) {
	chunk, err = p.write(ctx, key, request{Op: opRestore, Log: log, Other: old}, c)
	if err != nil {
		return nil, fmt.Errorf("restore: %w", err)
	}
	return chunk, nil
}

// Diff returns a patch of RFC 6902 that makes the content of to from that of
// from, both of them logs. Only its add, remove and replace operations are
// used; a text that differs is replaced as a whole.
func (p *Pool) Diff(ctx context.Context, key string, from, to []byte) (jsonPatch json.RawMessage, err error) {
	a, err := p.call(ctx, key, request{Op: opDiff, Log: from, Other: to})
	if err != nil {
		return nil, fmt.Errorf("compare contents: %w", err)
	}
	return a.Body, nil
}

// Changes returns the changes of a document in its standard form, document and
// change chunks one after the other: uncompressed, every one after those that
// it depends on. [change.Check] has not been asked about them.
func (p *Pool) Changes(ctx context.Context, key string, doc []byte) (chunks [][]byte, err error) {
	a, err := p.call(ctx, key, request{Op: opChanges, Log: doc})
	if err != nil {
		return nil, fmt.Errorf("read changes: %w", err)
	}
	for rest := a.Body; len(rest) > 0; {
		var c change.Change
		if c, rest, err = change.Next(rest); err != nil {
			return nil, fmt.Errorf("read changes: worker answered: %w", err)
		}
		chunks = append(chunks, c.Chunk)
	}
	return chunks, nil
}

// write has a change made, and looks at it before anybody gets it.
func (p *Pool) write(ctx context.Context, key string, r request, c Commit) ([]byte, error) {
	r.Actor, r.Message = c.Actor, strings.ToValidUTF8(c.Message, "\uFFFD")
	if len(c.Actor) == 0 {
		return nil, errors.New("no actor")
	}
	if !c.Time.IsZero() {
		r.Time = c.Time.Unix()
	}
	if len(r.Input) > MaxInput {
		return nil, &PatchError{Index: -1, Reason: fmt.Sprintf("longer than %d bytes", MaxInput)}
	}
	a, err := p.call(ctx, key, r)
	if err != nil || len(a.Body) == 0 {
		return nil, err
	}
	made, err := change.Parse(a.Body)
	if err != nil {
		return nil, fmt.Errorf("worker made a bad change: %w", err)
	}
	if err := change.Check(&made); err != nil {
		return nil, fmt.Errorf("worker made a bad change: %w", err)
	}
	if !bytes.Equal(made.Actor, r.Actor) || made.Time != r.Time || string(made.Message()) != r.Message {
		return nil, errors.New("worker made another change than it should")
	}
	return made.Chunk, nil
}

// bytesOf goes through the parts of b that are size bytes long.
func bytesOf(b []byte, size int) func(func([]byte) bool) {
	return func(yield func([]byte) bool) {
		for ; len(b) >= size; b = b[size:] {
			if !yield(b[:size]) {
				return
			}
		}
	}
}
