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
	Load    Load     `json:"load"`
	Targets []Target `json:"targets"`
}

// Target is what was measured on one server: "atrium", "floor" (see Relay)
// or "rival".
type Target struct {
	Name string `json:"name"`
	Nodes
	Runs []Run `json:"runs"`
	// Median has the median of each figure over the runs, each for itself; the
	// numbers of deliveries and failures are sums.
	Median   Run     `json:"median"`
	P99MinMS float64 `json:"p99MinMs"`
	P99MaxMS float64 `json:"p99MaxMs"`
	// P99OverFloor and CPUOverFloor are the medians divided by the floor's;
	// 0 if there is no floor.
	P99OverFloor float64 `json:"p99OverFloor,omitempty"`
	CPUOverFloor float64 `json:"cpuOverFloor,omitempty"`
}

// Run is one run. Times are in milliseconds, if the name does not say more.
type Run struct {
	ConnectMS float64 `json:"connectMs"` // all observers, connected and joined
	OpenP50MS float64 `json:"openP50Ms"` // from when all were let go until one had the preload
	OpenMaxMS float64 `json:"openMaxMs"`

	Rate      float64 `json:"rate"` // of edits per second, as held
	Expected  int     `json:"expected"`
	Delivered int     `json:"delivered"` // each edit to each observer once
	// OutOfOrder counts deliveries that did not follow the one before; of chat.
	OutOfOrder int `json:"outOfOrder,omitempty"`

	P50MS float64 `json:"p50Ms"` // from when an edit was due until an observer had it
	P95MS float64 `json:"p95Ms"`
	P99MS float64 `json:"p99Ms"`
	MaxMS float64 `json:"maxMs"`

	// CPU of the server from the first edit to the last delivery, and its memory
	// then, in millions of bytes; 0 if its process is unknown.
	CPUSeconds       float64 `json:"cpuSeconds"`
	CPUPerDeliveryUS float64 `json:"cpuPerDeliveryUs"`
	RSSMB            float64 `json:"rssMb"`

	Failed  int    `json:"failed"` // sessions that ended before time
	Failure string `json:"failure,omitempty"`
}

// Nodes is what a server consists of. CPU and memory are sums over its nodes,
// without those of Postgres and Redis.
type Nodes struct {
	Count int    `json:"nodes"`
	On    string `json:"on,omitempty"` // "SQLite", "Postgres" or "Postgres and Redis"; empty: unknown
}

func nodesOf(t *target) Nodes { return Nodes{Count: len(t.urls), On: t.on} }

// print says so, unless there is one that has all in one process.
func (n Nodes) print(w io.Writer) {
	switch on := cmp.Or(n.On, "SQLite"); {
	case on != "SQLite" && n.Count > 1:
		fmt.Fprintf(w, "atrium: %d nodes on %s; CPU and memory are sums over the nodes, without %s\n", n.Count, on, on)
	case on != "SQLite":
		fmt.Fprintf(w, "atrium: 1 node on %s, whose CPU and memory are not counted\n", on)
	case n.Count > 1:
		fmt.Fprintf(w, "atrium: %d nodes; CPU and memory are sums over them\n", n.Count)
	}
}

func newTarget(t *target) Target { return Target{Name: t.name, Nodes: nodesOf(t)} }

func newDocsReport(load Load, targets []*target) *DocsReport {
	r := &DocsReport{Load: load}
	for _, t := range targets {
		r.Targets = append(r.Targets, newTarget(t))
	}
	return r
}

// sumTargets works out what follows from the runs.
func sumTargets(targets []Target) {
	for i := range targets {
		targets[i].sum()
	}
	floor := slices.IndexFunc(targets, func(t Target) bool { return t.Name == "floor" })
	if floor < 0 {
		return
	}
	for i := range targets {
		t := &targets[i]
		t.P99OverFloor = over(t.Median.P99MS, targets[floor].Median.P99MS)
		t.CPUOverFloor = over(t.Median.CPUPerDeliveryUS, targets[floor].Median.CPUPerDeliveryUS)
	}
}

// latencies are the figures of a run's deliveries, which have been counted.
func (r *Run) latencies(h *histogram) {
	r.P50MS, r.P95MS = ms(h.quantile(0.50)), ms(h.quantile(0.95))
	r.P99MS, r.MaxMS = ms(h.quantile(0.99)), ms(h.max)
	if r.Delivered > 0 {
		r.CPUPerDeliveryUS = r.CPUSeconds * 1e6 / float64(r.Delivered)
	}
}

func over(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}

func (t *Target) sum() {
	m := func(figure func(*Run) float64) float64 { return median(t.Runs, figure) }
	t.Median = Run{
		ConnectMS: m(func(r *Run) float64 { return r.ConnectMS }),
		OpenP50MS: m(func(r *Run) float64 { return r.OpenP50MS }),
		OpenMaxMS: m(func(r *Run) float64 { return r.OpenMaxMS }),
		Rate:      m(func(r *Run) float64 { return r.Rate }),
		P50MS:     m(func(r *Run) float64 { return r.P50MS }),
		P95MS:     m(func(r *Run) float64 { return r.P95MS }),
		P99MS:     m(func(r *Run) float64 { return r.P99MS }),
		MaxMS:     m(func(r *Run) float64 { return r.MaxMS }),

		CPUSeconds:       m(func(r *Run) float64 { return r.CPUSeconds }),
		CPUPerDeliveryUS: m(func(r *Run) float64 { return r.CPUPerDeliveryUS }),
		RSSMB:            m(func(r *Run) float64 { return r.RSSMB }),
	}
	for _, r := range t.Runs {
		t.Median.Expected += r.Expected
		t.Median.Delivered += r.Delivered
		t.Median.OutOfOrder += r.OutOfOrder
		t.Median.Failed += r.Failed
		t.Median.Failure = cmp.Or(t.Median.Failure, r.Failure)
	}
	byP99 := func(a, b Run) int { return cmp.Compare(a.P99MS, b.P99MS) }
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
	return printNotes(w, r.Targets)
}

// printNotes prints what stands below a table of targets.
func printNotes(w io.Writer, targets []Target) error {
	for _, target := range targets {
		target.Nodes.print(w)
		if m := target.Median; m.Failed > 0 {
			fmt.Fprintf(w, "%s: %d sessions ended before time, the first: %s\n", target.Name, m.Failed, m.Failure)
		}
	}
	return nil
}
