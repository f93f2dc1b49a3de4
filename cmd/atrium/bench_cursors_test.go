package main

import (
	"strconv"
	"testing"

	"atrium/cmd/atrium/bench"
)

// TestBenchCursors: everybody is shown everybody's last position.
func TestBenchCursors(t *testing.T) {
	t.Parallel()
	const clients, moves = 10, 20
	report := benched[bench.CursorsReport](t, "cursors", "--clients", strconv.Itoa(clients), "--rate", strconv.Itoa(moves), "--duration", "1s", "--runs", "1")
	m := report.Median
	if m.Missing != 0 || m.Failed != 0 {
		t.Errorf("%d last positions are missing, %d sessions failed: %s", m.Missing, m.Failed, m.Failure)
	}
	const all = clients * (clients - 1) * moves
	if m.Shown+m.Superseded != all || m.Shown < clients*(clients-1) || m.Superseded < 0 {
		t.Errorf("%d positions were shown and %d superseded, of %d", m.Shown, m.Superseded, all)
	}
	if !(0 < m.P50MS && m.P50MS <= m.P95MS && m.P95MS <= m.P99MS && m.P99MS <= m.MaxMS) {
		t.Errorf("ages are %+v", m)
	}
	if m.TickMS <= 0 || m.FramesPerSecond <= 0 || m.BytesPerSecond <= m.FramesPerSecond || m.CPUPercent <= 0 || m.RSSMB <= 0 {
		t.Errorf("got %+v", m)
	}
}
