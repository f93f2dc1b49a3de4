package bench

import (
	"atrium/collab/change"
	"atrium/collab/docsync"
)

// heard is what a sync message of the server says.
type heard struct {
	heads   []change.Hash
	numbers []int  // of the script's changes that it carries
	answer  []byte // what a client says that had all before, and has these now
}

// hearing understands sync messages about a script's document. It is safe for
// concurrent use.
type hearing struct {
	script *script
	recent recent[heard]
}

// hear returns what data says. data is not kept.
func (h *hearing) hear(data []byte) (*heard, error) { return h.recent.meaning(data, h.understand) }

func (h *hearing) understand(data []byte) (*heard, error) {
	sync, err := docsync.ParseMessage(data)
	if err != nil {
		return nil, err
	}
	m := &heard{heads: sync.Heads, answer: answerTo(sync.Heads)}
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
