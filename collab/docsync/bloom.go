package docsync

import (
	"encoding/binary"
	"errors"
	"math"

	"atrium/collab/change"
)

// Bloom is a filter of change hashes, as of rust/automerge/src/sync/bloom.rs.
// The zero value contains nothing.
type Bloom struct {
	entries, perEntry, probes uint32
	bits                      []byte
}

// What Automerge writes today: about one false positive in a hundred.
const (
	bitsPerEntry = 10
	numProbes    = 7
	maxProbes    = 64
)

var errBloom = errors.New("malformed bloom filter")

// NewBloom returns an empty filter for n hashes.
func NewBloom(n int) Bloom {
	if n <= 0 {
		return Bloom{}
	}
	return Bloom{
		entries: uint32(n), perEntry: bitsPerEntry, probes: numProbes,
		bits: make([]byte, bloomBytes(uint64(n), bitsPerEntry)),
	}
}

func bloomBytes(entries, perEntry uint64) uint64 { return (entries*perEntry + 7) / 8 }

// ParseBloom reads a filter; it aliases data.
func ParseBloom(data []byte) (Bloom, error) {
	if len(data) == 0 {
		return Bloom{}, nil
	}
	r := reader{src: data}
	entries, perEntry, probes := r.uleb(), r.uleb(), r.uleb()
	if r.err != nil || max(entries, perEntry) > math.MaxUint32 || probes > maxProbes ||
		uint64(len(r.src)) != bloomBytes(entries, perEntry) {
		return Bloom{}, errBloom
	}
	if entries == 0 {
		return Bloom{}, nil
	}
	return Bloom{uint32(entries), uint32(perEntry), uint32(probes), r.src}, nil
}

// AppendBloom appends the filter, nothing for an empty one.
func AppendBloom(dst []byte, b Bloom) []byte {
	if b.entries == 0 {
		return dst
	}
	dst = change.AppendUleb(dst, uint64(b.entries))
	dst = change.AppendUleb(dst, uint64(b.perEntry))
	dst = change.AppendUleb(dst, uint64(b.probes))
	return append(dst, b.bits...)
}

// Empty reports whether the filter contains nothing.
func (b Bloom) Empty() bool { return b.entries == 0 }

// Add puts a hash into the filter.
func (b Bloom) Add(h change.Hash) {
	b.probe(h, func(bit uint64) bool {
		b.bits[bit/8] |= 1 << (bit % 8)
		return true
	})
}

// Contains reports whether h may be in the filter; it errs about once in a hundred.
func (b Bloom) Contains(h change.Hash) bool {
	if len(b.bits) == 0 {
		return false
	}
	all := true
	b.probe(h, func(bit uint64) bool {
		all = b.bits[bit/8]&(1<<(bit%8)) != 0
		return all
	})
	return all
}

func (b Bloom) probe(h change.Hash, visit func(bit uint64) bool) {
	m := uint64(len(b.bits)) * 8
	x := uint64(binary.LittleEndian.Uint32(h[0:])) % m
	y := uint64(binary.LittleEndian.Uint32(h[4:])) % m
	z := uint64(binary.LittleEndian.Uint32(h[8:])) % m
	for i := range b.probes {
		if i > 0 {
			x = (x + y) % m
			y = (y + z) % m
		}
		if !visit(x) {
			return
		}
	}
}
