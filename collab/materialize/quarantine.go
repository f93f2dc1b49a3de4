package materialize

import (
	"slices"
	"sync"
	"time"
)

// A document whose requests kill workers this often, within this time, is left
// alone for a while.
const (
	strikes       = 3
	strikesWithin = 10 * time.Minute
	quarantineFor = 5 * time.Minute
)

// quarantine remembers which documents make workers fail.
type quarantine struct {
	mu   sync.Mutex
	keys map[string]*record // guarded by mu
}

// A record is what is known of one document.
type record struct {
	failed []time.Time // fewer than strikes
	until  time.Time   // zero if it is not quarantined
}

// held says whether a document is quarantined.
func (q *quarantine) held(key string, now time.Time) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	r := q.keys[key]
	return r != nil && now.Before(r.until)
}

// strike counts a failure and says whether the document is quarantined by it.
func (q *quarantine) strike(key string, now time.Time) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.keys == nil {
		q.keys = make(map[string]*record)
	}
	for k, r := range q.keys { // few: only those that failed lately
		r.failed = slices.DeleteFunc(r.failed, func(t time.Time) bool { return now.Sub(t) >= strikesWithin })
		if len(r.failed) == 0 && !now.Before(r.until) {
			delete(q.keys, k)
		}
	}
	r := q.keys[key]
	if r == nil {
		r = new(record)
		q.keys[key] = r
	}
	if now.Before(r.until) {
		return false // of requests that were under way
	}
	if r.failed = append(r.failed, now); len(r.failed) < strikes {
		return false
	}
	*r = record{until: now.Add(quarantineFor)}
	return true
}

// list returns the quarantined documents, sorted.
func (q *quarantine) list(now time.Time) []string {
	q.mu.Lock()
	defer q.mu.Unlock()
	var keys []string
	for k, r := range q.keys {
		if now.Before(r.until) {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	return keys
}
