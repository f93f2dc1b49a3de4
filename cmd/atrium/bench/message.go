package bench

import (
	"encoding/binary"
	"errors"

	"github.com/fxamacker/cbor/v2"

	"atrium/collab/change"
	"atrium/collab/docsync"
)

// fields are what the bench looks at in every message. They alias the message.
type fields struct {
	typ, documentID, data []byte
}

var errMessage = errors.New("not a message")

// scan finds the fields of a message without decoding it, and allocates nothing:
// every delivery goes through it.
func scan(msg []byte) (f fields, err error) {
	s := scanner{src: msg}
	major, n := s.head()
	if major != cborMap {
		return f, errMessage
	}
	for ; n > 0 && s.ok(); n-- {
		key := s.text()
		var into *[]byte
		switch string(key) {
		case "type":
			into = &f.typ
		case "documentId":
			into = &f.documentID
		case "data":
			into = &f.data
		}
		if into == nil {
			s.skip(0)
		} else {
			*into = s.text()
		}
	}
	if !s.ok() {
		return f, errMessage
	}
	return f, nil
}

// CBOR's major types, as of RFC 8949.
const (
	cborUint  = 0
	cborBytes = 2
	cborText  = 3
	cborArray = 4
	cborMap   = 5
	cborTag   = 6
)

// scanner reads CBOR of definite lengths from the front of src, which is nil
// after an error.
type scanner struct {
	src []byte
	bad bool
}

func (s *scanner) ok() bool { return !s.bad }

func (s *scanner) take(n uint64) []byte {
	if n > uint64(len(s.src)) {
		s.bad, s.src = true, nil
		return nil
	}
	b := s.src[:n]
	s.src = s.src[n:]
	return b
}

func (s *scanner) head() (major byte, n uint64) {
	b := s.take(1)
	if b == nil {
		return 0xff, 0
	}
	major, low := b[0]>>5, b[0]&31
	if low < 24 {
		return major, uint64(low)
	}
	if low > 27 {
		s.bad = true
		return major, 0
	}
	for _, b := range s.take(1 << (low - 24)) {
		n = n<<8 | uint64(b)
	}
	return major, n
}

// text reads a text or byte string.
func (s *scanner) text() []byte {
	major, n := s.head()
	if major != cborText && major != cborBytes {
		s.bad = true
		return nil
	}
	return s.take(n)
}

func (s *scanner) skip(depth int) {
	major, n := s.head()
	switch major {
	case cborBytes, cborText:
		s.take(n)
	case cborMap, cborArray, cborTag:
		if major == cborMap {
			n *= 2
		} else if major == cborTag {
			n = 1
		}
		s.bad = s.bad || depth > 8
		for ; n > 0 && s.ok(); n-- {
			s.skip(depth + 1)
		}
	}
}

func appendCBORHead(dst []byte, major byte, n int) []byte {
	major <<= 5
	switch {
	case n < 24:
		return append(dst, major|byte(n))
	case n <= 0xff:
		return append(dst, major|24, byte(n))
	case n <= 0xffff:
		return binary.BigEndian.AppendUint16(append(dst, major|25), uint16(n))
	default:
		return binary.BigEndian.AppendUint32(append(dst, major|26), uint32(n))
	}
}

// appendFields appends a map's text fields, given as key, value, key, value …,
// and leaves its last one, data, to be appended.
func appendFields(dst []byte, keysAndValues ...string) []byte {
	dst = appendCBORHead(dst, cborMap, len(keysAndValues)/2+1)
	for _, s := range append(keysAndValues, "data") {
		dst = append(appendCBORHead(dst, cborText, len(s)), s...)
	}
	return dst
}

// appendSync appends a client's frame: prefix, made by appendFields, and a sync
// message.
func appendSync(dst, prefix, sync []byte) []byte {
	var head [5]byte
	size := appendCBORHead(head[:0], cborBytes, len(sync))
	dst = appendHead(dst, opBinary, len(prefix)+len(size)+len(sync), true)
	dst = append(dst, prefix...)
	dst = append(dst, size...)
	return append(dst, sync...)
}

// What stock clients of today put around a sync message.
const typeV2 = 0x43

var stockFlags = []byte{2, 2, 0x84}

// answerTo is what a stock client says that has all up to these heads.
func answerTo(heads []change.Hash) []byte {
	answer := docsync.AppendMessage(nil, docsync.Message{Heads: heads, Have: []docsync.Have{{LastSync: heads}}})
	answer[0] = typeV2
	return append(answer, stockFlags...)
}

// firstRequest is what a client says that has nothing. Without flags every server
// answers in version 1, one change to a chunk; with them, as it likes.
func firstRequest(v2 bool) []byte {
	request := docsync.AppendMessage(nil, docsync.Message{Have: []docsync.Have{{}}})
	if v2 {
		request = append(request, stockFlags...)
	}
	return request
}

// chunksOf calls f with the hash of every change in one entry of a sync message,
// and whole with the heads of a document that stands there instead.
func chunksOf(entry []byte, f func(change.Hash), whole func(heads []change.Hash)) error {
	for len(entry) > 0 {
		c, err := change.Parse(entry)
		switch {
		case err == nil:
			f(c.Hash)
			return nil
		case errors.Is(err, change.ErrDocument):
			heads, rest, err := documentHeads(entry)
			if err != nil {
				return err
			}
			whole(heads)
			entry = rest
			continue
		}
		c, rest, nextErr := change.Next(entry)
		if nextErr != nil {
			return errors.Join(err, nextErr)
		}
		f(c.Hash)
		entry = rest
	}
	return nil
}

// documentHeads reads the heads of a document chunk: they follow its actors.
func documentHeads(chunk []byte) (heads []change.Hash, rest []byte, err error) {
	const header = 9 // magic, checksum, type
	size, body, err := change.ParseUleb(chunk[min(header, len(chunk)):])
	if err != nil || size > uint64(len(body)) {
		return nil, nil, errMessage
	}
	body, rest = body[:size], body[size:]
	count := func() uint64 {
		n, after, countErr := change.ParseUleb(body)
		if body = after; countErr != nil || n > uint64(len(after)) {
			err = errMessage
			return 0
		}
		return n
	}
	for n := count(); n > 0 && err == nil; n-- {
		actor := count()
		body = body[actor:]
	}
	for n := count(); n > 0 && err == nil; n-- {
		if len(body) < len(change.Hash{}) {
			return nil, nil, errMessage
		}
		heads = append(heads, change.Hash(body))
		body = body[len(change.Hash{}):]
	}
	return heads, rest, err
}

// mustCBOR encodes what is made of plain Go values only.
func mustCBOR(v any) []byte {
	data, err := cbor.Marshal(v)
	if err != nil {
		panic(err) // not with those values
	}
	return data
}
