package bench

import (
	"bytes"
	"sync"
	"sync/atomic"

	"atrium/collab/change"
	"atrium/collab/docsync"
)

// heard is what a sync message of the server says. It is not altered once made.
type heard struct {
	data    []byte
	heads   []change.Hash
	numbers []int  // of the script's changes that it carries
	answer  []byte // what a client says that had all before, and has these now
}

// hearing understands sync messages. Servers send the same to all who are as
// far, so the last few are remembered: mostly a message costs a comparison. It is
// safe for concurrent use, and readers do not wait for each other.
type hearing struct {
	script *script
	recent atomic.Pointer[[]*heard] // newest first; replaced, never altered

	mu sync.Mutex // held while recent is replaced
}

const remembered = 8 // messages

// hear returns what data says. data is not kept.
func (h *hearing) hear(data []byte) (*heard, error) {
	if m := h.recall(data); m != nil {
		return m, nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if m := h.recall(data); m != nil { // somebody has been faster
		return m, nil
	}
	m, err := h.understand(bytes.Clone(data))
	if err != nil {
		return nil, err
	}
	recent := []*heard{m}
	if old := h.recent.Load(); old != nil {
		recent = append(recent, (*old)[:min(len(*old), remembered-1)]...)
	}
	h.recent.Store(&recent)
	return m, nil
}

func (h *hearing) recall(data []byte) *heard {
	recent := h.recent.Load()
	if recent == nil {
		return nil
	}
	for _, m := range *recent {
		if bytes.Equal(m.data, data) {
			return m
		}
	}
	return nil
}

func (h *hearing) understand(data []byte) (*heard, error) {
	sync, err := docsync.ParseMessage(data)
	if err != nil {
		return nil, err
	}
	m := &heard{data: data, heads: sync.Heads, answer: answerTo(sync.Heads)}
	known := func(hash change.Hash) {
		if n, ok := h.script.numbers[hash]; ok {
			m.numbers = append(m.numbers, n)
		}
	}
	for _, entry := range sync.Changes {
		err := chunksOf(entry, known, func(heads []change.Hash) {
			m.numbers = h.script.appendPast(m.numbers, heads)
		})
		if err != nil {
			return nil, err
		}
	}
	return m, nil
}

// appendPast appends the numbers of all changes up to heads.
func (s *script) appendPast(dst []int, heads []change.Hash) []int {
	begun := false
	for _, h := range heads {
		n, ok := s.numbers[h]
		if !ok {
			continue
		}
		for ; n >= len(s.preload); n -= s.writers {
			dst = append(dst, n)
			begun = true
		}
		if begun || n == len(s.preload)-1 {
			n = len(s.preload) - 1
		}
		for ; n >= 0; n-- {
			dst = append(dst, n)
		}
	}
	return dst
}
