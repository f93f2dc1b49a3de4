package main

import (
	"slices"
	"testing"

	"atrium/cmd/atrium/bench"
	"atrium/internal/scratch"
)

// TestBenchEdits: every edit is acknowledged, and was committed.
func TestBenchEdits(t *testing.T) {
	t.Parallel()
	small := []string{"edits", "--documents", "5", "--window", "4", "--duration", "1s", "--runs", "1"}
	for name, test := range map[string]struct {
		on    string
		flags func(t *testing.T) []string
	}{
		"SQLite":   {"SQLite", func(*testing.T) []string { return []string{onFile} }},
		"Postgres": {"Postgres", func(t *testing.T) []string { return []string{onFile, "--database-url", scratch.Database(t)} }},
		"nodes":    {"Postgres and Redis", twoNodes},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			report := benched[bench.EditsReport](t, slices.Concat(small, test.flags(t))...)
			if report.On != test.on {
				t.Errorf("it ran on %s, want %s", report.On, test.on)
			}
			for name, p := range map[string]bench.EditsPhase{"full": report.Median.Full, "half": report.Median.Half} {
				if p.Failed > 0 || p.Unacknowledged > 0 || p.Acknowledged < 5 || p.Rate <= 0 {
					t.Errorf("%s: %d sessions failed: %s; %d edits were acknowledged and %d not", name, p.Failed, p.Failure, p.Acknowledged, p.Unacknowledged)
				}
				if !(0 < p.P50MS && p.P50MS <= p.P95MS && p.P95MS <= p.P99MS && p.P99MS <= p.MaxMS) {
					t.Errorf("%s: latencies are %+v", name, p)
				}
				if p.CommitsPerSecond <= 0 || p.WritesPerCommit <= 0 || p.EditsPerCommit <= 0 || p.CPUPerEditUS <= 0 || p.CPUPercent <= 0 {
					t.Errorf("%s: figures that cannot be: %+v", name, p)
				}
			}
			if full, half := report.Median.Full.Rate, report.Median.Half.Rate; half > full {
				t.Errorf("half the rate of %g is %g", full, half)
			}
		})
	}
}
