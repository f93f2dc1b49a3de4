package bench

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/automerge/automerge-go"

	"atrium/collab/change"
)

// apply lets the reference implementation make a document of changes.
func apply(t *testing.T, changes []typed) *automerge.Doc {
	t.Helper()
	doc := automerge.New()
	var all []byte
	for _, c := range changes {
		all = append(all, c.chunk...)
	}
	if err := doc.LoadIncremental(all); err != nil {
		t.Fatal(err)
	}
	return doc
}

func textOf(t *testing.T, doc *automerge.Doc) string {
	t.Helper()
	text, err := doc.Path("text").Text().Get()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func headsOf(doc *automerge.Doc) (heads []change.Hash) {
	for _, h := range doc.Heads() {
		heads = append(heads, change.Hash(h))
	}
	slices.SortFunc(heads, func(a, b change.Hash) int { return bytes.Compare(a[:], b[:]) })
	return heads
}

// syntheticTrace types and takes back, several code points at a time, and
// returns the trace's file and the text at the end.
func syntheticTrace(t *testing.T, transactions int) (file []byte, end string) {
	t.Helper()
	rng := rand.New(rand.NewPCG(3, 4))
	text := []rune("Ἀρχή 🌍")
	start := string(text)
	alphabet := []rune("abc äöü 漢字 👩‍🚀\n")
	type patch = []any
	var txns []map[string]any
	for range transactions {
		var patches []patch
		for range 1 + rng.IntN(3) {
			at := rng.IntN(len(text) + 1)
			deleted := rng.IntN(min(4, len(text)-at+1))
			var inserted []rune
			for range rng.IntN(4) {
				inserted = append(inserted, alphabet[rng.IntN(len(alphabet))])
			}
			patches = append(patches, patch{at, deleted, string(inserted)})
			text = slices.Replace(text, at, at+deleted, inserted...)
		}
		txns = append(txns, map[string]any{"time": "2020-01-01T00:00:00Z", "patches": patches})
	}
	data, err := json.Marshal(map[string]any{"startContent": start, "endContent": string(text), "txns": txns})
	if err != nil {
		t.Fatal(err)
	}
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	z.Write(data)
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return zipped.Bytes(), string(text)
}

func TestTraceMakesItsText(t *testing.T) {
	t.Parallel()
	file, want := syntheticTrace(t, 300)
	tr, err := parseTrace(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	s, err := tr.script(200, 101)
	if err != nil {
		t.Fatal(err)
	}
	if len(s.preload) != 200 || len(s.edits) != 101 {
		t.Fatalf("got %d changes and %d, want 200 and 101", len(s.preload), len(s.edits))
	}
	all := slices.Concat(s.preload, s.edits)
	doc := apply(t, all)
	if got := textOf(t, doc); got != want {
		t.Errorf("the text is %q, want %q", got, want)
	}
	if got := headsOf(doc); !slices.Equal(got, []change.Hash{all[len(all)-1].hash}) {
		t.Errorf("the heads are %v", got)
	}
	if _, err := tr.script(200, 102); err == nil {
		t.Error("a trace gave more changes than it has")
	}
}

func TestTraceRefusesNonsense(t *testing.T) {
	t.Parallel()
	for _, txns := range []string{
		`[{"patches":[[0,1,""]]}]`, `[{"patches":[[1,0,"a"]]}]`, `[{"patches":[[-1,0,"a"]]}]`,
		`[{"patches":[[0,-1,"a"]]}]`, `[{"patches":[["a"]]}]`, `[`,
	} {
		var zipped bytes.Buffer
		z := gzip.NewWriter(&zipped)
		z.Write([]byte(`{"startContent":"","txns":` + txns + `}`))
		z.Close()
		if _, err := parseTrace(&zipped); err == nil {
			t.Errorf("%s: no error", txns)
		}
	}
}

func TestWritersBuildOnThePreload(t *testing.T) {
	t.Parallel()
	s := newScript(50, 20, 3)
	doc := apply(t, slices.Concat(s.preload, s.edits))
	text := textOf(t, doc)
	if n := len(text); n != 70 {
		t.Errorf("the text has %d characters, want 70", n)
	}
	if before := textOf(t, apply(t, s.preload)); !strings.HasPrefix(text, before) {
		t.Errorf("%q does not begin with the preload %q", text, before)
	}
	has := newFrontier(s.preloadHeads()...)
	for i := range s.edits {
		if !has.add(&s.edits[i]) || has.add(&s.edits[i]) {
			t.Fatal("a change is new once")
		}
	}
	if got := headsOf(doc); !slices.Equal(got, has.heads) {
		t.Errorf("the heads are %v, the frontier says %v", got, has.heads)
	}
	if all := s.appendPast(nil, has.heads); !slices.Equal(distinct(all), numbers(0, 70)) {
		t.Errorf("the past of the heads is %v", distinct(all))
	}
	// The seventh edit is the first writer's third.
	if got, want := distinct(s.appendPast(nil, []change.Hash{s.edits[6].hash})), append(numbers(0, 50), 50, 53, 56); !slices.Equal(got, want) {
		t.Errorf("the past of an edit is %v, want %v", got, want)
	}
	if got := s.appendPast(nil, []change.Hash{s.preload[9].hash, {1}}); !slices.Equal(distinct(got), numbers(0, 10)) {
		t.Errorf("the past of the tenth change is %v", got)
	}
}

func distinct(list []int) []int { slices.Sort(list); return slices.Compact(list) }

func numbers(from, to int) (list []int) {
	for i := from; i < to; i++ {
		list = append(list, i)
	}
	return list
}
