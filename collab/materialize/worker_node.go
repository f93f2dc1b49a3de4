package materialize

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"time"
)

// A node is a value of a document, or of JSON. Those of JSON are null, booleans,
// integers, floats, texts, maps and lists.
type node struct {
	kind  kind
	yes   bool             // of a boolean
	int   int64            // of an integer, a counter, and a date in milliseconds
	uint  uint64           // of an unsigned integer
	float float64          // of a float
	str   string           // of strings, texts and bytes
	keys  map[string]*node // of a map
	items []*node          // of a list

	// object is the *automerge.Map, List, Text or Counter that this is, in the
	// document to be changed.
	object any

	sums [2]*sum // for each mode of comparing, once asked for
}

type kind uint8

const (
	kindNull kind = iota
	kindBool
	kindInt
	kindUint
	kindFloat
	kindString
	kindText
	kindBytes
	kindTime
	kindCounter
	kindMap
	kindList
	kindUnknown
)

// A mode says when two nodes are equal.
type mode int

const (
	asJSON  mode = iota // if their JSON is
	asTyped             // if their kinds are as well
)

// A sum stands for all that a node is: nodes are equal if their sums are.
type sum [16]byte

func (n *node) sum(m mode) sum {
	if n.sums[m] == nil {
		b := make([]byte, 0, 64)
		if m == asTyped {
			b = append(b, byte(n.kind))
		}
		switch {
		case n.kind == kindMap:
			b = append(b, '{')
			for _, k := range n.sortedKeys() {
				b = binary.AppendUvarint(b, uint64(len(k)))
				b = append(b, k...)
				s := n.keys[k].sum(m)
				b = append(b, s[:]...)
			}
		case n.kind == kindList:
			b = append(b, '[')
			for _, item := range n.items {
				s := item.sum(m)
				b = append(b, s[:]...)
			}
		case m == asTyped && n.kind == kindFloat:
			b = binary.BigEndian.AppendUint64(b, math.Float64bits(n.float))
		case m == asTyped && n.kind == kindTime:
			b = binary.BigEndian.AppendUint64(b, uint64(n.int))
		default:
			b = n.appendJSON(b)
		}
		h := sha256.Sum256(b)
		n.sums[m] = (*sum)(h[:])
	}
	return *n.sums[m]
}

func (n *node) equal(other *node, m mode) bool { return n.sum(m) == other.sum(m) }

func (n *node) sortedKeys() []string { return slices.Sorted(maps.Keys(n.keys)) }

// depth returns how deep a node is nested: 1 if it holds nothing.
func (n *node) depth() int {
	d := 0
	for _, child := range n.keys {
		d = max(d, child.depth())
	}
	for _, item := range n.items {
		d = max(d, item.depth())
	}
	return d + 1
}

// size returns about how many bytes the JSON has.
func (n *node) size() int {
	s := 8 + len(n.str)
	for k, child := range n.keys {
		s += len(k) + child.size()
	}
	for _, item := range n.items {
		s += item.size()
	}
	return s
}

// plain returns a copy as it would come from the JSON.
func (n *node) plain() *node {
	switch n.kind {
	case kindMap:
		c := &node{kind: kindMap, keys: make(map[string]*node, len(n.keys))}
		for k, child := range n.keys {
			c.keys[k] = child.plain()
		}
		return c
	case kindList:
		c := &node{kind: kindList, items: make([]*node, len(n.items))}
		for i, item := range n.items {
			c.items[i] = item.plain()
		}
		return c
	case kindText, kindString:
		return &node{kind: kindText, str: n.str}
	case kindBytes:
		return &node{kind: kindText, str: base64.StdEncoding.EncodeToString([]byte(n.str))}
	case kindTime:
		if s, ok := isoString(n.int); ok {
			return &node{kind: kindText, str: s}
		}
		return &node{kind: kindNull}
	case kindCounter:
		return &node{kind: kindInt, int: n.int}
	case kindFloat:
		if math.IsNaN(n.float) || math.IsInf(n.float, 0) {
			return &node{kind: kindNull}
		}
		if c, err := parseNumber(string(appendFloat(nil, n.float))); err == nil {
			return c
		}
	case kindUint:
		if n.uint <= math.MaxInt64 {
			return &node{kind: kindInt, int: int64(n.uint)}
		}
	case kindUnknown:
		return &node{kind: kindNull}
	}
	return &node{kind: n.kind, yes: n.yes, int: n.int, uint: n.uint, float: n.float}
}

func (n *node) appendJSON(dst []byte) []byte {
	switch n.kind {
	case kindBool:
		return strconv.AppendBool(dst, n.yes)
	case kindInt, kindCounter:
		return strconv.AppendInt(dst, n.int, 10)
	case kindUint:
		return strconv.AppendUint(dst, n.uint, 10)
	case kindFloat:
		return appendFloat(dst, n.float)
	case kindString, kindText:
		return appendString(dst, n.str)
	case kindBytes:
		dst = append(dst, '"')
		dst = base64.StdEncoding.AppendEncode(dst, []byte(n.str))
		return append(dst, '"')
	case kindTime:
		if s, ok := isoString(n.int); ok {
			return appendString(dst, s)
		}
	case kindMap:
		dst = append(dst, '{')
		for i, k := range n.sortedKeys() {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendString(dst, k)
			dst = append(dst, ':')
			dst = n.keys[k].appendJSON(dst)
		}
		return append(dst, '}')
	case kindList:
		dst = append(dst, '[')
		for i, item := range n.items {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = item.appendJSON(dst)
		}
		return append(dst, ']')
	}
	return append(dst, "null"...)
}

// maxDate is the greatest distance from 1970 of a JavaScript date, in
// milliseconds.
const maxDate = 8.64e15

// isoString is JavaScript's Date.prototype.toISOString.
func isoString(ms int64) (string, bool) {
	if ms > maxDate || ms < -maxDate {
		return "", false
	}
	t := time.UnixMilli(ms).UTC()
	rest := t.Format("-01-02T15:04:05.000Z")
	switch y := t.Year(); {
	case y < 0:
		return fmt.Sprintf("-%06d", -y) + rest, true
	case y > 9999:
		return fmt.Sprintf("+%06d", y) + rest, true
	default:
		return fmt.Sprintf("%04d", y) + rest, true
	}
}
