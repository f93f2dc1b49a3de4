package bench

import (
	"cmp"
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

// CursorsReport is what Cursors has measured.
type CursorsReport struct {
	Nodes
	Clients  int           `json:"clients"`
	Rate     float64       `json:"rate"`     // moves per second of each client
	Duration time.Duration `json:"duration"` // of the moving, in nanoseconds
	Runs     []CursorsRun  `json:"runs"`
	// Median has the median of each figure over the runs, each for itself;
	// Shown, Superseded, Missing and Failed are sums.
	Median CursorsRun `json:"median"`
}

// CursorsRun is one run. A position is one place that one viewer might be shown
// another's cursor at; its age counts from when the move was due.
type CursorsRun struct {
	ConnectMS float64 `json:"connectMs"` // all clients, connected and joined

	Shown      int     `json:"shown"`
	Superseded int     `json:"superseded"` // a newer one was shown instead
	Missing    int     `json:"missing"`    // last positions that were never shown
	P50MS      float64 `json:"p50Ms"`
	P95MS      float64 `json:"p95Ms"`
	P99MS      float64 `json:"p99Ms"`
	MaxMS      float64 `json:"maxMs"`

	TickMS          float64 `json:"tickMs"`          // median time between two updates for a viewer
	BytesPerSecond  float64 `json:"bytesPerSecond"`  // to each viewer
	FramesPerSecond float64 `json:"framesPerSecond"` // to each viewer

	CPUPercent float64 `json:"cpuPercent"` // of one core, the server's; 0 if its process is unknown
	RSSMB      float64 `json:"rssMb"`

	Failed  int    `json:"failed"` // sessions that ended before time
	Failure string `json:"failure,omitempty"`
}

// sum works out what follows from the runs.
func (r *CursorsReport) sum() {
	m := func(figure func(*CursorsRun) float64) float64 { return median(r.Runs, figure) }
	r.Median = CursorsRun{
		ConnectMS:       m(func(r *CursorsRun) float64 { return r.ConnectMS }),
		P50MS:           m(func(r *CursorsRun) float64 { return r.P50MS }),
		P95MS:           m(func(r *CursorsRun) float64 { return r.P95MS }),
		P99MS:           m(func(r *CursorsRun) float64 { return r.P99MS }),
		MaxMS:           m(func(r *CursorsRun) float64 { return r.MaxMS }),
		TickMS:          m(func(r *CursorsRun) float64 { return r.TickMS }),
		BytesPerSecond:  m(func(r *CursorsRun) float64 { return r.BytesPerSecond }),
		FramesPerSecond: m(func(r *CursorsRun) float64 { return r.FramesPerSecond }),
		CPUPercent:      m(func(r *CursorsRun) float64 { return r.CPUPercent }),
		RSSMB:           m(func(r *CursorsRun) float64 { return r.RSSMB }),
	}
	for _, run := range r.Runs {
		r.Median.Shown += run.Shown
		r.Median.Superseded += run.Superseded
		r.Median.Missing += run.Missing
		r.Median.Failed += run.Failed
		r.Median.Failure = cmp.Or(r.Median.Failure, run.Failure)
	}
}

// Print writes the report as a table.
func (r *CursorsReport) Print(w io.Writer) error {
	fmt.Fprintf(w, "%d clients, %g moves/s each for %s; medians of %d runs\n", r.Clients, r.Rate, r.Duration, len(r.Runs))
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "connect ms\tshown\tsuperseded\tlast missing\tage p50 ms\tp95\tp99\tmax\ttick ms\tKB/s\tframes/s\tCPU %\tRSS MB\t")
	m := r.Median
	fmt.Fprintf(t, "%.0f\t%d\t%d\t%d\t%.1f\t%.1f\t%.1f\t%.1f\t%.1f\t%.0f\t%.1f\t%.1f\t%.1f\t\n",
		m.ConnectMS, m.Shown, m.Superseded, m.Missing, m.P50MS, m.P95MS, m.P99MS, m.MaxMS,
		m.TickMS, m.BytesPerSecond/1e3, m.FramesPerSecond, m.CPUPercent, m.RSSMB)
	if err := t.Flush(); err != nil {
		return err
	}
	r.Nodes.print(w)
	if m.Failed > 0 {
		fmt.Fprintf(w, "%d sessions ended before time, the first: %s\n", m.Failed, m.Failure)
	}
	return nil
}
