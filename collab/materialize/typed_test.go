package materialize_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/automerge/automerge-go"

	"atrium/collab/change"
	"atrium/collab/materialize"
)

// typed is a document with values of every kind, as its changes.
func typed(t *testing.T) (log []byte) {
	t.Helper()
	doc := automerge.New()
	for key, value := range map[string]any{
		"int":     int64(1<<53 + 1),
		"counter": automerge.NewCounter(5),
		"date":    time.UnixMilli(1_700_000_000_123),
		"bytes":   []byte{0, 1, 255},
		"string":  "a scalar",
		"text":    automerge.NewText("a text"),
		"uint":    uint64(7),
		"float":   1.0,
		"nan":     math.NaN(),
		"list":    []any{automerge.NewCounter(1), time.UnixMilli(-1), []byte{}, "x", map[string]any{"deep": automerge.NewCounter(2)}},
	} {
		if err := doc.Path(key).Set(value); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := doc.Commit("typed"); err != nil {
		t.Fatal(err)
	}
	changes, err := doc.Changes()
	if err != nil {
		t.Fatal(err)
	}
	c, err := change.Parse(changes[0].Save())
	if err != nil {
		t.Fatal(err)
	}
	return c.Chunk
}

const typedJSON = `{"bytes":"AAH/","counter":5,"date":"2023-11-14T22:13:20.123Z","float":1,"int":9007199254740993,` +
	`"list":[1,"1969-12-31T23:59:59.999Z","","x",{"deep":2}],"nan":null,"string":"a scalar","text":"a text","uint":7}`

// kinds says what a document's values are.
func kinds(t *testing.T, log []byte, paths ...[]any) (s string) {
	t.Helper()
	doc, err := automerge.Load(log)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		v, err := doc.Path(path...).Get()
		if err != nil {
			t.Fatal(err)
		}
		s += strings.TrimPrefix(v.Kind().String(), "Kind") + " "
	}
	return strings.TrimSpace(s)
}

var typedPaths = [][]any{{"bytes"}, {"counter"}, {"date"}, {"float"}, {"int"}, {"nan"}, {"string"}, {"text"}, {"uint"},
	{"list", 0}, {"list", 1}, {"list", 2}, {"list", 3}, {"list", 4, "deep"}}

const typedKinds = "Bytes Counter Time Float64 Int64 Float64 Str Text Uint64 Counter Time Bytes Str Counter"

func ops(t *testing.T, chunk []byte) int {
	t.Helper()
	c, err := change.Parse(chunk)
	if err != nil {
		t.Fatal(err)
	}
	n, err := c.Ops()
	if err != nil {
		t.Fatal(err)
	}
	return int(n)
}

// TestKindsAreKept patches around values that JSON has no kind for.
func TestKindsAreKept(t *testing.T) {
	p := newPool(t, "works", materialize.Options{})
	ctx := context.Background()
	log := typed(t)
	wantJSON(t, p, log, typedJSON)
	if got := kinds(t, log, typedPaths...); got != typedKinds {
		t.Fatalf("kinds are %s", got)
	}
	// The whole content again: nothing to do.
	if chunk, err := p.Patch(ctx, "doc", log, materialize.JSONPatch, json.RawMessage(`[{"op":"replace","path":"","value":`+typedJSON+`}]`), commit("")); err != nil || chunk != nil {
		t.Errorf("got %x, %v", chunk, err)
	}
	chunk, err := p.Patch(ctx, "doc", log, materialize.JSONPatch, json.RawMessage(`[
		{"op":"replace","path":"/counter","value":2},
		{"op":"remove","path":"/list/3"},
		{"op":"replace","path":"/list/3/deep","value":12},
		{"op":"replace","path":"/list/0","value":0},
		{"op":"add","path":"/list/0","value":true}]`), commit(""))
	if err != nil {
		t.Fatal(err)
	}
	if n := ops(t, chunk); n != 5 {
		t.Errorf("the change has %d operations", n)
	}
	patched := slices.Concat(log, chunk)
	wantJSON(t, p, patched, strings.Replace(strings.Replace(typedJSON, `"counter":5`, `"counter":2`, 1),
		`[1,"1969-12-31T23:59:59.999Z","","x",{"deep":2}]`, `[true,0,"1969-12-31T23:59:59.999Z","",{"deep":12}]`, 1))
	if got, want := kinds(t, patched, []any{"counter"}, []any{"list", 1}, []any{"list", 2}, []any{"list", 3}, []any{"list", 4, "deep"}), "Counter Counter Time Bytes Counter"; got != want {
		t.Errorf("kinds are %s, want %s", got, want)
	}
	// Another string for a scalar makes it a text.
	chunk, err = p.Patch(ctx, "doc", log, materialize.MergePatch, json.RawMessage(`{"string":"b","bytes":"c","counter":1.5}`), commit(""))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := kinds(t, slices.Concat(log, chunk), []any{"string"}, []any{"bytes"}, []any{"counter"}), "Text Text Float64"; got != want {
		t.Errorf("kinds are %s, want %s", got, want)
	}
}

// TestRestoreKinds takes everything away and brings it back.
func TestRestoreKinds(t *testing.T) {
	p := newPool(t, "works", materialize.Options{})
	ctx := context.Background()
	old := typed(t)
	for _, patch := range []string{
		`[{"op":"replace","path":"","value":{}}]`,
		`[{"op":"replace","path":"","value":{"counter":"5","date":0,"bytes":[],"list":{},"text":1}}]`,
		`[{"op":"replace","path":"/counter","value":-9007199254740000},{"op":"replace","path":"/text","value":"another text"},{"op":"remove","path":"/list/0"}]`,
	} {
		chunk, err := p.Patch(ctx, "doc", old, materialize.JSONPatch, json.RawMessage(patch), commit(""))
		if err != nil {
			t.Fatal(err)
		}
		log := slices.Concat(old, chunk)
		if chunk, err = p.Restore(ctx, "doc", log, old, commit("as it was")); err != nil {
			t.Fatal(err)
		}
		log = slices.Concat(log, chunk)
		wantJSON(t, p, log, typedJSON)
		if got := kinds(t, log, typedPaths...); got != typedKinds {
			t.Errorf("after %s kinds are %s", patch, got)
		}
		if chunk, err = p.Restore(ctx, "doc", log, old, commit("")); err != nil || chunk != nil {
			t.Errorf("restored again: %x, %v", chunk, err)
		}
	}
}

// TestFewOperations wants changes to be as small as what they do.
func TestFewOperations(t *testing.T) {
	p := newPool(t, "works", materialize.Options{})
	text := strings.Repeat("some 😀 words e\u0301 ", 600)
	half := []rune(text)[:5000]
	for _, c := range []struct {
		what, from, to string
		ops            int
	}{
		{"a letter typed", text, string(half) + "x" + text[len(string(half)):], 1},
		{"a letter at both ends", text, "x" + text + "y", 2},
		{"a letter replaced in the middle, one taken at the end", text, strings.Replace(text[:len(text)-1], "words", "wards", 1), 3},
	} {
		log := create(t, p, marshal(t, map[string]any{"text": c.from}))
		chunk, err := p.Patch(context.Background(), "doc", log, materialize.MergePatch, json.RawMessage(marshal(t, map[string]any{"text": c.to})), commit(""))
		if err != nil {
			t.Fatal(err)
		}
		if n := ops(t, chunk); n != c.ops {
			t.Errorf("%s: %d operations, want %d", c.what, n, c.ops)
		}
		same(t, p, slices.Concat(log, chunk), map[string]any{"text": c.to})
	}
	for _, c := range []struct {
		from, to string
		ops      int
	}{
		{`{"l":[1,2,3,4]}`, `{"l":[1,3,4]}`, 1},
		{`{"l":[1,2,3,4]}`, `{"l":[0,1,2,3,4,5]}`, 2},
		{`{"l":[{"a":1,"b":"text"},{"a":2},{"a":3}]}`, `{"l":[{"a":1,"b":"texts"},{"a":3}]}`, 2},
		{`{"l":[{"a":1},2,[3]]}`, `{"l":["new",{"a":2},2,[3,4]]}`, 6},
		{`{"a":1,"b":{"c":1}}`, `{"b":{"c":1,"d":null}}`, 2},
	} {
		log := create(t, p, c.from)
		patch := `[{"op":"replace","path":"","value":` + c.to + `}]`
		chunk, err := p.Patch(context.Background(), "doc", log, materialize.JSONPatch, json.RawMessage(patch), commit(""))
		if err != nil {
			t.Fatal(err)
		}
		if n := ops(t, chunk); n != c.ops {
			t.Errorf("%s to %s: %d operations, want %d", c.from, c.to, n, c.ops)
		}
		wantJSON(t, p, slices.Concat(log, chunk), c.to)
	}
}

// TestRefusals wants errors that say whose fault it is, and no worker to die.
func TestRefusals(t *testing.T) {
	p := newPool(t, "works", materialize.Options{})
	ctx := context.Background()
	log := create(t, p, `{"a":[1]}`)
	for _, content := range []string{"", "1", "[]", `{"a":`, `{"":1}`, `{"a":9007199254740993}`, `{"a":[18446744073709551615]}`, `{"a":"` + strings.Repeat("x", change.MaxOps) + `"}`,
		`{"a":` + strings.Repeat("[", 64) + strings.Repeat("]", 64) + `}`, strings.Repeat(" ", materialize.MaxInput) + "{}"} {
		_, err := p.Create(ctx, "doc", json.RawMessage(content), commit(""))
		if e := (*materialize.PatchError)(nil); !errors.As(err, &e) || e.Index != -1 || e.Conflict {
			t.Errorf("%.20s: got %v", content, err)
		}
	}
	for _, patch := range []string{"1", "null", `"x"`} {
		_, err := p.Patch(ctx, "doc", log, materialize.MergePatch, json.RawMessage(patch), commit(""))
		if e := (*materialize.PatchError)(nil); !errors.As(err, &e) {
			t.Errorf("%s: got %v", patch, err)
		}
	}
	chunk, err := p.Patch(ctx, "doc", log, materialize.MergePatch, json.RawMessage(`{"a":2}`), commit(""))
	if err != nil {
		t.Fatal(err)
	}
	for what, log := range map[string][]byte{"a change without what it depends on": chunk, "noise": []byte("noise"), "half a log": log[:len(log)-1]} {
		if _, err := p.JSON(ctx, "doc", log); !errors.Is(err, materialize.ErrUnreadable) {
			t.Errorf("%s: got %v", what, err)
		}
		if _, err := p.Changes(ctx, "doc", log); !errors.Is(err, materialize.ErrUnreadable) {
			t.Errorf("%s: got %v", what, err)
		}
	}
	if n := len(p.Processes()); n != 1 {
		t.Errorf("there are %d workers", n)
	}
}

func TestChanges(t *testing.T) {
	p := newPool(t, "works", materialize.Options{})
	ctx := context.Background()
	log := create(t, p, marshal(t, map[string]any{"text": strings.Repeat("long enough to be compressed ", 50)}))
	want := [][]byte{log}
	for i := range 3 {
		chunk, err := p.Patch(ctx, "doc", log, materialize.MergePatch, json.RawMessage(fmt.Sprintf(`{"n":%d}`, i)), commit("a message"))
		if err != nil {
			t.Fatal(err)
		}
		log, want = slices.Concat(log, chunk), append(want, chunk)
	}
	doc, _, err := p.Snapshot(ctx, "doc", slices.Concat(want[:3]...))
	if err != nil {
		t.Fatal(err)
	}
	got, err := p.Changes(ctx, "doc", slices.Concat(doc, want[3]))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.EqualFunc(got, want, slices.Equal) {
		t.Errorf("got %d changes, want %d", len(got), len(want))
	}
	wantJSON(t, p, slices.Concat(doc, want[3]), string(mustJSON(t, p, log)))
}

func mustJSON(t *testing.T, p *materialize.Pool, log []byte) json.RawMessage {
	t.Helper()
	got, err := p.JSON(context.Background(), "doc", log)
	if err != nil {
		t.Fatal(err)
	}
	return got
}
