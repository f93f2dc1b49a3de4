package bench

import (
	"bytes"
	"sync"
	"sync/atomic"
)

// recent remembers what the last few messages meant. Servers send the same to
// all who are as far, so mostly a message costs a comparison. It is safe for
// concurrent use, and readers do not wait for each other. The zero value is empty.
type recent[T any] struct {
	list atomic.Pointer[[]remembered[T]] // newest first; replaced, never altered

	mu sync.Mutex // held while something is understood and list replaced
}

type remembered[T any] struct {
	data    []byte
	meaning *T
}

const maxRemembered = 8 // messages

// meaning returns what understand makes of data, now or before. data is not
// kept; understand is given a copy that is its own. What it returns must not be
// altered.
func (r *recent[T]) meaning(data []byte, understand func([]byte) (*T, error)) (*T, error) {
	if m := r.recall(data); m != nil {
		return m, nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if m := r.recall(data); m != nil { // somebody has been faster
		return m, nil
	}
	data = bytes.Clone(data)
	m, err := understand(data)
	if err != nil {
		return nil, err
	}
	list := []remembered[T]{{data, m}}
	if old := r.list.Load(); old != nil {
		list = append(list, (*old)[:min(len(*old), maxRemembered-1)]...)
	}
	r.list.Store(&list)
	return m, nil
}

func (r *recent[T]) recall(data []byte) *T {
	list := r.list.Load()
	if list == nil {
		return nil
	}
	for _, m := range *list {
		if bytes.Equal(m.data, data) {
			return m.meaning
		}
	}
	return nil
}
