package mux

import (
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"slices"

	"github.com/fxamacker/cbor/v2"
)

// Value is any value that JSON can say, and byte strings, which a message brings
// and others take on: kept as it came, and put into the other codec when that is
// asked for. The zero Value is null.
type Value struct {
	raw   []byte // nil: null
	codec codec  // of raw
}

// ValueOf makes a value of JSON. It takes data over.
func ValueOf(data json.RawMessage) (Value, error) {
	var x any
	if err := json.Unmarshal(data, &x); err != nil {
		return Value{}, err
	}
	if !plain(x, maxValueDepth) {
		return Value{}, errNotPlain
	}
	return Value{data, jsonCodec}, nil
}

// Len is the value's length in bytes, as it came.
func (v Value) Len() int { return len(v.raw) }

var errNotPlain = errors.New("a value that JSON cannot say")

// valueDec reads CBOR as encoding/json reads JSON: maps have texts as keys.
var valueDec = must(cbor.DecOptions{
	MaxNestedLevels:  16,
	MaxArrayElements: 1 << 14,
	MaxMapPairs:      1 << 12,
	DefaultMapType:   reflect.TypeFor[map[string]any](),
}.DecMode())

var valueEnc = must(cbor.EncOptions{Sort: cbor.SortBytewiseLexical}.EncMode())

// UnmarshalCBOR, UnmarshalJSON, MarshalCBOR and MarshalJSON are the codecs' hooks.
func (v *Value) UnmarshalCBOR(data []byte) error {
	var x any
	if err := valueDec.Unmarshal(data, &x); err != nil {
		return err
	}
	if !plain(x, maxValueDepth) {
		return errNotPlain
	}
	*v = Value{slices.Clone(data), cborCodec}
	return nil
}

func (v *Value) UnmarshalJSON(data []byte) error {
	value, err := ValueOf(slices.Clone(data))
	*v = value
	return err
}

func (v Value) MarshalCBOR() ([]byte, error) {
	switch {
	case v.raw == nil:
		return []byte{0xf6}, nil
	case v.codec == cborCodec:
		return v.raw, nil
	}
	var x any
	if err := json.Unmarshal(v.raw, &x); err != nil {
		return nil, err
	}
	return valueEnc.Marshal(numbers(x))
}

func (v Value) MarshalJSON() ([]byte, error) {
	switch {
	case v.raw == nil:
		return []byte("null"), nil
	case v.codec == jsonCodec:
		return v.raw, nil
	}
	var x any
	if err := valueDec.Unmarshal(v.raw, &x); err != nil {
		return nil, err
	}
	return json.Marshal(x)
}

// maxValueDepth leaves room for the message around a value: clients may refuse
// what is deeper than Atrium does.
const maxValueDepth = 12

// plain reports whether JSON can say x, as decoded, in no more than depth levels.
func plain(x any, depth int) bool {
	if depth < 0 {
		return false
	}
	switch x := x.(type) {
	case nil, bool, string, []byte, uint64, int64:
		return true
	case float64:
		return !math.IsNaN(x) && !math.IsInf(x, 0)
	case []any:
		return !slices.ContainsFunc(x, func(x any) bool { return !plain(x, depth-1) })
	case map[string]any:
		for _, x := range x {
			if !plain(x, depth-1) {
				return false
			}
		}
		return true
	}
	return false // tags, big numbers, simple values
}

// numbers makes the numbers of a value from JSON such that JavaScript reads
// them as numbers in CBOR too.
func numbers(x any) any {
	switch x := x.(type) {
	case float64:
		return Number(x)
	case []any:
		for i := range x {
			x[i] = numbers(x[i])
		}
	case map[string]any:
		for k := range x {
			x[k] = numbers(x[k])
		}
	}
	return x
}
