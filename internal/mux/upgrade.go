package mux

import (
	"bufio"
	"encoding/binary"
	"net"
	"net/http"
	"time"

	"github.com/gorilla/websocket"
)

// upgrade makes the request a WebSocket, or answers it with an error.
func (m *Mux) upgrade(w http.ResponseWriter, r *http.Request) (*websocket.Conn, *readSide, error) {
	h := &hijacker{ResponseWriter: w}
	ws, err := m.upgrader.Upgrade(h, r, nil)
	if err != nil {
		return nil, nil, err
	}
	h.in.upgraded = true
	return ws, h.in, nil
}

// hijacker hands gorilla a readSide in place of the connection.
type hijacker struct {
	http.ResponseWriter
	in *readSide
}

func (h *hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buf, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	h.in = &readSide{Conn: conn}
	return h.in, buf, nil
}

// readSide is the connection as gorilla has it: after the upgrade, one that
// only reads. For gorilla answers violations of the protocol on the spot. It
// would write past the outbox, in the middle of whatever frame is on its way,
// wait for a peer that does not read, and leave its write deadline behind. What
// it writes is a close frame, so that frame is kept, and the session closes
// with it. Owned by the goroutine that reads.
type readSide struct {
	net.Conn
	upgraded  bool
	violation CloseCode // 0: none
	reason    string
}

// Write keeps the code of a close frame, once upgraded.
func (c *readSide) Write(p []byte) (int, error) {
	if !c.upgraded {
		return c.Conn.Write(p)
	}
	if len(p) >= 4 && p[0] == 0x80|opClose && c.violation == 0 {
		c.violation, c.reason = CloseCode(binary.BigEndian.Uint16(p[2:])), string(p[4:])
	}
	return len(p), nil
}

// SetWriteDeadline leaves the deadline to the outbox, once upgraded.
func (c *readSide) SetWriteDeadline(t time.Time) error {
	if !c.upgraded {
		return c.Conn.SetWriteDeadline(t)
	}
	return nil
}
