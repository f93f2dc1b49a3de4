package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"atrium/cmd/atrium/bench"
	"atrium/internal/scratch"
)

// benched runs a bench command and returns what it reports. It must leave
// nothing behind.
func benched[T any](t *testing.T, args ...string) (report T) {
	t.Helper()
	own := slices.DeleteFunc(slices.Clone(args), func(x string) bool { return x == onFile })
	if *onCluster && len(own) == len(args) {
		own = append(own, "ATRIUM_BENCH_DATABASE_URL="+scratch.Database(t), "ATRIUM_BENCH_REDIS_URL="+scratch.Redis(t))
	}
	args = own
	cmd := atrium(append([]string{"bench"}, append(args, "--json")...)...)
	tmp := t.TempDir()
	var stdout, stderr bytes.Buffer
	cmd.Env = append(cmd.Env, "TMPDIR="+tmp)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("atrium %s: %v\n%s", strings.Join(cmd.Args[1:], " "), err, &stderr)
	}
	if err := json.Unmarshal(stdout.Bytes(), &report); err != nil {
		t.Fatalf("%v in %s", err, &stdout)
	}
	if left, _ := filepath.Glob(filepath.Join(tmp, "*")); len(left) > 0 {
		t.Errorf("it leaves %v", left)
	}
	return report
}

var smallLoad = []string{"docs", "--observers", "20", "--writers", "2", "--rate", "50", "--preload", "200", "--duration", "1s", "--runs", "1"}

// checkDocs checks that the targets got everything to everybody.
func checkDocs(t *testing.T, report bench.DocsReport, names ...string) {
	t.Helper()
	var got []string
	for _, target := range report.Targets {
		got = append(got, target.Name)
		m := target.Median
		if m.Expected != 20*50 || m.Delivered != m.Expected {
			t.Errorf("%s: %d of %d were delivered, want %d", target.Name, m.Delivered, m.Expected, 20*50)
		}
		if m.Failed != 0 {
			t.Errorf("%s: %d sessions failed: %s", target.Name, m.Failed, m.Failure)
		}
		if !(0 < m.P50MS && m.P50MS <= m.P95MS && m.P95MS <= m.P99MS && m.P99MS <= m.MaxMS) {
			t.Errorf("%s: latencies are %+v", target.Name, m)
		}
		if target.Name != "floor" && !(0 < m.OpenP50MS && m.OpenP50MS <= m.OpenMaxMS) {
			t.Errorf("%s: opening took %g, %g at most", target.Name, m.OpenP50MS, m.OpenMaxMS)
		}
		if m.CPUPerDeliveryUS <= 0 || m.RSSMB <= 0 || m.ConnectMS <= 0 {
			t.Errorf("%s: %+v", target.Name, m)
		}
		if m.Rate < 10 || m.Rate > 51 {
			t.Errorf("%s: %g edits a second, want 50", target.Name, m.Rate)
		}
	}
	if strings.Join(got, " ") != strings.Join(names, " ") {
		t.Errorf("the targets are %v, want %v", got, names)
	}
}

func TestBenchDocs(t *testing.T) {
	t.Parallel()
	report := benched[bench.DocsReport](t, smallLoad...)
	checkDocs(t, report, "atrium", "floor")
	if a := report.Targets[0]; a.P99OverFloor <= 0 || a.CPUOverFloor <= 0 || report.Targets[1].P99OverFloor != 1 {
		t.Errorf("atrium is %g and %g of the floor", a.P99OverFloor, a.CPUOverFloor)
	}
}

func TestBenchReaders(t *testing.T) {
	t.Parallel()
	checkDocs(t, benched[bench.DocsReport](t, append(smallLoad, "--read-only", "--no-floor")...), "atrium")
}

func TestBenchFloor(t *testing.T) {
	t.Parallel()
	checkDocs(t, benched[bench.DocsReport](t, append([]string{"floor"}, smallLoad[1:]...)...), "floor")
}

// TestBenchServer measures a server that is there already.
func TestBenchServer(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	args := append(smallLoad, "--no-floor", "--url", "ws://"+s.addr+"/ws", "--pid", strconv.Itoa(s.cmd.Process.Pid))
	checkDocs(t, benched[bench.DocsReport](t, append(args, "--token", token(t, "bench", docs("*", "write")))...), "atrium")

	cmd := atrium(append([]string{"bench"}, append(args, "--token", token(t, "stranger"))...)...)
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "unavailable") {
		t.Errorf("got %v and %s, want that the document is unavailable", err, out)
	}
}

// TestBenchBeside measures the stock server of automerge-repo too.
func TestBenchBeside(t *testing.T) {
	t.Parallel()
	server, err := filepath.Abs("../../web/bench/automerge-server.mjs")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat("../../web/node_modules/@automerge/automerge-repo-storage-nodefs"); err != nil {
		t.Fatal("the packages of web are missing: make page brings them")
	}
	checkDocs(t, benched[bench.DocsReport](t, append(smallLoad, "--grace", "30s", "--no-floor", "--beside", "node "+server)...), "atrium", "rival")
}

// writeTrace writes a trace that types one character after the other.
func writeTrace(t *testing.T, path string, n int) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	txns := make([]map[string]any, n)
	for i := range txns {
		txns[i] = map[string]any{"patches": [][]any{{i, 0, "ä"}}}
	}
	z := gzip.NewWriter(f)
	if err := json.NewEncoder(z).Encode(map[string]any{"startContent": "", "txns": txns}); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestBenchTrace(t *testing.T) {
	t.Parallel()
	trace := filepath.Join(t.TempDir(), "trace.json.gz")
	writeTrace(t, trace, 300)
	args := []string{"docs", "--observers", "20", "--rate", "50", "--preload", "250", "--duration", "1s", "--runs", "1", "--no-floor", "--trace", trace}
	checkDocs(t, benched[bench.DocsReport](t, args...), "atrium")
}

// TestBenchRefuses: what cannot be measured is said so.
func TestBenchRefuses(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ args, says string }{
		"token decides": {"docs --read-only --url ws://127.0.0.1:1/ws", "token"},
		"nobody there":  {"docs --no-floor --observers 1 --url ws://127.0.0.1:1/ws", "refused"},
		"bad address":   {"docs --no-floor --url http://127.0.0.1:1/ws", "ws://"},
		"too many":      {"docs --observers 100000000", "ulimit"},
		"no rate":       {"docs --rate 0", "nothing is typed"},
		"one trace":     {"docs --writers 2 --trace go.mod", "one writer"},
		"no process":    {"idle --url ws://127.0.0.1:1/ws", "--pid"},
		"no stores":     {"docs --nodes 2", "--database-url"},
		"both":          {"chat --nodes 2 --url ws://127.0.0.1:1/ws", "--url, all of them"},
		"one of two":    {"edits --url ws://127.0.0.1:1/ws,ws://127.0.0.1:2/ws --pid 1", "1 processes"},
		"no key":        {"push --url ws://127.0.0.1:1/ws --jwt-secret x", "--api-key"},
		"no window":     {"edits --window 0", "at least one"},
		"alone":         {"cursors --clients 1", "two clients"},
		"nobody writes": {"chat --members 5 --writers 6", "no more than there are members"},
		"limited":       {"chat --rate 81", "more writers"},
		"bad rival":     {"docs --runs 1 --observers 1 --no-floor --beside false", "false"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := atrium(append([]string{"bench"}, strings.Fields(strings.ReplaceAll(test.args, "go.mod", "../../go.mod"))...)...)
			out, err := cmd.CombinedOutput()
			if _, failed := err.(*exec.ExitError); !failed || !strings.Contains(string(out), test.says) {
				t.Errorf("got %v and %s, want %q", err, out, test.says)
			}
		})
	}
}

func TestBenchIdle(t *testing.T) {
	t.Parallel()
	report := benched[bench.IdleReport](t, "idle", "--sessions", "300", "--settle", "100ms")
	if report.Sessions != 300 || report.Failed != 0 || report.Joined <= 0 || report.Settled <= 0 {
		t.Errorf("got %+v", report)
	}
}

func TestBenchPush(t *testing.T) {
	t.Parallel()
	checkPush(t, benched[bench.PushReport](t, smallPush...))
}

var smallPush = []string{"push", "--users", "10", "--rate", "100", "--duration", "1s", "--runs", "1"}

// checkPush checks that everybody got what was pushed, and that it was stored.
func checkPush(t *testing.T, report bench.PushReport) {
	t.Helper()
	r := report.Median
	if r.Delivered != 100 || r.Expected != 100 || r.Stored != 100 || r.Failed != 0 {
		t.Errorf("%d of %d delivered, %d stored, %d sessions failed: want 100 of 100 and no failure", r.Delivered, r.Expected, r.Stored, r.Failed)
	}
	if r.P50MS <= 0 || r.P99MS < r.P50MS || r.MaxMS < r.P99MS || r.AnswerP99MS <= 0 || r.CPUPerPushUS <= 0 {
		t.Errorf("figures that cannot be: %+v", r)
	}
}
