package dashboard

import (
	"strings"
	"sync"

	"atrium/internal/mux"
)

// subscriptions says who wants which metrics. Finding the subscribers of a name
// costs a look for each length that any prefix has, and their number.
type subscriptions struct {
	mu       sync.RWMutex
	exact    map[string]listeners                 // by name; guarded by mu
	prefixes map[string]listeners                 // by what comes before the asterisk; guarded by mu
	lengths  [maxName + 1]int                     // how many entries of prefixes have this length; guarded by mu
	of       map[*mux.Session]map[string]struct{} // their patterns; guarded by mu
}

type listeners map[*mux.Session]struct{}

func newSubscriptions() subscriptions {
	return subscriptions{
		exact: make(map[string]listeners), prefixes: make(map[string]listeners),
		of: make(map[*mux.Session]map[string]struct{}),
	}
}

// add subscribes a session to patterns, and returns those that it did not have.
// It adds none and reports false if they would be too many.
func (x *subscriptions) add(s *mux.Session, patterns []string) (added []string, ok bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	mine := x.of[s]
	fresh := make(map[string]struct{})
	for _, p := range patterns {
		if _, has := mine[p]; !has {
			fresh[p] = struct{}{}
		}
	}
	if len(mine)+len(fresh) > maxSubscriptions {
		return nil, false
	}
	if mine == nil {
		mine = make(map[string]struct{})
		x.of[s] = mine
	}
	for p := range fresh {
		mine[p] = struct{}{}
		byText, text := x.exact, p
		if prefix, isPrefix := strings.CutSuffix(p, "*"); isPrefix {
			byText, text = x.prefixes, prefix
			if byText[text] == nil {
				x.lengths[len(text)]++
			}
		}
		if byText[text] == nil {
			byText[text] = make(listeners)
		}
		byText[text][s] = struct{}{}
		added = append(added, p)
	}
	return added, true
}

// remove undoes add, and returns the patterns that the session had.
func (x *subscriptions) remove(s *mux.Session, patterns []string) (removed []string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	mine := x.of[s]
	for _, p := range patterns {
		if _, has := mine[p]; !has {
			continue
		}
		delete(mine, p)
		removed = append(removed, p)
		prefix, isPrefix := strings.CutSuffix(p, "*")
		byText, text := x.exact, p
		if isPrefix {
			byText, text = x.prefixes, prefix
		}
		delete(byText[text], s)
		if len(byText[text]) == 0 {
			delete(byText, text)
			if isPrefix {
				x.lengths[len(text)]--
			}
		}
	}
	if len(mine) == 0 {
		delete(x.of, s)
	}
	return removed
}

// patterns returns those of a session.
func (x *subscriptions) patterns(s *mux.Session) (all []string) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	for p := range x.of[s] {
		all = append(all, p)
	}
	return all
}

// to returns the sessions that want a metric, each once.
func (x *subscriptions) to(metric string) []*mux.Session {
	x.mu.RLock()
	defer x.mu.RUnlock()
	var matching []listeners
	if l := x.exact[metric]; l != nil {
		matching = append(matching, l)
	}
	for n := range len(metric) + 1 {
		if x.lengths[n] == 0 {
			continue
		}
		if l := x.prefixes[metric[:n]]; l != nil {
			matching = append(matching, l)
		}
	}
	if len(matching) == 0 {
		return nil
	}
	sessions := make([]*mux.Session, 0, len(matching[0]))
	for i, l := range matching {
		for s := range l {
			if !inAny(matching[:i], s) {
				sessions = append(sessions, s)
			}
		}
	}
	return sessions
}

func inAny(all []listeners, s *mux.Session) bool {
	for _, l := range all {
		if _, in := l[s]; in {
			return true
		}
	}
	return false
}
