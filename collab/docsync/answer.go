package docsync

import "atrium/collab/change"

// ParseAnswer looks at a sync message without keeping anything of it, and
// allocates nothing. If the message says no more than which heads its sender
// has, it returns those, one hash after the other, as they stand in data. It
// reports false for one that carries or wants changes, or asks to start afresh,
// and for what is no message.
func ParseAnswer(data []byte) (heads []byte, ok bool) {
	if len(data) == 0 || data[0] != typeV1 && data[0] != typeV2 {
		return nil, false
	}
	r := reader{src: data[1:]}
	hashes := func() []byte { return r.take(r.count(len(change.Hash{})) * len(change.Hash{})) }
	heads = hashes()
	need := hashes()
	haves := min(r.count(2), maxHaves+1)
	for i := range haves {
		lastSync := hashes()
		bloom, err := ParseBloom(r.prefixed())
		if reset := haves == 1 && len(lastSync) == 0 && bloom.Empty(); reset || i == maxHaves || err != nil {
			return nil, false
		}
	}
	if changes := r.count(minChunk + 1); r.err != nil || len(need) > 0 || changes > 0 {
		return nil, false
	}
	if len(r.src) > 0 {
		r.prefixed() // flags
	}
	return heads, r.err == nil
}
