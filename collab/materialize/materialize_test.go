package materialize_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"testing"
	"time"

	"atrium/collab/change"
	"atrium/collab/materialize"
)

// asWorker makes the test binary a worker: one that works, or one that does not.
const asWorker = "ATRIUM_TEST_WORKER"

func TestMain(m *testing.M) {
	switch os.Getenv(asWorker) {
	case "":
		os.Exit(m.Run())
	case "works":
		if err := materialize.Work(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	case "hangs":
		time.Sleep(time.Hour)
	case "babbles":
		os.Stdout.WriteString("\x00\x00\x00\x05hello, is anybody there?")
		time.Sleep(time.Hour)
	case "parent":
		beParent()
	case "exits":
		os.Exit(3)
	}
	os.Exit(0)
}

// newPool is a pool of workers of one kind. When the test ends, none of them
// may be left.
func newPool(t testing.TB, kind string, o materialize.Options) *materialize.Pool {
	t.Helper()
	o.Command = []string{os.Args[0]}
	o.Env = append(os.Environ(), asWorker+"="+kind, "GORACE=atexit_sleep_ms=0")
	p := materialize.New(o)
	t.Cleanup(p.Close)
	return p
}

func commit(message string) materialize.Commit {
	actor := make([]byte, 16)
	rand.Read(actor)
	return materialize.Commit{Actor: actor, Time: time.Unix(1_700_000_000, 0), Message: message}
}

// create makes a document of JSON and returns its log.
func create(t testing.TB, p *materialize.Pool, content string) []byte {
	t.Helper()
	chunk, err := p.Create(context.Background(), "doc", json.RawMessage(content), commit("created"))
	if err != nil {
		t.Fatal(err)
	}
	return chunk
}

// wantJSON wants the content of a log to be this, to the byte.
func wantJSON(t testing.TB, p *materialize.Pool, log []byte, want string) {
	t.Helper()
	got, err := p.JSON(context.Background(), "doc", log)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("content is %s, want %s", got, want)
	}
}

func TestCreate(t *testing.T) {
	p := newPool(t, "works", materialize.Options{})
	content := `{"a":[1,-2.5,"x😀é",true,false,null,{"":0}],"big":9007199254740991,"huge":9223372036854775808,"more":1e+21}`
	if _, err := p.Create(context.Background(), "doc", json.RawMessage(content), commit("")); err == nil {
		t.Error("an empty key is accepted")
	}
	content = `{"a":[1,-2.5,"x😀e\u0301\u0000\"\\/",true,false,null,{}],"big":9007199254740991,"huge":9223372036854775808,"int":1e2,"more":1e21,"z":{"nested":[[],""]}}`
	log := create(t, p, content)
	wantJSON(t, p, log, `{"a":[1,-2.5,"x😀e`+"\u0301"+`\u0000\"\\/",true,false,null,{}],"big":9007199254740991,"huge":9223372036854775808,"int":100,"more":1e+21,"z":{"nested":[[],""]}}`)
	wantJSON(t, p, create(t, p, `{}`), `{}`)
	wantJSON(t, p, nil, `{}`)
}

func TestPatch(t *testing.T) {
	p := newPool(t, "works", materialize.Options{})
	log := create(t, p, `{"title":"Hello","list":[1,2,3],"gone":1}`)
	patch := func(kind materialize.PatchKind, patch string) {
		t.Helper()
		chunk, err := p.Patch(context.Background(), "doc", log, kind, json.RawMessage(patch), commit("patched"))
		if err != nil {
			t.Fatal(err)
		}
		log = append(log, chunk...)
	}
	patch(materialize.MergePatch, `{"title":"Hello, world","gone":null}`)
	wantJSON(t, p, log, `{"list":[1,2,3],"title":"Hello, world"}`)
	patch(materialize.JSONPatch, `[{"op":"add","path":"/list/1","value":{"x":"y"}},{"op":"splice","path":"/title","index":5,"delete":7,"insert":"!"}]`)
	wantJSON(t, p, log, `{"list":[1,{"x":"y"},2,3],"title":"Hello!"}`)
	before := len(log)
	patch(materialize.MergePatch, `{"title":"Hello!"}`)
	if len(log) != before {
		t.Error("a patch that changes nothing makes a change")
	}
}

func TestSnapshot(t *testing.T) {
	p := newPool(t, "works", materialize.Options{})
	log := create(t, p, `{"title":"Hello"}`)
	made, err := change.Parse(log)
	if err != nil {
		t.Fatal(err)
	}
	doc, heads, err := p.Snapshot(context.Background(), "doc", log)
	if err != nil {
		t.Fatal(err)
	}
	if len(heads) != 1 || heads[0] != made.Hash {
		t.Errorf("heads are %v, want %v", heads, made.Hash)
	}
	wantJSON(t, p, doc, `{"title":"Hello"}`)
	chunks, err := p.Changes(context.Background(), "doc", doc)
	if err != nil {
		t.Fatal(err)
	}
	if len(chunks) != 1 || !bytes.Equal(chunks[0], log) {
		t.Errorf("changes are %x, want %x", chunks, log)
	}
}
