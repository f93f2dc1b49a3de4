package mux_test

import (
	"bytes"
	"encoding/hex"
	"io"
	"math"
	"net"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"unicode/utf8"

	"github.com/gorilla/websocket"

	"atrium/internal/mux"
)

func TestNumberEncodings(t *testing.T) {
	tests := []struct {
		n    mux.Number
		cbor string
		json string
	}{
		{0, "00", "0"},
		{1, "01", "1"},
		{-1, "20", "-1"},
		{1.5, "fb3ff8000000000000", "1.5"},
		{math.MaxUint32, "1affffffff", "4294967295"},
		{math.MaxUint32 + 1, "fb41f0000000000000", "4294967296"},
		{-math.MaxUint32, "3afffffffe", "-4294967295"},
		{-math.MaxUint32 - 1, "fbc1f0000000000000", "-4294967296"},
		{1 << 53, "fb4340000000000000", "9007199254740992"},
		{mux.Number(math.Copysign(0, -1)), "00", "-0"},
	}
	for _, test := range tests {
		if got := hex.EncodeToString(mux.EncodeCBOR(test.n)); got != test.cbor {
			t.Errorf("%v in CBOR: got %s, want %s", float64(test.n), got, test.cbor)
		}
		if got := string(mux.EncodeJSON(test.n)); got != test.json {
			t.Errorf("%v in JSON: got %s, want %s", float64(test.n), got, test.json)
		}
		var back mux.Number
		if err := mux.DecodeCBOR(mux.EncodeCBOR(test.n), &back); err != nil || back != test.n {
			t.Errorf("%v: read back from CBOR as %v, %v", float64(test.n), float64(back), err)
		}
	}
	// JavaScript's other way of writing them.
	var n mux.Number
	if err := mux.DecodeCBOR([]byte("\x1b\x00\x00\x01\x00\x00\x00\x00\x00"), &n); err != nil || n != 1<<40 {
		t.Errorf("a 64-bit integer: got %v, %v", n, err)
	}
}

func TestIDs(t *testing.T) {
	type request struct {
		ID mux.ID `json:"id,omitzero"`
	}
	hexed := func(s string) []byte { b, _ := hex.DecodeString(s); return b }
	long := strings.Repeat("é", 128)
	tests := []struct {
		name       string
		cbor, json []byte
		wantCBOR   string // empty: refused; -: no id
		wantJSON   string
	}{
		{"absent", hexed("a0"), []byte(`{}`), "a0", `{}`},
		{"null", hexed("a1626964f6"), []byte(`{"id":null}`), "a0", `{}`},
		{"undefined", hexed("a1626964f7"), nil, "a0", ""},
		{"text", hexed("a16269646161"), []byte(`{"id":"a"}`), "a16269646161", `{"id":"a"}`},
		{"empty text", hexed("a162696460"), []byte(`{"id":""}`), "a162696460", `{"id":""}`},
		{"the longest text", append(hexed("a1626964790100"), long...), []byte(`{"id":"` + long + `"}`), "a1626964790100" + hex.EncodeToString([]byte(long)), `{"id":"` + long + `"}`},
		{"the longest text, escaped", nil, []byte(`{"id":"` + strings.Repeat(`\u0041`, 256) + `"}`), "", `{"id":"` + strings.Repeat("A", 256) + `"}`},
		{"zero", hexed("a162696400"), []byte(`{"id":0}`), "a162696400", `{"id":0}`},
		{"negative", hexed("a162696420"), []byte(`{"id":-1}`), "a162696420", `{"id":-1}`},
		{"float", hexed("a1626964fb4059000000000000"), []byte(`{"id":1e2}`), "a16269641864", `{"id":100}`},
		{"half float", hexed("a1626964f95640"), nil, "a16269641864", ""},
		{"64 bits", hexed("a16269641b0000010000000000"), []byte(`{"id":1099511627776}`), "a1626964fb4270000000000000", `{"id":1099511627776}`},
		{"the largest", hexed("a16269641b001fffffffffffff"), []byte(`{"id":9007199254740991}`), "a1626964fb433fffffffffffff", `{"id":9007199254740991}`},
		{"too large", hexed("a16269641b0020000000000000"), []byte(`{"id":9007199254740992}`), "", ""},
		{"too large, and rounded", hexed("a16269641b0020000000000001"), []byte(`{"id":9007199254740993}`), "", ""},
		{"fraction", hexed("a1626964fb3ff8000000000000"), []byte(`{"id":1.5}`), "", ""},
		{"NaN", hexed("a1626964f97e00"), nil, "", ""},
		{"infinite", hexed("a1626964f97c00"), []byte(`{"id":1e400}`), "", ""},
		{"too long", append(hexed("a1626964790101"), long+"x"...), []byte(`{"id":"` + long + `x"}`), "", ""},
		{"bytes", hexed("a16269644161"), nil, "", ""},
		{"true", hexed("a1626964f5"), []byte(`{"id":true}`), "", ""},
		{"list", hexed("a162696480"), []byte(`{"id":[]}`), "", ""},
		{"map", hexed("a1626964a0"), []byte(`{"id":{}}`), "", ""},
		{"bignum", hexed("a1626964c249010000000000000000"), nil, "", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var r request
			if test.cbor != nil {
				err := mux.DecodeCBOR(test.cbor, &r)
				if (err == nil) != (test.wantCBOR != "") {
					t.Fatalf("CBOR: %v", err)
				}
				if got := hex.EncodeToString(mux.EncodeCBOR(&r)); err == nil && got != test.wantCBOR {
					t.Errorf("CBOR: got %s, want %s", got, test.wantCBOR)
				}
			}
			r = request{}
			if test.json != nil {
				err := mux.DecodeJSON(test.json, &r)
				if (err == nil) != (test.wantJSON != "") {
					t.Fatalf("JSON: %v", err)
				}
				if got := string(mux.EncodeJSON(&r)); err == nil && got != test.wantJSON {
					t.Errorf("JSON: got %s, want %s", got, test.wantJSON)
				}
			}
		})
	}
}

// TestNo64BitIntegers looks at the bytes of mux's own messages with the largest
// numbers that they can hold.
func TestNo64BitIntegers(t *testing.T) {
	type everything struct {
		ID    mux.ID     `json:"id"`
		Count mux.Number `json:"count"`
	}
	var m everything
	if err := mux.DecodeJSON([]byte(`{"id":9007199254740991,"count":-9007199254740991}`), &m); err != nil {
		t.Fatal(err)
	}
	data := mux.EncodeCBOR(&m)
	if bytes.Contains(data, []byte("id\x1b")) || bytes.Contains(data, []byte("count\x3b")) {
		t.Errorf("a 64-bit integer in %x", data)
	}
	var back everything
	if err := mux.DecodeCBOR(data, &back); err != nil || !reflect.DeepEqual(m, back) {
		t.Errorf("read back as %v, %v", back, err)
	}
}

func TestRoundTrip(t *testing.T) {
	type message struct {
		Type  string     `json:"type"`
		Bytes []byte     `json:"bytes"`
		List  []string   `json:"list"`
		N     mux.Number `json:"n"`
		None  string     `json:"none,omitempty"`
	}
	want := message{Type: "x", Bytes: []byte{0, 0xff, 1}, List: []string{"a", "é<"}, N: 1e12}
	var c, j message
	if err := mux.DecodeCBOR(mux.EncodeCBOR(&want), &c); err != nil || !reflect.DeepEqual(c, want) {
		t.Errorf("CBOR: %v, %v", c, err)
	}
	if err := mux.DecodeJSON(mux.EncodeJSON(&want), &j); err != nil || !reflect.DeepEqual(j, want) {
		t.Errorf("JSON: %v, %v", j, err)
	}
	// Unknown fields are ignored; absent and null ones change nothing.
	if err := mux.DecodeJSON([]byte(`{"more":{"x":[1]},"list":null}`), &j); err != nil || j.Type != "x" {
		t.Errorf("JSON: %v, %v", j, err)
	}
	if err := mux.DecodeCBOR([]byte("\xa2\x64more\xa1\x61x\x81\x01\x64type\xf7"), &c); err != nil || c.Type != "x" {
		t.Errorf("CBOR: %v, %v", c, err)
	}
}

// counting counts how often it is encoded.
type counting struct{ cbor, json atomic.Int32 }

func (c *counting) MarshalCBOR() ([]byte, error) {
	c.cbor.Add(1)
	return []byte("\xa1\x64type\x61c"), nil
}

func (c *counting) MarshalJSON() ([]byte, error) {
	c.json.Add(1)
	return []byte(`{"type":"c"}`), nil
}

func TestEncodeOnce(t *testing.T) {
	t.Parallel()
	s := start(t, mux.Options{})
	var clients []*client
	for i := range 20 {
		c := dial(s, "user"+string(rune('a'+i)), in([]string{"cbor", "json"}[i%2]))
		s.Subscribe(c.session, "topic")
		clients = append(clients, c)
	}
	m := new(counting)
	s.Publish("topic", m, nil)
	for _, c := range clients {
		if got := c.next(); got["type"] != "c" {
			t.Errorf("got %v", got)
		}
	}
	if m.cbor.Load() != 1 || m.json.Load() != 1 {
		t.Errorf("encoded %d and %d times, want once each", m.cbor.Load(), m.json.Load())
	}
}

// unspeakable cannot be encoded.
type unspeakable struct {
	Type string   `json:"type"`
	F    chan int `json:"f"`
}

func TestUnencodable(t *testing.T) {
	t.Parallel()
	s := start(t, mux.Options{})
	for _, codec := range []string{"cbor", "json"} {
		c := dial(s, codec, in(codec))
		c.session.Send(mux.NewFrame(&unspeakable{Type: "x"}))
		c.expectError(mux.Internal, nil)
		c.ping()
	}
}

func TestCloseReasons(t *testing.T) {
	for _, reason := range []string{"", "short", strings.Repeat("x", 200), strings.Repeat("é", 100), strings.Repeat("€", 50), "\xff" + strings.Repeat("😀", 40)} {
		f := mux.CloseFrame(4403, reason)
		said := string(f[4:])
		if len(f) > 127 || int(f[1]) != len(f)-2 || !utf8.ValidString(said) || len(reason) > 130 && len(said) < 120 {
			t.Errorf("%.10q…: %d bytes, %q", reason, len(f), said)
		}
	}
}

// FuzzHeader reads our frames with gorilla.
func FuzzHeader(f *testing.F) {
	for _, n := range []int{0, 1, 125, 126, 127, 0xFFFF, 0x10000, 0x10001} {
		f.Add([]byte{byte(n)}, n)
	}
	f.Fuzz(func(t *testing.T, seed []byte, n int) {
		if n < 0 || n > 1<<18 || len(seed) == 0 {
			return
		}
		payload := bytes.Repeat(seed, n/len(seed)+1)[:n]
		for _, kind := range []byte{websocket.TextMessage, websocket.BinaryMessage} {
			ours, theirs := net.Pipe()
			go func() {
				io.Copy(io.Discard, ours)
			}()
			go func() {
				ours.Write(mux.WithHeader(payload, kind))
				ours.Close()
			}()
			got, data, err := clientOn(t, theirs).ReadMessage()
			theirs.Close()
			if err != nil || got != int(kind) || !bytes.Equal(data, payload) {
				t.Fatalf("%d bytes: kind %d, %d bytes, %v", n, got, len(data), err)
			}
		}
	})
}

// TestBatch: messages of a batch come as frames of their own, to sessions in both
// codecs, and count as many.
func TestBatch(t *testing.T) {
	t.Parallel()
	s := start(t, mux.Options{})
	var list []mux.Delivery
	var clients []*client
	var messages []any
	for n := range 3 {
		messages = append(messages, &text{Type: "news", N: n, Text: strings.Repeat("x", n*200)})
	}
	both, one := mux.NewBatch(messages), mux.NewBatch(messages[:1])
	for _, codec := range []string{"cbor", "json"} {
		c := dial(s, codec, in(codec))
		clients = append(clients, c)
		list = append(list, mux.Delivery{Session: c.session, Frame: both})
	}
	before := s.Mux.Stats().MessagesOut(mux.Queued)
	mux.SendAll(list)
	for i := range list {
		list[i].Frame = one
	}
	mux.SendAll(list)
	if n := s.Mux.Stats().MessagesOut(mux.Queued) - before; n != 8 {
		t.Errorf("%d messages are counted, want 8", n)
	}
	for _, c := range clients {
		for _, n := range []float64{0, 1, 2, 0} {
			if got := c.next(); got["type"] != "news" || got["n"] != n || len(got["text"].(string)) != int(n)*200 {
				t.Errorf("got %.50v, want %v", got, n)
			}
		}
	}
}
