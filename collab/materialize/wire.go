package materialize

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/fxamacker/cbor/v2"
)

// What parent and worker say to each other: frames, each its length in four
// bytes, big-endian, and so many bytes of CBOR. The parent sends one hello, and
// then requests; the worker answers each before it reads the next.

// maxFrame is more than any request or answer needs.
const maxFrame = 2*MaxLog + 2*MaxInput

// hello says how a worker is to be.
type hello struct {
	Memory int64 `cbor:"1,keyasint"` // bytes that it may allocate
}

type op uint8

const (
	opSnapshot op = iota + 1
	opJSON
	opCreate
	opPatch
	opRestore
	opDiff
	opChanges
)

type request struct {
	Op      op        `cbor:"1,keyasint"`
	Log     []byte    `cbor:"2,keyasint,omitempty"`
	Other   []byte    `cbor:"3,keyasint,omitempty"` // the second log
	Input   []byte    `cbor:"4,keyasint,omitempty"` // content or patch
	Kind    PatchKind `cbor:"5,keyasint,omitempty"`
	Actor   []byte    `cbor:"6,keyasint,omitempty"`
	Time    int64     `cbor:"7,keyasint,omitempty"` // in seconds since 1970
	Message string    `cbor:"8,keyasint,omitempty"`
}

type answer struct {
	Body  []byte      `cbor:"1,keyasint,omitempty"` // a chunk, chunks or JSON
	Heads []byte      `cbor:"2,keyasint,omitempty"` // one hash after the other
	Patch *PatchError `cbor:"3,keyasint,omitempty"`
	// Unreadable says why a log cannot be loaded.
	Unreadable string `cbor:"4,keyasint,omitempty"`
	// Failed says why there is no answer although log and input are sound.
	Failed string `cbor:"5,keyasint,omitempty"`
	// Grown says that the worker has more memory than it should keep: it is to
	// be ended.
	Grown bool `cbor:"6,keyasint,omitempty"`
}

func (a *answer) err() error {
	switch {
	case a.Patch != nil:
		return a.Patch
	case a.Unreadable != "":
		return fmt.Errorf("%w: %s", ErrUnreadable, a.Unreadable)
	case a.Failed != "":
		return errors.New(a.Failed)
	}
	return nil
}

func writeFrame(w io.Writer, v any) error {
	body, err := cbor.Marshal(v)
	if err != nil {
		return err
	}
	if len(body) > maxFrame {
		return errors.New("frame is too long")
	}
	if _, err := w.Write(binary.BigEndian.AppendUint32(nil, uint32(len(body)))); err != nil {
		return err
	}
	_, err = w.Write(body)
	return err
}

// readFrame returns io.EOF if the other side has ended before the frame.
func readFrame(r io.Reader, v any) error {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return err
	}
	n := int64(binary.BigEndian.Uint32(head[:]))
	if n > maxFrame {
		return errors.New("frame is too long")
	}
	// What is announced and never sent takes no memory.
	var body bytes.Buffer
	body.Grow(int(min(n, 1<<20)))
	if _, err := io.CopyN(&body, r, n); err != nil {
		return fmt.Errorf("frame is cut off: %w", err)
	}
	return cbor.Unmarshal(body.Bytes(), v)
}
