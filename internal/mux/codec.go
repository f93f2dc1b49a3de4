package mux

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"

	"github.com/fxamacker/cbor/v2"
)

// codec is how a session's messages are written: a CBOR map in a binary frame,
// or the same as a JSON object in a text frame. Struct tags are `json` ones for
// both; byte slices are byte strings in CBOR and base64 in JSON.
type codec uint8

const (
	cborCodec codec = iota
	jsonCodec
	numCodecs
)

// The modes are immutable and safe for concurrent use.
var (
	cborDec = must(cbor.DecOptions{
		MaxNestedLevels:  16,
		MaxArrayElements: 1 << 14,
		MaxMapPairs:      1 << 12,
		IndefLength:      cbor.IndefLengthAllowed,
		TimeTag:          cbor.DecTagIgnored,
	}.DecMode())
	cborEnc = must(cbor.EncOptions{}.UserBufferEncMode())
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err) // constant options: cannot happen in a program whose tests ran
	}
	return v
}

// decode reads one message, or those of its fields that v has. Unknown fields
// are ignored; absent, null and undefined ones leave v's as they are.
func (c codec) decode(data []byte, v any) error {
	if c == jsonCodec {
		return json.Unmarshal(data, v)
	}
	return cborDec.Unmarshal(data, v)
}

// encode appends v to buf.
func (c codec) encode(buf *bytes.Buffer, v any) error {
	if c == jsonCodec {
		data, err := json.Marshal(v)
		buf.Write(data)
		return err
	}
	return cborEnc.MarshalToBuffer(v, buf)
}

// Number is a JavaScript number on the wire. JavaScript sends integers of 2³²
// and more as floats and cannot read 64-bit CBOR integers as numbers, so both
// kinds are read and floats are written past 32 bits.
type Number float64

// MarshalCBOR writes integers of up to 32 bits as such, all else as float64.
func (n Number) MarshalCBOR() ([]byte, error) {
	if f := float64(n); f == math.Trunc(f) && math.Abs(f) <= math.MaxUint32 {
		return cbor.Marshal(int64(f))
	}
	return cbor.Marshal(float64(n))
}

// ID is the id that a client gave a message: a string, an integer, or none.
type ID struct {
	text   string
	number Number
	kind   idKind
}

type idKind uint8

const (
	noID idKind = iota
	textID
	numberID
)

var errBadID = errors.New("id must be a string or an integer")

const (
	maxID        = 256         // bytes of a text that is echoed back
	maxEncodedID = 6*maxID + 9 // the same in either codec: looked at before it is decoded
	maxSafe      = 1<<53 - 1   // past it, float64 no longer tells integers apart
)

// IsZero reports whether there is no id.
func (id ID) IsZero() bool { return id.kind == noID }

func (id *ID) set(v any) error {
	switch v := v.(type) {
	case nil:
		return nil
	case string:
		if len(v) > maxID {
			return errBadID
		}
		*id = ID{text: v, kind: textID}
		return nil
	case uint64:
		return id.setNumber(float64(v))
	case int64:
		return id.setNumber(float64(v))
	case float64:
		return id.setNumber(v)
	}
	return errBadID
}

func (id *ID) setNumber(f float64) error {
	if f != math.Trunc(f) || math.Abs(f) > maxSafe {
		return errBadID
	}
	*id = ID{number: Number(f), kind: numberID}
	return nil
}

func (id ID) value() any {
	switch id.kind {
	case textID:
		return id.text
	case numberID:
		return id.number
	}
	return nil
}

// UnmarshalCBOR, MarshalCBOR, UnmarshalJSON and MarshalJSON are the codecs' hooks.
func (id *ID) UnmarshalCBOR(data []byte) error {
	if len(data) > maxEncodedID {
		return errBadID
	}
	var v any
	if err := cborDec.Unmarshal(data, &v); err != nil {
		return fmt.Errorf("%w: %w", errBadID, err)
	}
	return id.set(v)
}

func (id *ID) UnmarshalJSON(data []byte) error {
	if len(data) > maxEncodedID {
		return errBadID
	}
	var v any
	if err := json.Unmarshal(data, &v); err != nil {
		return fmt.Errorf("%w: %w", errBadID, err)
	}
	return id.set(v)
}

func (id ID) MarshalCBOR() ([]byte, error) { return cbor.Marshal(id.value()) }

func (id ID) MarshalJSON() ([]byte, error) {
	if id.kind == numberID {
		return json.Marshal(int64(id.number))
	}
	return json.Marshal(id.value())
}
