package bench

import (
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	ct "atrium/collab/change/changetest"
)

// trace is a recorded session of typing, one transaction after the other.
type trace [][]splice

// splice deletes so many code points at a place and inserts others there.
type splice struct {
	at, deleted int
	inserted    []rune
}

// readTrace reads a gzipped sequential trace of the editing-traces collection
// (github.com/josephg/editing-traces): {startContent, txns: [{patches:
// [[position, deleted, inserted] …]}]}.
func readTrace(path string) (trace, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	t, err := parseTrace(f)
	if err != nil {
		return nil, fmt.Errorf("read trace %s: %w", path, err)
	}
	return t, nil
}

func parseTrace(r io.Reader) (trace, error) {
	z, err := gzip.NewReader(r)
	if err != nil {
		return nil, err
	}
	var file struct {
		StartContent string
		Txns         []struct{ Patches []splice }
	}
	if err := json.NewDecoder(z).Decode(&file); err != nil {
		return nil, err
	}
	var t trace
	if file.StartContent != "" {
		t = append(t, []splice{{inserted: []rune(file.StartContent)}})
	}
	length := 0
	for _, s := range slices.Concat(t...) {
		length += len(s.inserted)
	}
	for i, txn := range file.Txns {
		for _, s := range txn.Patches {
			if s.at < 0 || s.deleted < 0 || s.at+s.deleted > length {
				return nil, fmt.Errorf("transaction %d is outside the text", i)
			}
			length += len(s.inserted) - s.deleted
		}
		t = append(t, txn.Patches)
	}
	return t, nil
}

// UnmarshalJSON reads [position, deleted, inserted].
func (s *splice) UnmarshalJSON(data []byte) error {
	var inserted string
	parts := []any{&s.at, &s.deleted, &inserted}
	if err := json.Unmarshal(data, &parts); err != nil {
		return err
	}
	if len(parts) != 3 {
		return errors.New("a patch is [position, deleted, inserted]")
	}
	s.inserted = []rune(inserted)
	return nil
}

// script types the trace's first transactions, one change each, by one actor.
func (t trace) script(preload, edits int) (*script, error) {
	preload = max(preload, 1)
	if len(t) < preload+edits {
		return nil, fmt.Errorf("the trace has %d transactions: %d are needed for the preload, and %d for the edits", len(t), preload, edits)
	}
	s := &script{writers: 1}
	writer := newTypist()
	var text []uint64 // counters of the elements shown
	for _, txn := range t[:preload+edits] {
		c := writer.change(func(next uint64) (ops []ct.Op) {
			for _, p := range txn {
				for _, gone := range text[p.at : p.at+p.deleted] {
					ops = append(ops, ct.Delete(writer.text, ct.ID{Ctr: gone}))
					next++
				}
				after := ct.ID{}
				if p.at > 0 {
					after.Ctr = text[p.at-1]
				}
				elements := make([]uint64, len(p.inserted))
				for i, r := range p.inserted {
					ops = append(ops, ct.Insert(writer.text, after, string(r)))
					elements[i], after.Ctr = next, next
					next++
				}
				text = slices.Replace(text, p.at, p.at+p.deleted, elements...)
			}
			return ops
		})
		if len(s.preload) < preload {
			s.preload = append(s.preload, c)
		} else {
			s.edits = append(s.edits, c)
		}
	}
	s.number()
	return s, nil
}
