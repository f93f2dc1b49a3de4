package dashboard

import (
	"slices"
	"strings"

	"atrium/internal/auth"
	"atrium/internal/db"
	"atrium/internal/mux"
)

type (
	metricsRequest struct {
		Metrics []string `json:"metrics"` // names, or prefixes with an asterisk behind
	}
	valuesAck struct {
		mux.Ack
		Values    []current `json:"values"`
		Truncated bool      `json:"truncated,omitempty"` // there are more
	}
	current struct {
		Metric    string    `json:"metric"`
		Value     mux.Value `json:"value"`
		Timestamp string    `json:"timestamp"`
	}
	updateMessage struct {
		Type string `json:"type"`
		current
	}
)

// Bounds of an answer's values: it must not use up what a session's queue may hold.
const (
	maxValues     = 1000
	maxValueBytes = 256 << 10
)

func newCurrent(v Value) current {
	return current{v.Metric, v.Value, mux.Timestamp(v.Timestamp)}
}

func update(v Value) *updateMessage { return &updateMessage{"dashboard:update", newCurrent(v)} }

// mayRead is asked at every delivery: a token may have been replaced by one
// that grants less.
func mayRead(s *mux.Session, metric string) bool {
	return s.Identity().Metrics.Level(metric) >= auth.Read
}

// maySubscribe reports whether a pattern can match anything that the session
// may read.
func maySubscribe(s *mux.Session, pattern string) bool {
	if prefix, isPrefix := strings.CutSuffix(pattern, "*"); isPrefix {
		return s.Identity().Metrics.Below(prefix) >= auth.Read
	}
	return mayRead(s, pattern)
}

// subscribe handles dashboard:subscribe. It takes all patterns or none.
func (m *Module) subscribe(msg *mux.Message) (mux.Acknowledgement, error) {
	patterns, err := patternsOf(msg)
	if err != nil {
		return nil, err
	}
	s := msg.Session
	for _, p := range patterns {
		if !maySubscribe(s, p) {
			return nil, mux.NewError(mux.Forbidden, msg.Type+": not granted")
		}
	}
	added, ok := m.subs.add(s, patterns)
	if !ok {
		return nil, mux.NewError(mux.BadRequest, msg.Type+": more than 1000 subscriptions in one session")
	}
	m.listen(added, 1)
	// First the subscription, then the look: what changes in between is told twice.
	ack, err := m.values(s, patterns)
	if err != nil {
		m.listen(m.subs.remove(s, added), -1)
		return nil, err
	}
	return ack, nil
}

// unsubscribe handles dashboard:unsubscribe.
func (m *Module) unsubscribe(msg *mux.Message) (mux.Acknowledgement, error) {
	patterns, err := patternsOf(msg)
	if err != nil {
		return nil, err
	}
	m.listen(m.subs.remove(msg.Session, patterns), -1)
	return &valuesAck{Values: []current{}}, nil
}

func patternsOf(msg *mux.Message) ([]string, error) {
	var req metricsRequest
	if err := msg.Decode(&req); err != nil {
		return nil, err
	}
	if len(req.Metrics) == 0 || len(req.Metrics) > maxSubscriptions {
		return nil, mux.NewError(mux.BadRequest, msg.Type+": metrics must have 1 to 1000 entries")
	}
	for _, p := range req.Metrics {
		if !mux.ValidName(p) || strings.Contains(p[:len(p)-1], "*") {
			return nil, mux.NewError(mux.BadRequest, msg.Type+": a name must have 1 to 256 bytes, without control characters, and an asterisk at most at its end")
		}
	}
	return req.Metrics, nil
}

// listen says of patterns that they have begun, or ended, to be subscribed to.
func (m *Module) listen(patterns []string, sign int) {
	if m.own == nil {
		return
	}
	n := 0
	for _, p := range patterns {
		if hearsOwn(p) {
			n += sign
		}
	}
	if n != 0 {
		m.own.listen(n)
	}
}

// values are the newest ones of patterns that the session may see.
func (m *Module) values(s *mux.Session, patterns []string) (*valuesAck, error) {
	ack := &valuesAck{Values: []current{}}
	seen := make(map[string]bool)
	size := 0
	add := func(v Value) bool {
		if seen[v.Metric] || !mayRead(s, v.Metric) {
			return true
		}
		size += v.Value.Len()
		if len(ack.Values) == maxValues || size > maxValueBytes {
			ack.Truncated = true
			return false
		}
		seen[v.Metric] = true
		ack.Values = append(ack.Values, newCurrent(v))
		return true
	}
	if m.own != nil && slices.ContainsFunc(patterns, hearsOwn) {
		for _, v := range m.own.now() {
			if slices.ContainsFunc(patterns, func(p string) bool { return matches(p, v.Metric) }) && !add(v) {
				return ack, nil
			}
		}
	}
	err := m.read(func(tx *db.Tx) error {
		for _, p := range patterns {
			if ack.Truncated {
				return nil
			}
			if prefix, isPrefix := strings.CutSuffix(p, "*"); isPrefix {
				if err := loadBelow(tx, prefix, add); err != nil {
					return err
				}
				continue
			}
			v, ok, err := load(tx, p)
			if err != nil {
				return err
			}
			if ok {
				add(v)
			}
		}
		return nil
	})
	return ack, err
}

func matches(pattern, metric string) bool {
	if prefix, isPrefix := strings.CutSuffix(pattern, "*"); isPrefix {
		return strings.HasPrefix(metric, prefix)
	}
	return pattern == metric
}

// refreshed ends subscriptions that a new token does not grant any more, and
// says so.
func (m *Module) refreshed(s *mux.Session, _ *auth.Identity) (reconnect bool) {
	var lost []string
	for _, p := range m.subs.patterns(s) {
		if !maySubscribe(s, p) {
			lost = append(lost, p)
		}
	}
	if len(lost) > 0 {
		m.listen(m.subs.remove(s, lost), -1)
		r := mux.Reply{Session: s}
		r.Fail(mux.NewError(mux.Forbidden, "the new token does not grant all metrics that were subscribed to"))
	}
	return false
}

// left is the end of a session.
func (m *Module) left(s *mux.Session) {
	m.listen(m.subs.remove(s, m.subs.patterns(s)), -1)
}
