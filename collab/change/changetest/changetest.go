// Package changetest makes change chunks for tests, good ones and, with raw
// columns, bad ones. It checks nothing: what does not fit together comes out
// with a matching checksum all the same.
package changetest

import (
	"crypto/sha256"

	"atrium/collab/change"
)

// A Change is what one chunk says.
type Change struct {
	Actor   []byte // 16 times 0x01 if nil
	Seq     uint64 // 1 if 0, unless Raw
	StartOp uint64 // 1 if 0, unless Raw
	Time    int64
	Deps    []change.Hash
	Message string
	Others  [][]byte // other actors, by index from 1
	Ops     []Op
	Extra   []byte
	// Replace takes the place of columns that Ops would make, or adds others.
	// A column without data is left out.
	Replace []Column
	// Raw leaves Seq and StartOp at 0 if they are.
	Raw bool
	// Keep keeps columns without data.
	Keep bool
}

// A Column is the data of one column. They are written in the order of Spec.
type Column struct {
	Spec uint64
	Data []byte
}

// Columns, by specification.
const (
	ObjActor  = 1
	ObjCtr    = 2
	KeyActor  = 17
	KeyCtr    = 19
	KeyStr    = 21
	Inserted  = 52
	Action    = 66
	ValueMeta = 86
	Value     = 87
	PredNum   = 112
	PredActor = 113
	PredCtr   = 115
	Expand    = 148
	MarkName  = 165
)

// Encode returns the chunk, uncompressed.
func (c Change) Encode() []byte { return Chunk(1, c.Body()) }

// Hash returns the hash of the chunk.
func (c Change) Hash() change.Hash { return sha256.Sum256(c.Encode()[8:]) }

// Chunk puts a header with a matching checksum before a body.
func Chunk(typ byte, body []byte) []byte {
	out := []byte{0x85, 0x6f, 0x4a, 0x83, 0, 0, 0, 0, typ}
	out = change.AppendUleb(out, uint64(len(body)))
	out = append(out, body...)
	sum := sha256.Sum256(out[8:])
	copy(out[4:8], sum[:])
	return out
}

// Body returns what stands after the chunk's header.
func (c Change) Body() []byte {
	if c.Actor == nil {
		c.Actor = Actor(1)
	}
	if !c.Raw {
		c.Seq, c.StartOp = max(c.Seq, 1), max(c.StartOp, 1)
	}
	b := change.AppendUleb(nil, uint64(len(c.Deps)))
	for _, d := range c.Deps {
		b = append(b, d[:]...)
	}
	b = appendBytes(b, c.Actor)
	b = change.AppendUleb(b, c.Seq)
	b = change.AppendUleb(b, c.StartOp)
	b = change.AppendLeb(b, c.Time)
	b = appendBytes(b, []byte(c.Message))
	b = change.AppendUleb(b, uint64(len(c.Others)))
	for _, o := range c.Others {
		b = appendBytes(b, o)
	}
	var cols []Column
	for _, col := range c.columns() {
		if len(col.Data) > 0 || c.Keep {
			cols = append(cols, col)
		}
	}
	b = change.AppendUleb(b, uint64(len(cols)))
	for _, col := range cols {
		b = change.AppendUleb(b, col.Spec)
		b = change.AppendUleb(b, uint64(len(col.Data)))
	}
	for _, col := range cols {
		b = append(b, col.Data...)
	}
	return append(b, c.Extra...)
}

// Actor returns an actor id of 16 equal bytes.
func Actor(n byte) []byte {
	a := make([]byte, 16)
	for i := range a {
		a[i] = n
	}
	return a
}

func appendBytes(dst, b []byte) []byte {
	return append(change.AppendUleb(dst, uint64(len(b))), b...)
}
