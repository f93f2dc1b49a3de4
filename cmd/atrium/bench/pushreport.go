package bench

import (
	"cmp"
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

// PushReport is what Push has measured.
type PushReport struct {
	Nodes
	Users    int           `json:"users"`
	Rate     float64       `json:"rate"`     // notifications per second
	Duration time.Duration `json:"duration"` // in nanoseconds
	Runs     []PushRun     `json:"runs"`
	// Median has the median of each figure over the runs, each for itself;
	// Delivered, Expected, Stored and Failed are sums.
	Median PushRun `json:"median"`
}

// PushRun is one run. A latency counts from when a notification was due to be
// pushed until it came out of the user's socket.
type PushRun struct {
	Delivered int     `json:"delivered"`
	Expected  int     `json:"expected"`
	Stored    int     `json:"stored"` // found in the inboxes afterwards
	P50MS     float64 `json:"p50Ms"`
	P95MS     float64 `json:"p95Ms"`
	P99MS     float64 `json:"p99Ms"`
	MaxMS     float64 `json:"maxMs"`

	AnswerP99MS  float64 `json:"answerP99Ms"`  // until the HTTP call was answered
	CPUPerPushUS float64 `json:"cpuPerPushUs"` // the server's, in µs; 0 if its process is unknown

	Failed  int    `json:"failed"` // sessions that ended before time
	Failure string `json:"failure,omitempty"`
}

// sum works out what follows from the runs.
func (r *PushReport) sum() {
	m := func(figure func(*PushRun) float64) float64 { return median(r.Runs, figure) }
	r.Median = PushRun{
		P50MS:        m(func(r *PushRun) float64 { return r.P50MS }),
		P95MS:        m(func(r *PushRun) float64 { return r.P95MS }),
		P99MS:        m(func(r *PushRun) float64 { return r.P99MS }),
		MaxMS:        m(func(r *PushRun) float64 { return r.MaxMS }),
		AnswerP99MS:  m(func(r *PushRun) float64 { return r.AnswerP99MS }),
		CPUPerPushUS: m(func(r *PushRun) float64 { return r.CPUPerPushUS }),
	}
	for _, run := range r.Runs {
		r.Median.Delivered += run.Delivered
		r.Median.Expected += run.Expected
		r.Median.Stored += run.Stored
		r.Median.Failed += run.Failed
		r.Median.Failure = cmp.Or(r.Median.Failure, run.Failure)
	}
}

// Print writes the report as a table.
func (r *PushReport) Print(w io.Writer) error {
	fmt.Fprintf(w, "%d users, %g notifications/s over HTTP for %s; medians of %d runs\n", r.Users, r.Rate, r.Duration, len(r.Runs))
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "delivered\tstored\tp50 ms\tp95\tp99\tmax\tanswered p99 ms\tCPU µs/push\t")
	m := r.Median
	fmt.Fprintf(t, "%d/%d\t%d\t%.1f\t%.1f\t%.1f\t%.1f\t%.1f\t%.0f\t\n",
		m.Delivered, m.Expected, m.Stored, m.P50MS, m.P95MS, m.P99MS, m.MaxMS, m.AnswerP99MS, m.CPUPerPushUS)
	if err := t.Flush(); err != nil {
		return err
	}
	r.Nodes.print(w)
	if m.Failed > 0 {
		fmt.Fprintf(w, "%d sessions ended before time, the first: %s\n", m.Failed, m.Failure)
	}
	return nil
}
