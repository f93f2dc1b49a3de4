package materialize_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf16"

	"atrium/collab/materialize"
)

var (
	rounds = flag.Int("rounds", 30, "documents of the random test")
	seed   = flag.Uint64("seed", rand.Uint64(), "seed of the random test")
)

// TestRandomPatches patches random documents again and again, and wants them to
// be what plain JSON is after the same patches, restored and compared too.
func TestRandomPatches(t *testing.T) {
	p := newPool(t, "works", materialize.Options{})
	for round := range uint64(*rounds) {
		seed := *seed + round
		rng := rand.New(rand.NewPCG(seed, 0))
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			defer func() {
				if t.Failed() {
					t.Logf("again: go test -run RandomPatches -rounds 1 -seed %d", seed)
				}
			}()
			want := any(randomObject(rng, 4))
			log := create(t, p, marshal(t, want))
			same(t, p, log, want)
			first, firstWant := slices.Clone(log), want
			for range 8 {
				kind, patch := materialize.MergePatch, any(nil)
				var after any
				var failed error
				if rng.IntN(2) == 0 {
					patch = randomMerge(rng, want)
					after = plainMerge(clone(t, want), patch)
				} else {
					kind = materialize.JSONPatch
					var ops []any
					after = want
					for range 1 + rng.IntN(5) {
						op := randomOp(rng, after)
						ops = append(ops, op)
						var next any
						if next, failed = plainOp(clone(t, after), op); failed != nil {
							break
						}
						after = next
					}
					patch = ops
				}
				chunk, err := p.Patch(context.Background(), "doc", log, kind, json.RawMessage(marshal(t, patch)), commit("patch"))
				if failed != nil {
					if e := (*materialize.PatchError)(nil); !errors.As(err, &e) || e.Index != len(patch.([]any))-1 {
						t.Fatalf("%s on %s: got %v, want it to fail: %v", marshal(t, patch), marshal(t, want), err, failed)
					}
					continue
				}
				if err != nil {
					t.Fatalf("%s on %s: %v", marshal(t, patch), marshal(t, want), err)
				}
				if chunk == nil && !reflect.DeepEqual(clone(t, after), clone(t, want)) {
					t.Fatalf("%s on %s changes nothing", marshal(t, patch), marshal(t, want))
				}
				diff := log
				log = slices.Concat(log, chunk)
				same(t, p, log, after)
				ops, err := p.Diff(context.Background(), "doc", diff, log)
				if err != nil {
					t.Fatal(err)
				}
				compared := clone(t, want)
				for _, op := range clone(t, ops).([]any) {
					if compared, err = plainOp(compared, op.(map[string]any)); err != nil {
						t.Fatalf("%s to %s: %s: %v", marshal(t, want), marshal(t, after), ops, err)
					}
				}
				if !reflect.DeepEqual(compared, clone(t, after)) {
					t.Fatalf("%s to %s: %s makes %s", marshal(t, want), marshal(t, after), ops, marshal(t, compared))
				}
				want = after
			}
			chunk, err := p.Restore(context.Background(), "doc", log, first, commit("restore"))
			if err != nil {
				t.Fatal(err)
			}
			log = slices.Concat(log, chunk)
			same(t, p, log, firstWant)
			doc, _, err := p.Snapshot(context.Background(), "doc", log)
			if err != nil {
				t.Fatal(err)
			}
			same(t, p, doc, firstWant)
		})
	}
}

// same wants a log to have this content.
func same(t *testing.T, p *materialize.Pool, log []byte, want any) {
	t.Helper()
	got, err := p.JSON(context.Background(), "doc", log)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(clone(t, got), clone(t, want)) {
		t.Fatalf("content is %s, want %s", got, marshal(t, want))
	}
}

func marshal(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// clone returns v as it comes back from JSON, with numbers as they are written.
func clone(t *testing.T, v any) (c any) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(marshal(t, v)))
	d.UseNumber()
	if err := d.Decode(&c); err != nil {
		t.Fatal(err)
	}
	return c
}

var pieces = []string{"", "a", "bc", "e\u0301", "é", "😀", "👩‍👩‍👧", "日本", "\n", "\"\\", "\x00", "~/", "x"}

func randomString(rng *rand.Rand) (s string) {
	for range rng.IntN(8) {
		s += pieces[rng.IntN(len(pieces))]
	}
	return s
}

func randomKey(rng *rand.Rand) string {
	return []string{"a", "b", "c", "0", "1", "~", "/", "é😀", "long key"}[rng.IntN(9)]
}

func randomObject(rng *rand.Rand, depth int) map[string]any {
	m := map[string]any{}
	for range rng.IntN(6) {
		m[randomKey(rng)] = randomValue(rng, depth-1)
	}
	return m
}

func randomValue(rng *rand.Rand, depth int) any {
	n := 11
	if depth <= 0 {
		n = 7
	}
	switch rng.IntN(n) {
	case 0:
		return nil
	case 1:
		return rng.IntN(2) == 0
	case 2:
		return rng.IntN(5)
	case 3:
		return []any{int64(-1) << 62, uint64(1 << 63), int64(1<<53 + 2)}[rng.IntN(3)]
	case 4:
		return []any{0.5, -1e-9, 1e25, 1.0}[rng.IntN(4)]
	case 5, 6:
		return randomString(rng)
	case 7, 8:
		return randomObject(rng, depth)
	}
	list := []any{}
	for range rng.IntN(7) {
		list = append(list, randomValue(rng, depth-1))
	}
	return list
}

// randomMerge is a merge patch that often meets what is there.
func randomMerge(rng *rand.Rand, doc any) any {
	patch := map[string]any{}
	have, _ := doc.(map[string]any)
	for _, k := range slices.Sorted(maps.Keys(have)) {
		switch rng.IntN(6) {
		case 0:
			patch[k] = nil
		case 1:
			patch[k] = randomValue(rng, 2)
		case 2:
			if s, ok := have[k].(string); ok {
				r := []rune(s)
				at := rng.IntN(len(r) + 1)
				patch[k] = string(r[:at]) + randomString(rng) + string(r[at:])
			} else {
				patch[k] = randomMerge(rng, have[k])
			}
		}
	}
	if rng.IntN(2) == 0 {
		patch[randomKey(rng)] = randomValue(rng, 3)
	}
	return patch
}

// randomOp is an operation that fits the document, mostly.
func randomOp(rng *rand.Rand, doc any) map[string]any {
	at, value := randomPlace(rng, doc)
	path := pointer(at)
	if len(at) == 0 {
		path = pointer([]string{randomKey(rng)})
	}
	switch rng.IntN(8) {
	case 0:
		return map[string]any{"op": "test", "path": path, "value": value}
	case 1:
		return map[string]any{"op": "remove", "path": path}
	case 2:
		return map[string]any{"op": "replace", "path": path, "value": randomValue(rng, 2)}
	case 3, 4:
		from, _ := randomPlace(rng, doc)
		return map[string]any{"op": []string{"move", "copy"}[rng.IntN(2)], "from": pointer(from), "path": path}
	case 5:
		if s, ok := value.(string); ok {
			n := len(utf16.Encode([]rune(s)))
			i := rng.IntN(n + 1)
			return map[string]any{"op": "splice", "path": path, "index": i, "delete": rng.IntN(n - i + 1), "insert": randomString(rng)}
		}
	}
	if list, ok := value.([]any); ok {
		path += "/" + []string{"-", strconv.Itoa(rng.IntN(len(list) + 1))}[rng.IntN(2)]
	}
	return map[string]any{"op": "add", "path": path, "value": randomValue(rng, 2)}
}

func randomPlace(rng *rand.Rand, doc any) (at []string, value any) {
	for value = doc; rng.IntN(4) > 0; {
		switch v := value.(type) {
		case map[string]any:
			if len(v) == 0 {
				return at, value
			}
			k := slices.Sorted(maps.Keys(v))[rng.IntN(len(v))]
			at, value = append(at, k), v[k]
		case []any:
			if len(v) == 0 {
				return at, value
			}
			i := rng.IntN(len(v))
			at, value = append(at, strconv.Itoa(i)), v[i]
		default:
			return at, value
		}
	}
	return at, value
}

func pointer(at []string) (s string) {
	for _, token := range at {
		s += "/" + strings.ReplaceAll(strings.ReplaceAll(token, "~", "~0"), "/", "~1")
	}
	return s
}

func plainMerge(target, patch any) any {
	p, ok := patch.(map[string]any)
	if !ok {
		return patch
	}
	m, ok := target.(map[string]any)
	if !ok {
		m = map[string]any{}
	}
	for k, v := range p {
		if v == nil {
			delete(m, k)
		} else {
			m[k] = plainMerge(m[k], v)
		}
	}
	return m
}

var errPlain = errors.New("operation does not fit")

// plainOp applies one operation by rewriting the document from the root.
func plainOp(doc any, op map[string]any) (any, error) {
	path := op["path"].(string)
	switch op["op"] {
	case "add":
		return edit(doc, path, func(any, bool) (any, error) { return op["value"], nil }, "add")
	case "remove":
		return edit(doc, path, nil, "remove")
	case "replace":
		return edit(doc, path, func(any, bool) (any, error) { return op["value"], nil }, "replace")
	case "test", "splice":
		return edit(doc, path, func(old any, _ bool) (any, error) {
			if op["op"] == "test" {
				a, _ := json.Marshal(old)
				b, _ := json.Marshal(op["value"])
				if !bytes.Equal(a, b) {
					return nil, errPlain
				}
				return old, nil
			}
			s, ok := old.(string)
			if !ok {
				return nil, errPlain
			}
			u, i, n := utf16.Encode([]rune(s)), op["index"].(int), op["delete"].(int)
			if i > 0 && i < len(u) && utf16.IsSurrogate(rune(u[i])) && u[i] >= 0xdc00 || i+n > 0 && i+n < len(u) && utf16.IsSurrogate(rune(u[i+n])) && u[i+n] >= 0xdc00 {
				return nil, errPlain
			}
			return string(utf16.Decode(u[:i])) + op["insert"].(string) + string(utf16.Decode(u[i+n:])), nil
		}, "replace")
	}
	from := op["from"].(string)
	var value any
	if _, err := edit(doc, from, func(old any, _ bool) (any, error) { value = old; return old, nil }, "replace"); err != nil {
		return nil, err
	}
	b, _ := json.Marshal(value)
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	d.Decode(&value)
	if op["op"] == "move" {
		if strings.HasPrefix(path, from+"/") {
			return nil, errPlain
		}
		var err error
		if doc, err = edit(doc, from, nil, "remove"); err != nil {
			return nil, err
		}
	}
	return edit(doc, path, func(any, bool) (any, error) { return value, nil }, "add")
}

func edit(doc any, path string, with func(any, bool) (any, error), how string) (any, error) {
	if path == "" {
		return with(doc, true)
	}
	token, rest, deeper := strings.Cut(path[1:], "/")
	if deeper {
		rest = "/" + rest
	}
	key := strings.ReplaceAll(strings.ReplaceAll(token, "~1", "/"), "~0", "~")
	switch doc := doc.(type) {
	case map[string]any:
		old, ok := doc[key]
		switch {
		case !ok && (deeper || how != "add"):
			return nil, errPlain
		case !deeper && how == "remove":
			delete(doc, key)
			return doc, nil
		}
		v, err := edit(old, rest, with, how)
		doc[key] = v
		return doc, err
	case []any:
		i, err := strconv.Atoi(key)
		if key == "-" && !deeper && how == "add" {
			i, err = len(doc), nil
		}
		switch {
		case err != nil || i > len(doc) || i == len(doc) && (deeper || how != "add"):
			return nil, errPlain
		case deeper || how == "replace":
			doc[i], err = edit(doc[i], rest, with, how)
			return doc, err
		case how == "remove":
			return slices.Delete(doc, i, i+1), nil
		}
		v, err := with(nil, false)
		return slices.Insert(doc, i, v), err
	}
	return nil, errPlain
}
