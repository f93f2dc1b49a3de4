package bench

import (
	"bytes"
	"context"
	"errors"
	"strconv"
	"time"
)

// spent is what a server's nodes have spent together since they were started.
type spent struct {
	cpu             time.Duration // 0: unknown
	commits, writes float64       // a commit may hold many writes
}

// spent asks the nodes.
func (t *target) spent(ctx context.Context) (sum spent, err error) {
	if sum.cpu, err = t.meters.cpu(); err != nil {
		return sum, err
	}
	for node := range t.urls {
		page, err := t.get(ctx, node, "/metrics")
		if err != nil {
			return sum, err
		}
		commits, ok1 := metric(page, "atrium_commit_seconds_count")
		writes, ok2 := metric(page, "atrium_writes_total")
		if !ok1 || !ok2 {
			return sum, errors.New("/metrics does not tell of commits and writes")
		}
		sum.commits += commits
		sum.writes += writes
	}
	return sum, nil
}

// metric returns the value of a metric without labels, in Prometheus' text format.
func metric(page []byte, name string) (value float64, ok bool) {
	for line := range bytes.Lines(page) {
		key, text, _ := bytes.Cut(bytes.TrimSpace(line), []byte(" "))
		if string(key) == name {
			value, err := strconv.ParseFloat(string(text), 64)
			return value, err == nil
		}
	}
	return 0, false
}
