package docsync

import (
	"errors"
	"fmt"

	"atrium/collab/change"
)

// Message is a sync message, version 1 or 2. The format is that of
// rust/automerge/src/sync.rs.
type Message struct {
	Heads   []change.Hash
	Need    []change.Hash
	Have    []Have
	Changes [][]byte // chunks; parsed ones alias the input
	Flags   Flags    // 0: the message has no flags section
}

// Have tells what a peer has: everything up to LastSync, and of what came after
// it, what the bloom filter contains.
type Have struct {
	LastSync []change.Hash
	Bloom    Bloom
}

// Flags is the second byte of the flags section.
type Flags byte

const (
	flagsPresent      Flags = 0x80
	flagReadOnly      Flags = 2
	flagSupportsReset Flags = 4
)

const (
	typeV1 = 0x42
	typeV2 = 0x43

	maxHaves = 16 // clients send one
	minChunk = 16 // bytes; no chunk is shorter
)

var (
	errType    = errors.New("not a sync message")
	errCut     = errors.New("sync message is cut off")
	errTooMany = errors.New("sync message claims more than it holds")
	errShort   = errors.New("sync message holds a chunk that is none")
)

// ParseMessage reads a sync message. What it allocates is bounded by the length
// of data.
func ParseMessage(data []byte) (Message, error) {
	if len(data) == 0 || data[0] != typeV1 && data[0] != typeV2 {
		return Message{}, errType
	}
	r := reader{src: data[1:]}
	m := Message{Heads: r.hashes(), Need: r.hashes()}
	for n := min(r.count(2), maxHaves+1); n > 0 && r.err == nil; n-- {
		if len(m.Have) == maxHaves {
			return Message{}, errTooMany
		}
		h := Have{LastSync: r.hashes()}
		bloom := r.prefixed()
		if r.err == nil {
			h.Bloom, r.err = ParseBloom(bloom)
			m.Have = append(m.Have, h)
		}
	}
	for n := r.count(minChunk + 1); n > 0 && r.err == nil; n-- {
		chunk := r.prefixed()
		if r.err == nil && len(chunk) < minChunk {
			return Message{}, errShort
		}
		m.Changes = append(m.Changes, chunk)
	}
	if r.err == nil && len(r.src) > 0 {
		if flags := r.prefixed(); len(flags) >= 2 {
			m.Flags = flagsPresent | Flags(flags[1])
		}
		// What follows is for readers newer than this one.
	}
	if r.err != nil {
		return Message{}, r.err
	}
	return m, nil
}

// AppendMessage appends m in version 1.
func AppendMessage(dst []byte, m Message) []byte { return appendMessage(dst, typeV1, m) }

func appendMessage(dst []byte, typ byte, m Message) []byte {
	dst = append(dst, typ)
	dst = appendHashes(dst, m.Heads)
	dst = appendHashes(dst, m.Need)
	dst = change.AppendUleb(dst, uint64(len(m.Have)))
	for _, h := range m.Have {
		dst = appendHashes(dst, h.LastSync)
		bloom := AppendBloom(nil, h.Bloom)
		dst = change.AppendUleb(dst, uint64(len(bloom)))
		dst = append(dst, bloom...)
	}
	dst = change.AppendUleb(dst, uint64(len(m.Changes)))
	for _, c := range m.Changes {
		dst = change.AppendUleb(dst, uint64(len(c)))
		dst = append(dst, c...)
	}
	if m.Flags != 0 {
		dst = append(dst, 2, 2, byte(m.Flags|flagsPresent))
	}
	return dst
}

func appendHashes(dst []byte, hashes []change.Hash) []byte {
	dst = change.AppendUleb(dst, uint64(len(hashes)))
	for i := range hashes {
		dst = append(dst, hashes[i][:]...)
	}
	return dst
}

// reader reads from the front of src; after the first error it reads nothing.
type reader struct {
	src []byte
	err error
}

func (r *reader) uleb() uint64 {
	if r.err != nil {
		return 0
	}
	x, rest, err := change.ParseUleb(r.src)
	if err != nil {
		r.err = fmt.Errorf("%w: %w", errCut, err)
		return 0
	}
	r.src = rest
	return x
}

// count reads the number of things that follow, which take at least size bytes each.
func (r *reader) count(size int) int {
	n := r.uleb()
	if n > uint64(len(r.src)/size) {
		r.err = errTooMany
		return 0
	}
	return int(n)
}

func (r *reader) take(n int) []byte {
	if r.err != nil || n > len(r.src) {
		if r.err == nil {
			r.err = errCut
		}
		return nil
	}
	b := r.src[:n:n]
	r.src = r.src[n:]
	return b
}

func (r *reader) prefixed() []byte { return r.take(r.count(1)) }

func (r *reader) hashes() []change.Hash {
	n := r.count(len(change.Hash{}))
	if n == 0 || r.err != nil {
		return nil
	}
	hashes := make([]change.Hash, n)
	for i := range hashes {
		hashes[i] = change.Hash(r.take(len(change.Hash{})))
	}
	return hashes
}
