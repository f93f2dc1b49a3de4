package collab

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"atrium/collab/change"
	"atrium/collab/docsync"
	"atrium/collab/pack"
)

// keeping is what is known of how a log is kept, and what is being done about it
// in the background: one thing at a time.
type keeping struct {
	busy    bool
	version int64 // up to which the log is sealed
	changes int   // as many are sealed
	bytes   int   // of their chunks
	packs   int
	first   int // bytes of the first pack
	rest    int // bytes of the others

	snapshotBytes int       // of the chunks that the snapshot, or the newest attempt at one, stands for
	notBefore     time.Time // for the next snapshot
	retryAt       time.Time // when something has failed: not before
}

// Rows are sealed when there are as many, or as long ones. Packs are joined when
// there are as many, and those behind the first are no small part of it; so each
// change is sealed anew a few times.
const (
	sealVersions = 512
	sealBytes    = 1 << 20
	joinPacks    = 4
)

// A snapshot is made when what came after the last one is longer than this, and
// twice as long as that. Making them takes a twentieth of the time at most.
const (
	snapshotBytes = 64 << 10
	snapshotShare = 20
)

// keepRetry is how long the log is left as it is when something has failed.
const keepRetry = time.Minute

// sealed takes a pack into account, which follows those before.
func (k *keeping) sealed(p sealedRun) {
	k.version, k.changes = p.last, p.position+p.changes
	if k.packs == 0 {
		k.first = p.length
	} else {
		k.rest += p.length
	}
	k.packs++
}

// keep begins what is to be done about the log, if anything.
func (r *room) keep() {
	k := &r.keeping
	if k.busy || r.gone || r.stop || !r.failing.IsZero() || time.Now().Before(k.retryAt) {
		return
	}
	switch snapshot, _ := r.doc.Snapshot(); {
	case r.version-k.version >= sealVersions || r.bytes-k.bytes >= sealBytes:
		r.seal()
	case k.packs >= joinPacks && 4*k.rest >= k.first:
		r.joinPacks()
	case r.module.opts.Contents != nil && r.bytes-k.snapshotBytes > max(snapshotBytes, 2*len(snapshot)) && !time.Now().Before(k.notBefore):
		r.makeSnapshot()
	}
}

// errKept says that another node is doing a chore of the same document.
var errKept = errors.New("another node keeps this log at the moment")

// chore does something in the background, one chore of all rooms at a time and one
// node at a time for each document, and then something in the room.
func (r *room) chore(do func() (then func(), err error)) {
	r.keeping.busy = true
	m := r.module
	m.running.Go(func() {
		m.chore <- struct{}{}
		defer func() { <-m.chore }()
		if m.isClosing() {
			return // it can be done the next time
		}
		unlock, ok, err := m.opts.DB.TryLock(context.Background(), "keep "+r.documentID)
		then := func() {}
		switch {
		case err == nil && !ok:
			err = errKept
		case err == nil:
			then, err = do()
			unlock()
		}
		r.mail.put(asked{nil, func(r *room) {
			if r.gone {
				return
			}
			r.keeping.busy = false
			if errors.Is(err, errSealed) && m.opts.DB.Shared() {
				err = r.relearn() // another node has done it
				then = func() {}
			}
			if err == nil {
				then()
				return
			}
			r.keeping.retryAt = time.Now().Add(keepRetry)
			if !errors.Is(err, errKept) {
				r.log.Warn("log cannot be kept as it should be", "error", err)
			}
		}})
	})
}

// relearn finds out how the log is kept by now.
func (r *room) relearn() error {
	if err := r.extend(); err != nil {
		return err
	}
	packs, err := r.module.store.sealedRuns(context.Background(), r.documentID)
	if err != nil {
		return err
	}
	k := &r.keeping
	k.packs, k.rest = 0, 0
	for _, p := range packs {
		k.sealed(p)
	}
	k.bytes = 0
	for _, chunk := range r.doc.Chunks(0, min(k.changes, r.doc.Len())) {
		k.bytes += len(chunk)
	}
	return nil
}

// seal makes a pack of the rows that are there.
func (r *room) seal() {
	k := &r.keeping
	p := sealedRun{first: k.version + 1, last: r.version, position: k.changes, changes: r.doc.Len() - k.changes}
	total := r.bytes
	before := r.positionsBefore(p.position)
	store, id := r.module.store, r.documentID
	r.chore(func() (then func(), err error) {
		ctx := context.Background()
		entries, err := store.entries(ctx, id, p.first, p.last)
		if err == nil && len(entries) != p.changes {
			err = fmt.Errorf("%w: versions %d to %d have %d changes, not %d", errLogDamaged, p.first, p.last, len(entries), p.changes)
		}
		if err != nil {
			return nil, fmt.Errorf("read rows to seal: %w", err)
		}
		p.data, err = pack.Append(nil, entries, p.position, func(h change.Hash) (int, bool) {
			at, ok := before[h]
			return at, ok
		})
		if err == nil {
			hashes := make(map[int]change.Hash, len(before))
			for h, at := range before {
				hashes[at] = h
			}
			err = p.readable(func(at int) change.Hash { return hashes[at] })
		}
		p.length = len(p.data)
		if err == nil {
			err = store.seal(ctx, id, p)
		}
		if err != nil {
			return nil, fmt.Errorf("seal versions %d to %d: %w", p.first, p.last, err)
		}
		return func() {
			r.keeping.sealed(p)
			r.keeping.bytes = total
		}, nil
	})
}

// positionsBefore returns where those changes before a position stand that
// changes from there on depend on.
func (r *room) positionsBefore(from int) map[change.Hash]int {
	before := make(map[change.Hash]int)
	for _, chunk := range r.doc.Chunks(from, r.doc.Len()) {
		c, err := change.Reopen(chunk)
		if err != nil {
			continue // it has been parsed before
		}
		for i := range c.NumDeps() {
			if at, ok := r.doc.Position(c.Dep(i)); ok && at < from {
				before[c.Dep(i)] = at
			}
		}
	}
	return before
}

// joinPacks makes one pack of those that are there.
func (r *room) joinPacks() {
	store, id, last := r.module.store, r.documentID, r.keeping.version
	r.chore(func() (then func(), err error) {
		ctx := context.Background()
		packs, err := store.packs(ctx, id, last)
		if err != nil {
			return nil, fmt.Errorf("read packs to join: %w", err)
		}
		entries, err := unpackAll(packs)
		if err != nil {
			return nil, fmt.Errorf("join packs: %w", err)
		}
		p := sealedRun{first: packs[0].first, last: last, changes: len(entries)}
		p.data, err = pack.Append(nil, entries, 0, func(change.Hash) (int, bool) { return 0, false })
		p.length = len(p.data)
		if err == nil {
			err = p.readable(nil)
		}
		if err == nil {
			err = store.replacePacks(ctx, id, len(packs), p)
		}
		if err != nil {
			return nil, fmt.Errorf("join packs: %w", err)
		}
		return func() {
			k := &r.keeping
			k.packs, k.rest = 0, 0
			k.sealed(p)
		}, nil
	})
}

// readable reads a pack that is to take the place of what it was made of.
func (p *sealedRun) readable(hashAt func(int) change.Hash) error {
	_, hashes, err := pack.Run(p.data, p.position, hashAt)
	if err == nil && len(hashes) != p.changes {
		err = fmt.Errorf("%w: the pack has %d changes, not %d", errLogDamaged, len(hashes), p.changes)
	}
	return err
}

// unpack returns the changes of a pack, which begins no later than where the
// document ends.
func unpack(doc *docsync.Document, p sealedRun) (run []byte, err error) {
	if p.position > doc.Len() {
		return nil, fmt.Errorf("%w: a pack begins at change %d behind %d", errLogDamaged, p.position, doc.Len())
	}
	run, hashes, err := pack.Run(p.data, p.position, doc.HashAt)
	if err == nil && len(hashes) != p.changes {
		err = fmt.Errorf("%w: a pack has %d changes, not %d", errLogDamaged, len(hashes), p.changes)
	}
	if err != nil {
		return nil, fmt.Errorf("open pack: %w", err)
	}
	return run, nil
}

// makeSnapshot has a snapshot made of the log as it is.
func (r *room) makeSnapshot() {
	heads, chunks, n := r.doc.Heads(), r.doc.Whole(), r.doc.Len()
	r.keeping.snapshotBytes = r.bytes
	m, id := r.module, r.documentID
	_, had := r.doc.Snapshot()
	r.chore(func() (then func(), err error) {
		ctx := context.Background()
		if of, data, err := m.store.snapshot(ctx, id); err != nil || of > had && of <= n && change.CheckDocument(data) == nil {
			return func() { r.takeSnapshot(data, of) }, err // another node has made it
		}
		began := time.Now()
		data, got, err := m.opts.Contents.Snapshot(ctx, id, slices.Concat(chunks...))
		if err == nil && !sameHeads(heads, got) {
			err = errors.New("it has other heads")
		}
		if err == nil {
			err = m.store.saveSnapshot(ctx, id, n, data)
		}
		if err != nil {
			return nil, fmt.Errorf("make a snapshot: %w", err)
		}
		took := time.Since(began)
		return func() {
			r.takeSnapshot(data, n)
			r.keeping.notBefore = time.Now().Add(snapshotShare * took)
		}, nil
	})
}

// takeSnapshot has those who join from now on get a snapshot of the first changes.
func (r *room) takeSnapshot(data []byte, changes int) {
	r.doc.SetSnapshot(data, changes)
	r.frames.clear()
	r.keeping.snapshotBytes = 0
	for _, chunk := range r.doc.Chunks(0, changes) {
		r.keeping.snapshotBytes += len(chunk)
	}
}

func sameHeads(a, b []change.Hash) bool {
	compare := func(a, b change.Hash) int { return slices.Compare(a[:], b[:]) }
	b = slices.Clone(b)
	slices.SortFunc(b, compare)
	return slices.Equal(a, b)
}
