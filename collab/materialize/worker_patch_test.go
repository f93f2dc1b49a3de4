package materialize

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestJSONPatchSuite runs the suite that implementations of RFC 6902 share.
func TestJSONPatchSuite(t *testing.T) {
	for _, file := range []string{"tests.json", "spec_tests.json"} {
		src, err := os.ReadFile(filepath.Join("testdata", "json-patch-tests", file))
		if err != nil {
			t.Fatal(err)
		}
		var cases []struct {
			Comment, Error       string
			Doc, Patch, Expected json.RawMessage
			Disabled             bool
		}
		if err := json.Unmarshal(src, &cases); err != nil {
			t.Fatal(err)
		}
		for i, c := range cases {
			if c.Disabled || c.Doc == nil {
				continue
			}
			got, err := applyJSON(t, string(c.Doc), string(c.Patch))
			switch {
			case c.Error != "" && err == nil:
				t.Errorf("%s %d (%s): got %s, want an error: %s", file, i, c.Comment, got, c.Error)
			case c.Error == "" && err != nil:
				t.Errorf("%s %d (%s): %v", file, i, c.Comment, err)
			case c.Expected != nil && err == nil && got != canonical(t, string(c.Expected)):
				t.Errorf("%s %d (%s): got %s, want %s", file, i, c.Comment, got, c.Expected)
			}
		}
	}
}

func applyJSON(t *testing.T, doc, patch string) (string, error) {
	t.Helper()
	d, err := parseJSON([]byte(doc))
	if err != nil {
		t.Fatal(err)
	}
	p, err := parseJSON([]byte(patch))
	if err != nil {
		return "", err
	}
	d, err = jsonPatch(d, p)
	if err != nil {
		return "", err
	}
	return string(d.appendJSON(nil)), nil
}

func canonical(t *testing.T, src string) string {
	t.Helper()
	n, err := parseJSON([]byte(src))
	if err != nil {
		t.Fatal(err)
	}
	return string(n.appendJSON(nil))
}

// TestMergePatch has the examples of RFC 7396.
func TestMergePatch(t *testing.T) {
	for _, c := range []struct{ doc, patch, want string }{
		{`{"a":"b"}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"b"}`, `{"b":"c"}`, `{"a":"b","b":"c"}`},
		{`{"a":"b"}`, `{"a":null}`, `{}`},
		{`{"a":"b","b":"c"}`, `{"a":null}`, `{"b":"c"}`},
		{`{"a":["b"]}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"c"}`, `{"a":["b"]}`, `{"a":["b"]}`},
		{`{"a":{"b":"c"}}`, `{"a":{"b":"d","c":null}}`, `{"a":{"b":"d"}}`},
		{`{"a":[{"b":"c"}]}`, `{"a":[1]}`, `{"a":[1]}`},
		{`["a","b"]`, `["c","d"]`, `["c","d"]`},
		{`{"a":"b"}`, `["c"]`, `["c"]`},
		{`{"a":"foo"}`, `null`, `null`},
		{`{"a":"foo"}`, `"bar"`, `"bar"`},
		{`{"e":null}`, `{"a":1}`, `{"a":1,"e":null}`},
		{`[1,2]`, `{"a":"b","c":null}`, `{"a":"b"}`},
		{`{}`, `{"a":{"bb":{"ccc":null}}}`, `{"a":{"bb":{}}}`},
	} {
		doc, err := parseJSON([]byte(c.doc))
		if err != nil {
			t.Fatal(err)
		}
		patch, err := parseJSON([]byte(c.patch))
		if err != nil {
			t.Fatal(err)
		}
		if got := string(mergePatch(doc, patch).appendJSON(nil)); got != c.want {
			t.Errorf("%s on %s is %s, want %s", c.patch, c.doc, got, c.want)
		}
	}
}

func TestSplice(t *testing.T) {
	for _, c := range []struct{ doc, patch, want string }{
		{`{"t":"abc"}`, `[{"op":"splice","path":"/t","index":1,"delete":1,"insert":"x"}]`, `{"t":"axc"}`},
		{`{"t":"abc"}`, `[{"op":"splice","path":"/t","index":3,"insert":"d"}]`, `{"t":"abcd"}`},
		{`{"t":"abc"}`, `[{"op":"splice","path":"/t","index":0,"delete":3}]`, `{"t":""}`},
		{`{"t":"a😀b"}`, `[{"op":"splice","path":"/t","index":1,"delete":2,"insert":"é"}]`, `{"t":"aéb"}`},
		{`{"t":"a😀b"}`, `[{"op":"splice","path":"/t","index":3,"delete":1}]`, `{"t":"a😀"}`},
		{`{"t":["",{"~":"x"}]}`, `[{"op":"splice","path":"/t/1/~0","index":1,"insert":"y"}]`, `{"t":["",{"~":"xy"}]}`},
	} {
		if got, err := applyJSON(t, c.doc, c.patch); err != nil || got != c.want {
			t.Errorf("%s on %s is %s, %v, want %s", c.patch, c.doc, got, err, c.want)
		}
	}
}

// TestPatchErrors wants each failure to say where it is and whether it comes of
// the document.
func TestPatchErrors(t *testing.T) {
	const doc = `{"a":{"b":[1,2]},"t":"a😀b","n":1}`
	for _, c := range []struct {
		patch    string
		index    int
		pointer  string
		conflict bool
	}{
		{`{}`, -1, "", false},
		{`[1]`, 0, "", false},
		{`[{"op":"test","path":"/n","value":1},{"op":"test","path":"/n","value":2}]`, 1, "/n", true},
		{`[{"op":"test","path":"/a/x/y","value":1}]`, 0, "/a/x", true},
		{`[{"op":"remove","path":"/a/b/2"}]`, 0, "/a/b/2", true},
		{`[{"op":"remove","path":"/a/b/-"}]`, 0, "/a/b/-", true},
		{`[{"op":"remove","path":"/n/x"}]`, 0, "/n/x", true},
		{`[{"op":"remove","path":""}]`, 0, "", false},
		{`[{"op":"add","path":"/a/b/01","value":1}]`, 0, "/a/b/01", true},
		{`[{"op":"add","path":"/a/b/3","value":1}]`, 0, "/a/b/3", true},
		{`[{"op":"add","path":"/a/b/-1","value":1}]`, 0, "/a/b/-1", true},
		{`[{"op":"add","path":"/x/y~1z/w","value":1}]`, 0, "/x", true},
		{`[{"op":"add","path":"x","value":1}]`, 0, "x", false},
		{`[{"op":"add","path":"/~2","value":1}]`, 0, "/~2", false},
		{`[{"op":"add","path":"/a"}]`, 0, "/a", false},
		{`[{"op":"add","value":1}]`, 0, "", false},
		{`[{"op":"replace","path":"/y","value":1}]`, 0, "/y", true},
		{`[{"op":"move","from":"/a","path":"/a/b/0"}]`, 0, "/a/b/0", false},
		{`[{"op":"move","from":"/y","path":"/z"}]`, 0, "/y", true},
		{`[{"op":"copy","path":"/z"}]`, 0, "/z", false},
		{`[{"op":"jump","path":"/z"}]`, 0, "/z", false},
		{`[{"op":"splice","path":"/n","index":0}]`, 0, "/n", true},
		{`[{"op":"splice","path":"/t"}]`, 0, "/t", false},
		{`[{"op":"splice","path":"/t","index":-1}]`, 0, "/t", false},
		{`[{"op":"splice","path":"/t","index":2}]`, 0, "/t", false},
		{`[{"op":"splice","path":"/t","index":1,"delete":1}]`, 0, "/t", false},
		{`[{"op":"splice","path":"/t","index":5}]`, 0, "/t", true},
		{`[{"op":"splice","path":"/t","index":0,"delete":9}]`, 0, "/t", true},
		{`[{"op":"splice","path":"/t","index":0,"insert":1}]`, 0, "/t", false},
		{`[{"op":"add","path":"/n","value":1e999}]`, -1, "", false},
		{`[] []`, -1, "", false},
		{strings.Repeat("[", 65) + strings.Repeat("]", 65), -1, "", false},
		{"[" + strings.Repeat(`{"op":"copy","from":"/a","path":"/a/b/-"},`, 30) + `{"op":"remove","path":"/a"}]`, 18, "/a/b/-", false},
	} {
		got, err := applyJSON(t, doc, c.patch)
		var e *PatchError
		if !errors.As(err, &e) {
			t.Errorf("%.100s: got %.100s, %v", c.patch, got, err)
			continue
		}
		if e.Index != c.index || e.Pointer != c.pointer || e.Conflict != c.conflict || e.Reason == "" {
			t.Errorf("%.100s: got %+v, want index %d, pointer %q, conflict %v", c.patch, *e, c.index, c.pointer, c.conflict)
		}
	}
}

func TestISOString(t *testing.T) {
	for ms, want := range map[int64]string{
		0:                 "1970-01-01T00:00:00.000Z",
		-1:                "1969-12-31T23:59:59.999Z",
		1_700_000_000_123: "2023-11-14T22:13:20.123Z",
		8.64e15:           "+275760-09-13T00:00:00.000Z",
		-8.64e15:          "-271821-04-20T00:00:00.000Z",
		-62167219200001:   "-000001-12-31T23:59:59.999Z",
		-62167219200000:   "0000-01-01T00:00:00.000Z",
		8.64e15 + 1:       "",
	} {
		if got, ok := isoString(ms); got != want || ok != (want != "") {
			t.Errorf("%d is %q, want %q", ms, got, want)
		}
	}
}
