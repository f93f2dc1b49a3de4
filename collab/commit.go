package collab

import (
	"context"
	"errors"
	"time"

	"atrium/collab/docsync"
	"atrium/internal/mux"
)

// commit makes what is staged durable, or sees to it that this is tried again.
func (r *room) commit() {
	if len(r.doc.Staged()) == 0 || !r.stop && time.Now().Before(r.retryAt) {
		return
	}
	r.retryAt = time.Time{}
	for {
		total := state{changes: r.doc.Len() + len(r.doc.Staged()), bytes: r.bytes + r.doc.StagedBytes()}
		if r.module.opts.Changed != nil {
			total.heads = r.doc.StagedHeads()
		}
		entries := r.entries()
		version, behind, err := r.module.store.append(context.Background(), r.documentID, r.version, entries, total, time.Now())
		if errors.Is(err, errDeleted) {
			r.vanish()
			return
		}
		if err == nil && behind != nil {
			// Another node was faster, or an append whose outcome was unknown did take place.
			r.withdrawCalls()
			if err = r.add(*behind); err == nil && len(r.doc.Staged()) > 0 {
				continue
			}
			if err == nil {
				r.recovered()
				return
			}
		}
		if err != nil {
			r.failed(err)
			return
		}
		first := r.version + 1
		r.setVersion(version)
		runs := r.stagedRuns(nil)
		r.doc.Commit()
		r.bytes = total.bytes
		r.hasGrown()
		r.runs = runs
		r.tellAppended(first, entries)
		r.recovered()
		return
	}
}

// writer is whom changes come from: a member, or a call. It is the Tag of their
// peers.
type writer interface {
	userID() string // whom the changes are attributed to
	// refuse tells why a change was refused. reply is to what brought it, if that
	// is being handled now.
	refuse(p *docsync.Peer, reply *mux.Reply, e *mux.Error)
	sendAway(e *mux.Error) // it has to send again what it has sent
}

// entries are the staged changes as rows: one for each run of changes of one user.
func (r *room) entries() (entries []entry) {
	for _, s := range r.doc.Staged() {
		userID := s.From.Tag.(writer).userID()
		if n := len(entries); n > 0 && entries[n-1].userID == userID {
			entries[n-1].chunks = append(entries[n-1].chunks, s.Chunk...)
			continue
		}
		entries = append(entries, entry{append([]byte(nil), s.Chunk...), userID})
	}
	return entries
}

func (r *room) recovered() {
	if !r.failing.IsZero() {
		r.log.Info("store works again", "after", time.Since(r.failing))
	}
	r.failing, r.attempts = time.Time{}, 0
}

func (r *room) failed(err error) {
	if r.failing.IsZero() {
		r.failing = time.Now()
		r.log.Error("changes cannot be stored; trying again", "error", err)
	}
	r.retryAt = time.Now().Add(backoff(r.attempts))
	r.attempts++
	if time.Since(r.failing) < r.module.opts.GiveUpAfter && !r.stop {
		return
	}
	r.log.Error("changes could not be stored; their authors have to send them again", "error", err)
	r.module.stats.Abandoned.Add(1)
	r.recovered()
	r.retryAt = time.Time{}
	for _, m := range r.members {
		if len(m.opening) > 0 { // perhaps of what does not come to be
			r.touch(m)
		}
	}
	for _, p := range r.doc.Abandon() {
		p.Tag.(writer).sendAway(mux.NewError(mux.Unavailable, "changes could not be stored"))
	}
}
