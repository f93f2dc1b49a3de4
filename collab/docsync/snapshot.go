package docsync

import "atrium/collab/change"

// SetSnapshot says that a document chunk holds the log's first n changes. Peers
// that have nothing are sent it in place of those, if they can read it. The
// chunk is kept.
func (d *Document) SetSnapshot(chunk []byte, n int) {
	if n <= d.committed {
		d.snapshot, d.snapshotted = chunk, n
	}
}

// Snapshot returns the newest snapshot, and how many changes it holds; nil if
// there is none.
func (d *Document) Snapshot() (chunk []byte, n int) { return d.snapshot, d.snapshotted }

// Whole returns the log as one run of chunks that can be loaded: the snapshot, if
// there is one, and what came after it.
func (d *Document) Whole() [][]byte {
	if d.snapshot == nil {
		return d.chunks(nil, 0, d.committed)
	}
	return append([][]byte{d.snapshot}, d.chunks(nil, d.snapshotted, d.committed)...)
}

// Past returns the chunks, in log order, of these changes and all that they
// depend on. It reports false if one of them is not in the log.
func (d *Document) Past(heads []change.Hash) (chunks [][]byte, ok bool) {
	base := make([]position, len(heads))
	for i, h := range heads {
		if base[i], ok = d.known(h); !ok {
			return nil, false
		}
	}
	list, from := d.g.missing(base, d.committed)
	for p := range position(from) {
		if len(list) > 0 && list[0] == p {
			list = list[1:]
			continue
		}
		chunks = append(chunks, d.g.at(p).chunk)
	}
	return chunks, true
}

// Position returns where a change stands in the log.
func (d *Document) Position(h change.Hash) (int, bool) {
	p, ok := d.known(h)
	return int(p), ok
}

// HashAt returns the hash of the change at a position of the log.
func (d *Document) HashAt(p int) change.Hash { return d.g.at(position(p)).hash }
