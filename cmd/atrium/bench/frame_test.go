package bench

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/gorilla/websocket"
)

func payloadOf(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i * 7)
	}
	return b
}

// lengths are around those at which a frame's header changes, and the reader's
// buffer.
var lengths = []int{0, 1, 125, 126, 127, readBuffer - 4, readBuffer, readBuffer + 1, 65535, 65536, 200_000, 3}

// serveWebSocket serves one connection after the other and returns its address.
func serveWebSocket(t *testing.T, serve func(*websocket.Conn)) string {
	t.Helper()
	upgrader := websocket.Upgrader{WriteBufferSize: 1000}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ws, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		defer ws.Close()
		ws.SetReadDeadline(time.Now().Add(10 * time.Second))
		serve(ws)
	}))
	t.Cleanup(s.Close)
	return "ws" + strings.TrimPrefix(s.URL, "http")
}

func dialTest(t *testing.T, url string) *session {
	t.Helper()
	s, err := dial(t.Context(), url, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	s.conn.SetDeadline(time.Now().Add(10 * time.Second))
	return s
}

// TestReadsGorilla reads frames as another implementation writes them: of all
// lengths, whole and in fragments with a ping between them.
func TestReadsGorilla(t *testing.T) {
	t.Parallel()
	pongs := make(chan string, 100)
	url := serveWebSocket(t, func(ws *websocket.Conn) {
		ws.SetPongHandler(func(text string) error { pongs <- text; return nil })
		for _, n := range lengths {
			ws.WriteMessage(websocket.BinaryMessage, payloadOf(n)) // whole: a server's buffer is no limit
			w, err := ws.NextWriter(websocket.BinaryMessage)
			if err != nil {
				t.Error(err)
				return
			}
			half := payloadOf(n)[:n/2]
			w.Write(half)
			ws.WriteControl(websocket.PingMessage, fmt.Append(nil, n), time.Now().Add(time.Second))
			w.Write(payloadOf(n)[n/2:])
			w.Close()
		}
		ws.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(4503, "going away"))
		ws.ReadMessage()
	})
	s := dialTest(t, url)
	for _, n := range lengths {
		for _, how := range []string{"whole", "in fragments"} {
			got, err := s.next()
			if err != nil {
				t.Fatalf("%d bytes %s: %v", n, how, err)
			}
			if !bytes.Equal(got, payloadOf(n)) {
				t.Fatalf("%d bytes %s: got %d others", n, how, len(got))
			}
		}
	}
	if _, err := s.next(); err == nil || !strings.Contains(err.Error(), "4503 going away") {
		t.Errorf("got %v, want how the server closed", err)
	}
	s.Close() // its reader has seen all pongs when it sees that
	for _, n := range lengths {
		select {
		case got := <-pongs:
			if got != fmt.Sprint(n) {
				t.Errorf("got pong %q, want %d", got, n)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("no pong for %d", n)
		}
	}
}

// TestGorillaReads lets another implementation read what the bench writes.
func TestGorillaReads(t *testing.T) {
	t.Parallel()
	url := serveWebSocket(t, func(ws *websocket.Conn) {
		for {
			kind, msg, err := ws.ReadMessage()
			if err != nil {
				return
			}
			ws.WriteMessage(kind, msg)
		}
	})
	s := dialTest(t, url)
	for _, n := range lengths {
		if err := s.send(payloadOf(n)); err != nil {
			t.Fatal(err)
		}
		if got, err := s.next(); err != nil || !bytes.Equal(got, payloadOf(n)) {
			t.Fatalf("%d bytes came back as %d: %v", n, len(got), err)
		}
	}
}

// TestReadsMasked reads clients' frames, as the relay does, byte by byte.
func TestReadsMasked(t *testing.T) {
	t.Parallel()
	var wire []byte
	for i, n := range lengths {
		wire = appendHead(wire, opBinary, n, true)
		key := [4]byte{byte(i), 2, 3, 4}
		copy(wire[len(wire)-4:], key[:])
		masked := payloadOf(n)
		for i := range masked {
			masked[i] ^= key[i%4]
		}
		wire = append(wire, masked...)
	}
	in := newFrameReader(iotest.OneByteReader(bytes.NewReader(wire)), 16)
	for _, n := range lengths {
		op, got, err := in.next()
		if err != nil || op != opBinary || !bytes.Equal(got, payloadOf(n)) {
			t.Fatalf("%d bytes came as %d, opcode %d: %v", n, len(got), op, err)
		}
	}
	if _, _, err := in.next(); err != io.EOF {
		t.Errorf("got %v at the end", err)
	}
}

func TestRefusesBadFrames(t *testing.T) {
	t.Parallel()
	for name, wire := range map[string][]byte{
		"continuation of nothing": {0x80, 0},
		"message in a message":    {0x02, 0, 0x02, 0},
		"enormous":                {0x82, 127, 0x7f, 0, 0, 0, 0, 0, 0, 0},
		"cut off":                 {0x82, 5, 1},
	} {
		if _, _, err := newFrameReader(bytes.NewReader(wire), 64).next(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestSteadyStateAllocatesNothing: the generator shares its cores with the server.
func TestSteadyStateAllocatesNothing(t *testing.T) {
	wire := bytes.Repeat(append(appendHead(nil, opBinary, 300, false), payloadOf(300)...), 1000)
	in := newFrameReader(bytes.NewReader(wire), readBuffer)
	if n := testing.AllocsPerRun(900, func() {
		if _, _, err := in.next(); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("a frame costs %g allocations", n)
	}
}

// TestShrinkKeepsWhatIsThere gives a buffer back in the middle of a frame.
func TestShrinkKeepsWhatIsThere(t *testing.T) {
	t.Parallel()
	var wire []byte
	for _, n := range []int{100_000, 10, 20, 30} {
		wire = append(appendHead(wire, opBinary, n, false), payloadOf(n)...)
	}
	in := newFrameReader(bytes.NewReader(wire), 64)
	for i, n := range []int{100_000, 10, 20, 30} {
		if _, got, err := in.next(); err != nil || !bytes.Equal(got, payloadOf(n)) {
			t.Fatalf("frame %d came as %d bytes: %v", i, len(got), err)
		}
		in.shrink(64)
		if i == 1 && len(in.buf) != 64 {
			t.Errorf("the buffer still has %d bytes", len(in.buf))
		}
	}
}
