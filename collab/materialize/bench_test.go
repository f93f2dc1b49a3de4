package materialize_test

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/automerge/automerge-go"

	"atrium/collab/materialize"
)

var traceFile = flag.String("edits", "", "gzipped editing trace to replay; default: 20,000 letters typed (-trace is go test's own)")

// A patch of a trace: position, how much is deleted, what is inserted.
type splice [3]any

// edits are the transactions of a sequential trace as published in the
// editing-traces collection.
func edits(b *testing.B) (txns [][]splice) {
	if *traceFile == "" {
		for i := range 20_000 {
			txns = append(txns, []splice{{float64(i), 0.0, "x"}})
		}
		return txns
	}
	f, err := os.Open(*traceFile)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		b.Fatal(err)
	}
	var trace struct{ Txns []struct{ Patches []splice } }
	if err := json.NewDecoder(z).Decode(&trace); err != nil {
		b.Fatal(err)
	}
	for _, txn := range trace.Txns {
		txns = append(txns, txn.Patches)
	}
	return txns
}

var edited struct {
	sync.Once
	log []byte
}

// editedLog is the trace as a log, one change for each transaction.
func editedLog(b *testing.B) []byte {
	b.Helper()
	edited.Do(func() {
		doc := automerge.New()
		text := automerge.NewText("")
		if err := doc.RootMap().Set("text", text); err != nil {
			b.Fatal(err)
		}
		at := time.Unix(0, 0)
		for _, txn := range edits(b) {
			for _, s := range txn {
				if err := text.Splice(int(s[0].(float64)), int(s[1].(float64)), s[2].(string)); err != nil {
					b.Fatal(err)
				}
			}
			if _, err := doc.Commit("", automerge.CommitOptions{AllowEmpty: true, Time: &at}); err != nil {
				b.Fatal(err)
			}
		}
		changes, err := doc.Changes()
		if err != nil {
			b.Fatal(err)
		}
		for _, c := range changes {
			edited.log = append(edited.log, c.Save()...)
		}
	})
	return edited.log
}

// BenchmarkDocument measures requests on one long text, the worker's start
// included the first time.
func BenchmarkDocument(b *testing.B) {
	log := editedLog(b)
	ctx := context.Background()
	run := func(name string, f func(p *materialize.Pool) (int, error)) {
		b.Run(name, func(b *testing.B) {
			p := newPool(b, "works", materialize.Options{})
			n := 0
			for b.Loop() {
				var err error
				if n, err = f(p); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(n)/1e3, "answer-kB")
			if most := peak(p); most > 0 { // or it has been ended, for having grown
				b.ReportMetric(float64(most)/1e6, "peak-MB")
			}
		})
	}
	run("snapshot", func(p *materialize.Pool) (int, error) {
		doc, _, err := p.Snapshot(ctx, "doc", log)
		return len(doc), err
	})
	run("json", func(p *materialize.Pool) (int, error) {
		content, err := p.JSON(ctx, "doc", log)
		return len(content), err
	})
	p := newPool(b, "works", materialize.Options{})
	doc, _, err := p.Snapshot(ctx, "doc", log)
	if err != nil {
		b.Fatal(err)
	}
	run("json of the snapshot", func(p *materialize.Pool) (int, error) {
		content, err := p.JSON(ctx, "doc", doc)
		return len(content), err
	})
	run("patch of the snapshot", func(p *materialize.Pool) (int, error) {
		chunk, err := p.Patch(ctx, "doc", doc, materialize.JSONPatch, json.RawMessage(`[{"op":"splice","path":"/text","index":10000,"insert":"x"}]`), commit(""))
		return len(chunk), err
	})
	run("small", func(p *materialize.Pool) (int, error) {
		content, err := p.JSON(ctx, "doc", nil)
		return len(content), err
	})
}

// peak returns the most memory that a worker has had, in bytes.
func peak(p *materialize.Pool) (most int64) {
	for _, pid := range p.Processes() {
		most = max(most, status(pid, "VmHWM:"))
	}
	return most
}

func status(pid int, field string) int64 {
	src, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(src), field)
	kB, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
	n, _ := json.Number(kB).Int64()
	return n << 10
}
