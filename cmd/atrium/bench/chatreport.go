package bench

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// ChatReport is what Chat has measured.
type ChatReport struct {
	Load    ChatLoad `json:"load"`
	Targets []Target `json:"targets"`
}

// Print writes the report as a table, a row for each target.
func (r *ChatReport) Print(w io.Writer) error {
	l := r.Load
	fmt.Fprintf(w, "%d members of a room, %d of them write %g messages/s for %s; medians of %d runs\n",
		l.Members, l.Writers, l.Rate, l.Duration, len(r.Targets[0].Runs))
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "\tconnect ms\tmessages/s\tdelivered\tout of order\tp50 ms\tp95\tp99\t(min–max)\tmax\tCPU µs/delivery\tRSS MB\tp99 × floor\tCPU × floor\t")
	for _, target := range r.Targets {
		m := target.Median
		fmt.Fprintf(t, "%s\t%.0f\t%.1f\t%d/%d\t%d\t%.1f\t%.1f\t%.1f\t(%.1f–%.1f)\t%.1f\t%.1f\t%.1f\t%.2f\t%.2f\t\n",
			target.Name, m.ConnectMS, m.Rate, m.Delivered, m.Expected, m.OutOfOrder,
			m.P50MS, m.P95MS, m.P99MS, target.P99MinMS, target.P99MaxMS, m.MaxMS,
			m.CPUPerDeliveryUS, m.RSSMB, target.P99OverFloor, target.CPUOverFloor)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	return printNotes(w, r.Targets)
}
