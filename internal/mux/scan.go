package mux

import (
	"encoding/binary"
	"strings"
	"unicode/utf8"
)

// fields are the strings of a message in CBOR, where they stand in the read
// buffer: what can be known of a message without decoding it. Most messages of
// busy sessions are answers that need no more.
type fields struct {
	n    int
	list [8]field
}

type field struct {
	major byte // majorText or majorBytes
	name  []byte
	value []byte
}

// get returns the value of a field, nil if there is none of that major type.
func (f *fields) get(name string, major byte) []byte {
	for i := range f.list[:f.n] {
		if x := &f.list[i]; string(x.name) == name && x.major == major {
			return x.value
		}
	}
	return nil
}

// scan reads a message with a type, without an id, and with few fields, all of
// them strings of definite length. It reports false for every other, which may
// be as good: those are decoded. What it takes, decoding would take, and find
// the same in it.
func (f *fields) scan(data []byte) bool {
	f.n = 0
	n, data, ok := itemHead(data, majorMap)
	if !ok || n > len(f.list) {
		return false
	}
	for range n {
		x := field{major: majorText}
		if x.name, data, ok = stringItem(data, majorText); !ok {
			return false
		}
		for _, name := range [...]string{"id", "type"} { // decoding takes them in any case
			if len(x.name) == len(name) && string(x.name) != "type" && strings.EqualFold(string(x.name), name) {
				return false
			}
		}
		if len(data) > 0 && data[0]>>5 == majorBytes {
			x.major = majorBytes
		}
		if x.value, data, ok = stringItem(data, x.major); !ok {
			return false
		}
		for i := range f.list[:f.n] {
			if string(f.list[i].name) == string(x.name) {
				return false
			}
		}
		f.list[f.n] = x
		f.n++
	}
	return len(data) == 0 && f.get("type", majorText) != nil
}

// Major types of CBOR, RFC 8949, section 3.1.
const (
	majorBytes = 2
	majorText  = 3
	majorMap   = 5
)

// stringItem reads a string and returns what follows it.
func stringItem(data []byte, major byte) (s, rest []byte, ok bool) {
	n, rest, ok := itemHead(data, major)
	if !ok || n > len(rest) || major == majorText && !utf8.Valid(rest[:n]) {
		return nil, nil, false
	}
	return rest[:n:n], rest[n:], true
}

// itemHead reads the head of an item of definite length, or of so many items.
func itemHead(data []byte, major byte) (n int, rest []byte, ok bool) {
	if len(data) == 0 || data[0]>>5 != major {
		return 0, nil, false
	}
	info, data := data[0]&0x1f, data[1:]
	switch {
	case info < 24:
		return int(info), data, true
	case info == 24 && len(data) >= 1:
		return int(data[0]), data[1:], true
	case info == 25 && len(data) >= 2:
		return int(binary.BigEndian.Uint16(data)), data[2:], true
	case info == 26 && len(data) >= 4:
		return int(binary.BigEndian.Uint32(data)), data[4:], true
	}
	return 0, nil, false // more than any message is long, indefinite, or not well-formed
}
