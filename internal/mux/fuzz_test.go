package mux_test

import (
	"bufio"
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"testing"
	"unicode/utf8"

	"github.com/gorilla/websocket"

	"atrium/internal/mux"
)

// FuzzDispatch sends arbitrary frames to a session. Whatever they are, nothing
// panics, a message with an id that can be read gets exactly one answer, with
// that id, and what is no message ends the session with 4400 or 1007.
func FuzzDispatch(f *testing.F) {
	for _, seed := range []string{
		`{"type":"ping","id":1}`, `{"type":"ping"}`, `{"type":"echo","id":"a","text":"b"}`, `{"type":"later","id":-1}`,
		`{"type":"fail","id":1e3}`, `{"type":"auth","id":2,"token":"fuzz"}`, `{"type":"join","id":3}`, `{"type":"?","id":"x"}`,
		`{"type":5,"id":1}`, `{"id":[]}`, `[]`, `null`, `{"type":"echo","text":5,"id":0}`, "\xff", `{"ID":1,"Id":"2","type":"ping"}`,
		`{"type":"ping","id":null}`, `{"type":"ping","id":{},"id":1}`,
	} {
		f.Add(true, []byte(seed))
		var m any
		if mux.DecodeJSON([]byte(seed), &m) == nil {
			f.Add(false, mux.EncodeCBOR(m))
		}
	}
	for _, seed := range []string{"\xf6", "\xa0", "\xbf\xff", "\xa1\x62id\x1b\xff\xff\xff\xff\xff\xff\xff\xff", "\xa1\x62id\xf9\x7e\x00", "\xa2\x62id\x01\x62id\x02", "\xd8\x40\xa1\x62id\x01"} {
		f.Add(false, []byte(seed))
	}
	s := start(f, mux.Options{}, func(s *server) {
		s.Handle("echo", mux.Route{Handle: func(m *mux.Message) (mux.Acknowledgement, error) {
			var body text
			if err := m.Decode(&body); err != nil {
				return nil, err
			}
			return nil, nil
		}})
		s.Handle("later", mux.Route{Handle: func(m *mux.Message) (mux.Acknowledgement, error) {
			reply := m.Reply()
			go reply.Ack(nil)
			reply.Fail(errors.New("one of the two is too late"))
			return mux.Later, nil
		}})
		s.Handle("fail", mux.Route{Handle: func(*mux.Message) (mux.Acknowledgement, error) {
			return nil, fmt.Errorf("wrapped: %w", mux.NewError(mux.Conflict, "x"))
		}})
	})
	s.keep = true
	peers := make(map[bool]*client)
	f.Fuzz(func(t *testing.T, inText bool, data []byte) {
		if len(data) > 1<<12 {
			return
		}
		defer func(outer testing.TB) { s.t = outer }(s.t)
		s.t = t
		c := peers[inText]
		if c == nil {
			c = dial(s, "fuzz", senderID(fmt.Sprint(inText)), in(map[bool]string{true: "json", false: "cbor"}[inText]))
		}
		peers[inText] = nil
		c.t = t
		id, understood := readable(inText, data)
		c.sendRaw(c.kind(), data)
		c.ws.WriteMessage(c.kind(), map[bool][]byte{
			true:  []byte(`{"type":"ping","id":"the ping"}`),
			false: []byte("\xa2\x64type\x64ping\x62id\x68the ping"),
		}[inText])
		var answers []msg
		for {
			m, err := c.tryNext()
			if err != nil {
				if understood || !websocket.IsCloseError(err, 4400, 1007) {
					t.Fatalf("%q: ended with %v after %v", data, err, answers)
				}
				return
			}
			if m["id"] == "the ping" {
				break
			}
			answers = append(answers, m)
		}
		if !understood && !slices.ContainsFunc(answers, func(m msg) bool { return m["code"] == "bad_request" && m["id"] == nil }) {
			t.Fatalf("%q: taken for a message; answers %v", data, answers)
		}
		if id != nil && (len(answers) != 1 || answers[0]["id"] != id) {
			t.Fatalf("%q: got %v, want one answer with id %v", data, answers, id)
		}
		if len(answers) > 1 {
			t.Fatalf("%q: got %v, want one answer at most", data, answers)
		}
		peers[inText] = c
	})
}

// readable returns the id of a message, nil without one, and whether the data
// are a message with a good id or none.
func readable(inText bool, data []byte) (id any, understood bool) {
	var m struct {
		Type string `json:"type"`
		ID   any    `json:"id"`
	}
	decode := mux.DecodeCBOR
	if inText {
		decode = mux.DecodeJSON
		if !utf8.Valid(data) {
			return nil, false
		}
	}
	var every struct { // of an id given twice, both have to be good
		ID mux.ID `json:"id"`
	}
	if decode(data, &m) != nil || decode(data, &every) != nil {
		return nil, false
	}
	switch v := m.ID.(type) {
	case nil:
		return nil, true
	case string:
		if len(v) > 256 || len(data) > 256 { // the escaped form has a bound too
			return nil, len(v) <= 256
		}
		return v, true
	case uint64:
		return float64(v), true
	case int64:
		return float64(v), true
	case float64:
		return v + 0, true
	}
	return nil, false
}

// clientOn returns gorilla's client side of a connection whose other end does
// not speak HTTP.
func clientOn(t testing.TB, conn net.Conn) *websocket.Conn {
	t.Helper()
	shaken := &handshaken{Conn: conn}
	ws, _, err := (&websocket.Dialer{NetDial: func(string, string) (net.Conn, error) { return shaken, nil }}).Dial("ws://x/", nil)
	if err != nil {
		t.Fatal(err)
	}
	return ws
}

// handshaken answers the request for the upgrade itself.
type handshaken struct {
	net.Conn
	answer bytes.Buffer
	shaken bool
}

func (h *handshaken) Write(p []byte) (int, error) {
	if h.shaken {
		return h.Conn.Write(p)
	}
	h.shaken = true
	r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(p)))
	if err != nil {
		return 0, err
	}
	sum := sha1.Sum([]byte(r.Header.Get("Sec-Websocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	fmt.Fprintf(&h.answer, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n", base64.StdEncoding.EncodeToString(sum[:]))
	return len(p), nil
}

func (h *handshaken) Read(p []byte) (int, error) {
	if h.answer.Len() > 0 {
		return h.answer.Read(p)
	}
	return h.Conn.Read(p)
}
