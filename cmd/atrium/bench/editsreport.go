package bench

import (
	"cmp"
	"fmt"
	"io"
	"text/tabwriter"
)

// EditsReport is what Edits has measured.
type EditsReport struct {
	Nodes
	Load EditsLoad  `json:"load"`
	Runs []EditsRun `json:"runs"`
	// Median has the median of each figure over the runs, each for itself; the
	// numbers of edits and failures are sums.
	Median EditsRun `json:"median"`
}

// EditsRun is one run.
type EditsRun struct {
	Full EditsPhase `json:"full"` // as fast as it goes
	Half EditsPhase `json:"half"` // at half that rate
}

// EditsPhase is one phase of a run. Latencies count until the acknowledgement:
// in Full from when an edit was sent, in Half from when it was due.
type EditsPhase struct {
	Rate           float64 `json:"rate"` // acknowledged in a second
	Acknowledged   int     `json:"acknowledged"`
	Unacknowledged int     `json:"unacknowledged"` // until the end

	P50MS float64 `json:"p50Ms"`
	P95MS float64 `json:"p95Ms"`
	P99MS float64 `json:"p99Ms"`
	MaxMS float64 `json:"maxMs"`

	CommitsPerSecond float64 `json:"commitsPerSecond"`
	WritesPerCommit  float64 `json:"writesPerCommit"`
	EditsPerCommit   float64 `json:"editsPerCommit"`

	CPUPerEditUS float64 `json:"cpuPerEditUs"` // the server's, in µs; 0 if its process is unknown
	CPUPercent   float64 `json:"cpuPercent"`   // of one core

	Failed  int    `json:"failed"` // sessions that ended before time
	Failure string `json:"failure,omitempty"`
}

func (p *EditsPhase) latencies(h *histogram) {
	p.P50MS, p.P95MS = ms(h.quantile(0.50)), ms(h.quantile(0.95))
	p.P99MS, p.MaxMS = ms(h.quantile(0.99)), ms(h.max)
}

// costs works out what edits have cost. What was spent is that of all edits, of
// which some came after the time in which Rate was counted: so it is told for
// each, and in a second by way of Rate.
func (p *EditsPhase) costs(before, after spent) {
	edits, commits := float64(p.Acknowledged), after.commits-before.commits
	p.WritesPerCommit = over(after.writes-before.writes, commits)
	p.EditsPerCommit = over(edits, commits)
	p.CommitsPerSecond = over(p.Rate, p.EditsPerCommit)
	perEdit := over((after.cpu - before.cpu).Seconds(), edits)
	p.CPUPerEditUS, p.CPUPercent = perEdit*1e6, perEdit*p.Rate*100
}

// sum works out what follows from the runs.
func (r *EditsReport) sum() {
	r.Median.Full = sumPhases(r.Runs, func(r *EditsRun) *EditsPhase { return &r.Full })
	r.Median.Half = sumPhases(r.Runs, func(r *EditsRun) *EditsPhase { return &r.Half })
}

func sumPhases(runs []EditsRun, phase func(*EditsRun) *EditsPhase) (sum EditsPhase) {
	m := func(figure func(*EditsPhase) float64) float64 {
		return median(runs, func(r *EditsRun) float64 { return figure(phase(r)) })
	}
	sum = EditsPhase{
		Rate:             m(func(p *EditsPhase) float64 { return p.Rate }),
		P50MS:            m(func(p *EditsPhase) float64 { return p.P50MS }),
		P95MS:            m(func(p *EditsPhase) float64 { return p.P95MS }),
		P99MS:            m(func(p *EditsPhase) float64 { return p.P99MS }),
		MaxMS:            m(func(p *EditsPhase) float64 { return p.MaxMS }),
		CommitsPerSecond: m(func(p *EditsPhase) float64 { return p.CommitsPerSecond }),
		WritesPerCommit:  m(func(p *EditsPhase) float64 { return p.WritesPerCommit }),
		EditsPerCommit:   m(func(p *EditsPhase) float64 { return p.EditsPerCommit }),
		CPUPerEditUS:     m(func(p *EditsPhase) float64 { return p.CPUPerEditUS }),
		CPUPercent:       m(func(p *EditsPhase) float64 { return p.CPUPercent }),
	}
	for i := range runs {
		p := phase(&runs[i])
		sum.Acknowledged += p.Acknowledged
		sum.Unacknowledged += p.Unacknowledged
		sum.Failed += p.Failed
		sum.Failure = cmp.Or(sum.Failure, p.Failure)
	}
	return sum
}

func phaseName(rate float64) string {
	if rate == 0 {
		return "as fast as it goes"
	}
	return "at half that rate"
}

// Print writes the report as a table, a row for each phase.
func (r *EditsReport) Print(w io.Writer) error {
	l := r.Load
	fmt.Fprintf(w, "%d documents with a writer each, who has %d edits on their way or types at half that rate, for %s each, on %s; medians of %d runs\n",
		l.Documents, l.Window, l.Duration, cmp.Or(r.On, "a server of yours"), len(r.Runs))
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "\tedits/s\tacknowledged\tp50 ms\tp95\tp99\tmax\tcommits/s\twrites/commit\tedits/commit\tCPU µs/edit\tCPU %\t")
	m := &r.Median
	for i, p := range []*EditsPhase{&m.Full, &m.Half} {
		fmt.Fprintf(t, "%s\t%.0f\t%d/%d\t%.1f\t%.1f\t%.1f\t%.1f\t%.0f\t%.1f\t%.1f\t%.1f\t%.0f\t\n",
			phaseName(float64(i)), p.Rate, p.Acknowledged, p.Acknowledged+p.Unacknowledged,
			p.P50MS, p.P95MS, p.P99MS, p.MaxMS, p.CommitsPerSecond, p.WritesPerCommit, p.EditsPerCommit, p.CPUPerEditUS, p.CPUPercent)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	r.Nodes.print(w)
	for _, p := range []*EditsPhase{&m.Full, &m.Half} {
		if p.Failed > 0 {
			fmt.Fprintf(w, "%d sessions ended before time, the first: %s\n", p.Failed, p.Failure)
		}
	}
	return nil
}
