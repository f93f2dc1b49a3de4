package main

import (
	"testing"

	"atrium/cmd/atrium/bench"
)

// TestBenchChat: everybody hears every message, in order.
func TestBenchChat(t *testing.T) {
	t.Parallel()
	report := benched[bench.ChatReport](t, smallChat...)
	checkChat(t, report, "atrium", "floor")
	if a, floor := report.Targets[0], report.Targets[1]; a.P99OverFloor <= 0 || a.CPUOverFloor <= 0 || floor.P99OverFloor != 1 {
		t.Errorf("atrium is %g and %g of the floor", a.P99OverFloor, a.CPUOverFloor)
	}
}

var smallChat = []string{"chat", "--members", "20", "--writers", "5", "--rate", "40", "--duration", "1s", "--grace", "15s", "--runs", "1"}

// checkChat checks that the targets told everything to everybody, in order.
func checkChat(t *testing.T, report bench.ChatReport, names ...string) {
	t.Helper()
	if n := len(report.Targets); n != len(names) {
		t.Fatalf("%d targets, want %d", n, len(names))
	}
	for i, name := range names {
		target := report.Targets[i]
		if target.Name != name {
			t.Errorf("target %d is %s, want %s", i, target.Name, name)
		}
		m := target.Median
		if m.Expected != 20*40 || m.Delivered != m.Expected || m.OutOfOrder != 0 {
			t.Errorf("%s: %d of %d were delivered, %d out of order, want %d in order", name, m.Delivered, m.Expected, m.OutOfOrder, 20*40)
		}
		if m.Failed != 0 {
			t.Errorf("%s: %d sessions failed: %s", name, m.Failed, m.Failure)
		}
		if !(0 < m.P50MS && m.P50MS <= m.P95MS && m.P95MS <= m.P99MS && m.P99MS <= m.MaxMS) {
			t.Errorf("%s: latencies are %+v", name, m)
		}
		if m.CPUPerDeliveryUS <= 0 || m.RSSMB <= 0 || m.ConnectMS <= 0 || m.Rate < 10 || m.Rate > 41 {
			t.Errorf("%s: figures that cannot be: %+v", name, m)
		}
	}
}
