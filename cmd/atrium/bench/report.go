package bench

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
)

// DocsReport is what Docs has measured.
type DocsReport struct {
	Load    Load         `json:"load"`
	Targets []DocsTarget `json:"targets"`
}

// DocsTarget is what was measured on one server: "atrium", "floor" (see Relay)
// or "rival".
type DocsTarget struct {
	Name string    `json:"name"`
	Runs []DocsRun `json:"runs"`
	// Median has the median of each figure over the runs, each for itself; the
	// numbers of deliveries and failures are sums.
	Median   DocsRun `json:"median"`
	P99MinMS float64 `json:"p99MinMs"`
	P99MaxMS float64 `json:"p99MaxMs"`
	// P99OverFloor and CPUOverFloor are the medians divided by the floor's;
	// 0 if there is no floor.
	P99OverFloor float64 `json:"p99OverFloor,omitempty"`
	CPUOverFloor float64 `json:"cpuOverFloor,omitempty"`
}

// DocsRun is one run. Times are in milliseconds, if the name does not say more.
type DocsRun struct {
	ConnectMS float64 `json:"connectMs"` // all observers, connected and joined
	OpenP50MS float64 `json:"openP50Ms"` // from when all were let go until one had the preload
	OpenMaxMS float64 `json:"openMaxMs"`

	Rate      float64 `json:"rate"` // of edits per second, as held
	Expected  int     `json:"expected"`
	Delivered int     `json:"delivered"` // each edit to each observer once
	P50MS     float64 `json:"p50Ms"`     // from when an edit was due until an observer had it
	P95MS     float64 `json:"p95Ms"`
	P99MS     float64 `json:"p99Ms"`
	MaxMS     float64 `json:"maxMs"`

	// CPU of the server from the first edit to the last delivery, and its memory
	// then, in millions of bytes; 0 if its process is unknown.
	CPUSeconds       float64 `json:"cpuSeconds"`
	CPUPerDeliveryUS float64 `json:"cpuPerDeliveryUs"`
	RSSMB            float64 `json:"rssMb"`

	Failed  int    `json:"failed"` // sessions that ended before time
	Failure string `json:"failure,omitempty"`
}

func newDocsReport(load Load, targets []*target) *DocsReport {
	r := &DocsReport{Load: load}
	for _, t := range targets {
		r.Targets = append(r.Targets, DocsTarget{Name: t.name})
	}
	return r
}

// sum works out what follows from the runs.
func (r *DocsReport) sum() {
	for i := range r.Targets {
		r.Targets[i].sum()
	}
	floor := slices.IndexFunc(r.Targets, func(t DocsTarget) bool { return t.Name == "floor" })
	if floor < 0 {
		return
	}
	for i := range r.Targets {
		t := &r.Targets[i]
		t.P99OverFloor = over(t.Median.P99MS, r.Targets[floor].Median.P99MS)
		t.CPUOverFloor = over(t.Median.CPUPerDeliveryUS, r.Targets[floor].Median.CPUPerDeliveryUS)
	}
}

func over(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}

func (t *DocsTarget) sum() {
	m := func(figure func(*DocsRun) float64) float64 { return median(t.Runs, figure) }
	t.Median = DocsRun{
		ConnectMS: m(func(r *DocsRun) float64 { return r.ConnectMS }),
		OpenP50MS: m(func(r *DocsRun) float64 { return r.OpenP50MS }),
		OpenMaxMS: m(func(r *DocsRun) float64 { return r.OpenMaxMS }),
		Rate:      m(func(r *DocsRun) float64 { return r.Rate }),
		P50MS:     m(func(r *DocsRun) float64 { return r.P50MS }),
		P95MS:     m(func(r *DocsRun) float64 { return r.P95MS }),
		P99MS:     m(func(r *DocsRun) float64 { return r.P99MS }),
		MaxMS:     m(func(r *DocsRun) float64 { return r.MaxMS }),

		CPUSeconds:       m(func(r *DocsRun) float64 { return r.CPUSeconds }),
		CPUPerDeliveryUS: m(func(r *DocsRun) float64 { return r.CPUPerDeliveryUS }),
		RSSMB:            m(func(r *DocsRun) float64 { return r.RSSMB }),
	}
	for _, r := range t.Runs {
		t.Median.Expected += r.Expected
		t.Median.Delivered += r.Delivered
		t.Median.Failed += r.Failed
		t.Median.Failure = cmp.Or(t.Median.Failure, r.Failure)
	}
	byP99 := func(a, b DocsRun) int { return cmp.Compare(a.P99MS, b.P99MS) }
	t.P99MinMS = slices.MinFunc(t.Runs, byP99).P99MS
	t.P99MaxMS = slices.MaxFunc(t.Runs, byP99).P99MS
}

// median returns the median of a figure over runs; 0 without any.
func median[T any](runs []T, figure func(*T) float64) float64 {
	figures := make([]float64, len(runs))
	for i := range runs {
		figures[i] = figure(&runs[i])
	}
	slices.Sort(figures)
	switch n := len(figures); {
	case n == 0:
		return 0
	case n%2 == 0:
		return (figures[n/2-1] + figures[n/2]) / 2
	default:
		return figures[n/2]
	}
}

// Print writes the report as a table, a row for each target.
func (r *DocsReport) Print(w io.Writer) error {
	l := r.Load
	fmt.Fprintf(w, "%d observers, %d writers, %g edits/s for %s, %d changes before; medians of %d runs\n",
		l.Observers, l.Writers, l.Rate, l.Duration, l.Preload, len(r.Targets[0].Runs))
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "\tconnect ms\topen p50\topen max\tedits/s\tdelivered\tp50 ms\tp95\tp99\t(min–max)\tmax\tCPU µs/delivery\tRSS MB\tp99 × floor\tCPU × floor\t")
	for _, target := range r.Targets {
		m := target.Median
		fmt.Fprintf(t, "%s\t%.0f\t%.0f\t%.0f\t%.1f\t%d/%d\t%.1f\t%.1f\t%.1f\t(%.1f–%.1f)\t%.1f\t%.1f\t%.1f\t%.2f\t%.2f\t\n",
			target.Name, m.ConnectMS, m.OpenP50MS, m.OpenMaxMS, m.Rate, m.Delivered, m.Expected,
			m.P50MS, m.P95MS, m.P99MS, target.P99MinMS, target.P99MaxMS, m.MaxMS,
			m.CPUPerDeliveryUS, m.RSSMB, target.P99OverFloor, target.CPUOverFloor)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, target := range r.Targets {
		if m := target.Median; m.Failed > 0 {
			fmt.Fprintf(w, "%s: %d sessions ended before time, the first: %s\n", target.Name, m.Failed, m.Failure)
		}
	}
	return nil
}
