package change_test

import (
	"bytes"
	"compress/flate"
	"errors"
	"reflect"
	"strings"
	"testing"

	"atrium/collab/change"
	ct "atrium/collab/change/changetest"
)

func TestParse(t *testing.T) {
	good := ct.Change{Message: "hello", Deps: []change.Hash{{1}, {2}}, Extra: []byte{7}, Ops: []ct.Op{ct.Set(root, "a", 1)}}
	c, err := change.Parse(good.Encode())
	if err != nil {
		t.Fatal(err)
	}
	if c.Hash != good.Hash() || !bytes.Equal(c.Actor, ct.Actor(1)) || c.Seq != 1 || c.StartOp != 1 ||
		string(c.Message()) != "hello" || c.NumDeps() != 2 || c.Dep(1) != (change.Hash{2}) || !bytes.Equal(c.Extra(), []byte{7}) {
		t.Errorf("%+v", c)
	}
}

func TestParseRefuses(t *testing.T) {
	good := ct.Change{Ops: []ct.Op{ct.Set(root, "a", 1)}}
	chunk, body := good.Encode(), good.Body()
	damaged := func(at int) []byte {
		b := bytes.Clone(chunk)
		b[at] ^= 1
		return b
	}
	header := func(typ byte, rest ...byte) []byte { return append(append(bytes.Clone(chunk[:8]), typ), rest...) }
	tests := []struct {
		name  string
		chunk []byte
		want  string
	}{
		{"nothing", nil, "cut off"},
		{"a header's half", chunk[:8], "cut off"},
		{"no length", chunk[:9], "length: number is cut off"},
		{"a body's half", chunk[:len(chunk)-1], "cut off"},
		{"other magic", damaged(0), "not an automerge chunk"},
		{"damaged checksum", damaged(5), "checksum"},
		{"damaged body", damaged(20), "checksum"},
		{"trailing byte", append(bytes.Clone(chunk), 0), "after the end"},
		{"unknown type", header(4, 0), "unknown chunk type"},
		{"document", header(0, 0), change.ErrDocument.Error()},
		{"bundle", header(3, 0), change.ErrBundle.Error()},
		{"overlong length", header(1, 0x80, 0), "longer encoding"},
		{"huge length", header(1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1), "too long"},
		{"empty body", ct.Chunk(1, nil), "number is cut off"},
		{"many dependencies", ct.Chunk(1, change.AppendUleb(nil, 1<<63)), "cut off"},
		{"long actor", ct.Chunk(1, []byte{0, 100, 1}), "cut off"},
		{"no operation counter", ct.Change{Raw: true, Seq: 1}.Encode(), "counter 0"},
		{"many other actors", ct.Chunk(1, append([]byte{0, 1, 1, 1, 1, 0, 0}, 0xff, 0xff, 0xff, 0xff, 0x7f)), "number is cut off"},
		{"many columns", ct.Chunk(1, append([]byte{0, 1, 1, 1, 1, 0, 0, 0}, 0xff, 0xff, 0xff, 0xff, 0x7f)), "number is cut off"},
		{"huge column", ct.Chunk(1, append([]byte{0, 1, 1, 1, 1, 0, 0, 0, 1, 66}, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1)), "cut off"},
		{"body's half, checksum right", ct.Chunk(1, body[:len(body)-3]), "cut off"},
		{"not deflated", ct.Chunk(2, []byte("what is this")), "does not inflate"},
		{"bytes after the deflated", compress(chunk, body, 1), "after the end"},
		{"bomb", compress(chunk, make([]byte, change.MaxChunk+1), 0), "too long"},
		{"other body deflated", compress(chunk, append(bytes.Clone(body), 0), 0), "checksum"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := change.Parse(tt.chunk)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %q", err, tt.want)
			}
			if c.Chunk != nil || c.Hash != (change.Hash{}) {
				t.Errorf("returned %+v with an error", c)
			}
		})
	}
	if _, err := change.Parse(header(0, 0)); !errors.Is(err, change.ErrDocument) {
		t.Error(err)
	}
	if _, err := change.Parse(damaged(5)); !errors.Is(err, change.ErrChecksum) {
		t.Error(err)
	}
	if _, _, err := change.Next(compress(chunk, body, 0)); err == nil || !strings.Contains(err.Error(), "compressed") {
		t.Errorf("Next of a compressed chunk: %v", err)
	}
}

func TestNextHashed(t *testing.T) {
	a, b := ct.Change{Message: "a"}, ct.Change{Message: "b"}
	run := append(a.Encode(), b.Encode()...)
	want, _, err := change.Next(run)
	if err != nil {
		t.Fatal(err)
	}
	c, rest, err := change.NextHashed(run, a.Hash())
	if err != nil || !reflect.DeepEqual(c, want) || !bytes.Equal(rest, b.Encode()) {
		t.Errorf("%+v, %v; want %+v", c, err, want)
	}
	if c, _, err := change.NextHashed(run, b.Hash()); !errors.Is(err, change.ErrChecksum) || c.Chunk != nil {
		t.Errorf("with another hash: %v", err)
	}
	if _, _, err := change.NextHashed(compress(a.Encode(), a.Body(), 0), a.Hash()); err == nil || !strings.Contains(err.Error(), "compressed") {
		t.Errorf("of a compressed chunk: %v", err)
	}
}

// compress makes a type 2 chunk of a body, with bytes after the stream.
func compress(chunk, body []byte, trailing int) []byte {
	var b bytes.Buffer
	w, _ := flate.NewWriter(&b, flate.BestSpeed)
	w.Write(body)
	w.Close()
	b.Write(make([]byte, trailing))
	out := append(bytes.Clone(chunk[:8]), 2)
	return append(change.AppendUleb(out, uint64(b.Len())), b.Bytes()...)
}

func TestHash(t *testing.T) {
	h := ct.Change{}.Hash()
	if got, err := change.ParseHash(h.String()); err != nil || got != h {
		t.Errorf("%v, %v", got, err)
	}
	for _, s := range []string{"", "ab", h.String()[1:], h.String() + "0", "z" + h.String()[1:]} {
		if got, err := change.ParseHash(s); err == nil || got != (change.Hash{}) {
			t.Errorf("%q is accepted", s)
		}
	}
}
