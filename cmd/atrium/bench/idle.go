package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"time"

	"atrium/internal/auth"
)

// IdleOptions say what Idle measures.
type IdleOptions struct {
	Sessions int
	Settle   time.Duration
	Server   Server
	Self     Self
	Log      io.Writer
}

// IdleReport is what sessions cost that do nothing, in bytes of the server's
// resident memory for each.
type IdleReport struct {
	Nodes
	Sessions       int     `json:"sessions"`
	JoinsPerSecond float64 `json:"joinsPerSecond"`
	Joined         float64 `json:"bytesPerSessionJoined"`  // right after the last join
	Settled        float64 `json:"bytesPerSessionSettled"` // some time later
	Failed         int     `json:"failed"`                 // sessions that ended before time
	Failure        string  `json:"failure,omitempty"`
}

// warmUp sessions come first, so that what a server makes once is not counted.
const warmUp = 200

// Idle measures sessions that join and then do nothing but answer pings.
func Idle(ctx context.Context, o IdleOptions) (_ *IdleReport, err error) {
	if o.Sessions < 1 {
		return nil, errors.New("at least one session is needed")
	}
	if len(o.Server.URLs) > 0 && len(o.Server.PIDs) == 0 {
		return nil, errors.New("memory is what this measures: say which process the server is (--pid)")
	}
	all := warmUp + o.Sessions
	if err := enoughFiles(all); err != nil {
		return nil, err
	}
	t, err := atriumTarget(ctx, o.Self, o.Server)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, t.Close()) }()
	from, err := sources(t.url(0), all)
	if err != nil {
		return nil, err
	}
	var crew crew
	defer crew.dismiss()
	failed := newFailures()
	join := func(i int) error {
		s, err := dial(ctx, t.url(i), from(i))
		if err != nil {
			return err
		}
		crew.add(s)
		id := fmt.Sprintf("idle-%06d", i)
		token, err := t.tokenFor(id, auth.Write)
		if err != nil {
			return err
		}
		if _, err := s.join(id, token); err != nil {
			return err
		}
		crew.start(func() error {
			for {
				if _, err := s.next(); err != nil {
					return err
				}
			}
		}, failed)
		return nil
	}
	progress(o.Log, "%d sessions to warm up, then %d", warmUp, o.Sessions)
	if err := each(warmUp, join); err != nil {
		return nil, err
	}
	before, err := t.meters.rss()
	if err != nil {
		return nil, err
	}
	began := time.Now()
	if err := each(o.Sessions, func(i int) error { return join(warmUp + i) }); err != nil {
		return nil, err
	}
	report := &IdleReport{Nodes: nodesOf(t), Sessions: o.Sessions, JoinsPerSecond: float64(o.Sessions) / time.Since(began).Seconds()}
	for _, per := range []*float64{&report.Joined, &report.Settled} {
		if per == &report.Settled {
			if err := pause(ctx, o.Settle); err != nil {
				return nil, err
			}
		}
		after, err := t.meters.rss()
		if err != nil {
			return nil, err
		}
		*per = float64(after-before) / float64(o.Sessions)
	}
	var first error
	if report.Failed, first = failed.get(); first != nil {
		report.Failure = first.Error()
	}
	return report, nil
}

// sources says which address each session comes from. One address has as many
// ports as the kernel gives out, less what others use; on loopback there are
// more addresses.
func sources(rawURL string, sessions int) (func(i int) net.Addr, error) {
	low, high := 32768, 60999 // Linux's defaults
	if text, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range"); err == nil {
		fmt.Sscan(string(text), &low, &high)
	}
	each := (high - low) * 9 / 10
	if sessions <= each {
		return func(int) net.Addr { return nil }, nil
	}
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, err
	}
	if ip := net.ParseIP(u.Hostname()); ip == nil || ip.To4() == nil || !ip.IsLoopback() {
		return nil, fmt.Errorf("one address has ports for %d sessions only", each)
	}
	return func(i int) net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(2+i/each))} }, nil
}

// Print writes the report.
func (r *IdleReport) Print(w io.Writer) error {
	_, err := fmt.Fprintf(w, "%d idle sessions, joined at %.0f/s: %.1f KB of the server's memory each after the joins, %.1f KB when settled\n",
		r.Sessions, r.JoinsPerSecond, r.Joined/1e3, r.Settled/1e3)
	r.Nodes.print(w)
	if err == nil && r.Failed > 0 {
		_, err = fmt.Fprintf(w, "%d sessions ended before time, the first: %s\n", r.Failed, r.Failure)
	}
	return err
}
