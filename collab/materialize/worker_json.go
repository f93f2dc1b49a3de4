package materialize

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// parseJSON reads exactly one value. Of a key that stands twice, the last value
// counts.
func parseJSON(src []byte) (*node, error) {
	d := json.NewDecoder(bytes.NewReader(src))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, malformed("not JSON: " + err.Error())
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, malformed("not JSON: more than one value")
	}
	return fromJSON(v, MaxDepth)
}

func malformed(reason string) *PatchError { return &PatchError{Index: -1, Reason: reason} }

var errDeep = malformed(fmt.Sprintf("nested deeper than %d", MaxDepth))

func fromJSON(v any, depth int) (*node, error) {
	if depth == 0 {
		return nil, errDeep
	}
	switch v := v.(type) {
	case bool:
		return &node{kind: kindBool, yes: v}, nil
	case json.Number:
		return parseNumber(string(v))
	case string:
		return &node{kind: kindText, str: v}, nil
	case []any:
		n := &node{kind: kindList, items: make([]*node, len(v))}
		var err error
		for i, item := range v {
			if n.items[i], err = fromJSON(item, depth-1); err != nil {
				return nil, err
			}
		}
		return n, nil
	case map[string]any:
		n := &node{kind: kindMap, keys: make(map[string]*node, len(v))}
		var err error
		for k, child := range v {
			if n.keys[k], err = fromJSON(child, depth-1); err != nil {
				return nil, err
			}
		}
		return n, nil
	}
	return &node{kind: kindNull}, nil
}

// maxSafe is the greatest int that stock clients read as a number. They read
// 2^53-1 as a BigInt already, and throw when they decode a change with a
// greater one.
const maxSafe = 1<<53 - 2

func parseNumber(s string) (*node, error) {
	if !strings.ContainsAny(s, ".eE") {
		if i, err := strconv.ParseInt(s, 10, 64); err == nil {
			return &node{kind: kindInt, int: i}, nil
		}
		if u, err := strconv.ParseUint(s, 10, 64); err == nil {
			return &node{kind: kindUint, uint: u}, nil
		}
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		if errors.Is(err, strconv.ErrRange) {
			err = malformed("a number is out of range")
		}
		return nil, err
	}
	if f == math.Trunc(f) && math.Abs(f) <= maxSafe {
		return &node{kind: kindInt, int: int64(f)}, nil
	}
	return &node{kind: kindFloat, float: f}, nil
}

// appendFloat writes a number as JavaScript does, but integers in full as long
// as they fit in 64 bits, so that they are the same as if they were of an
// integer kind.
func appendFloat(dst []byte, f float64) []byte {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return append(dst, "null"...)
	}
	if f == 0 {
		return append(dst, '0') // of -0, too
	}
	if f == math.Trunc(f) && f >= -1<<63 && f < 1<<64 {
		return strconv.AppendFloat(dst, f, 'f', 0, 64)
	}
	if abs := math.Abs(f); abs >= 1e-6 && abs < 1e21 {
		return strconv.AppendFloat(dst, f, 'f', -1, 64)
	}
	at := len(dst)
	dst = strconv.AppendFloat(dst, f, 'e', -1, 64)
	// Go writes exponents in two digits at least.
	if n := len(dst); n-at >= 4 && dst[n-4] == 'e' && dst[n-2] == '0' {
		dst[n-2] = dst[n-1]
		dst = dst[:n-1]
	}
	return dst
}

func appendString(dst []byte, s string) []byte {
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\uFFFD")
	}
	dst = append(dst, '"')
	from := 0
	for i := range len(s) {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		dst = append(dst, s[from:i]...)
		from = i + 1
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, `\n`...)
		case '\t':
			dst = append(dst, `\t`...)
		case '\r':
			dst = append(dst, `\r`...)
		default:
			dst = fmt.Appendf(dst, `\u%04x`, c)
		}
	}
	dst = append(dst, s[from:]...)
	return append(dst, '"')
}
