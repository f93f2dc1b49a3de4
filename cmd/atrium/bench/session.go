package bench

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/fxamacker/cbor/v2"
)

// session is one WebSocket connection. Reading is one goroutine's; writing is
// anybody's: a frame is one Write, and those do not mix.
type session struct {
	conn   net.Conn
	in     *frameReader
	id     string // senderId; set before it is used
	server string // the server's, from its answer to the join
}

// readBuffer holds several frames of the steady state.
const readBuffer = 2 << 10

// dial connects to ws://host:port/path. A source address is for many sessions
// on one machine; nil leaves it to the kernel.
func dial(ctx context.Context, rawURL string, source net.Addr) (*session, error) {
	u, err := url.Parse(rawURL)
	if err != nil || u.Scheme != "ws" || u.Host == "" {
		return nil, fmt.Errorf("%q is not ws://host:port/path", rawURL)
	}
	ctx, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	host := u.Host
	if u.Port() == "" {
		host = net.JoinHostPort(u.Hostname(), "80")
	}
	conn, err := (&net.Dialer{LocalAddr: source}).DialContext(ctx, "tcp", host)
	if err != nil {
		return nil, err
	}
	s := &session{conn: conn}
	deadline, _ := ctx.Deadline()
	conn.SetDeadline(deadline)
	if err := s.upgrade(u); err != nil {
		conn.Close()
		return nil, fmt.Errorf("open a WebSocket: %w", err)
	}
	conn.SetDeadline(time.Time{})
	return s, nil
}

// upgrade does the handshake of RFC 6455.
func (s *session) upgrade(u *url.URL) error {
	nonce := make([]byte, 16)
	rand.Read(nonce)
	key := base64.StdEncoding.EncodeToString(nonce)
	_, err := fmt.Fprintf(s.conn, "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n\r\n", u.RequestURI(), u.Host, key)
	if err != nil {
		return err
	}
	r := bufio.NewReaderSize(s.conn, 1<<10)
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		return err
	}
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	if resp.StatusCode != http.StatusSwitchingProtocols ||
		resp.Header.Get("Sec-Websocket-Accept") != base64.StdEncoding.EncodeToString(sum[:]) {
		return fmt.Errorf("the server answers %s", resp.Status)
	}
	early, err := r.Peek(r.Buffered())
	if err != nil {
		return err
	}
	s.in = newFrameReader(s.conn, readBuffer)
	s.in.w = copy(s.in.buf, early) // shorter, as r's buffer is
	return nil
}

// peerAnswer is what the bench wants to know of a join's answer.
type peerAnswer struct {
	Type      string `json:"type"`
	SenderID  string `json:"senderId"`
	SessionID string `json:"sessionId"`
	Message   string `json:"message"` // of an error
}

// join says who this is, and waits for the server's answer.
func (s *session) join(id, token string) (peerAnswer, error) {
	s.id = id
	join := map[string]any{
		"type": "join", "senderId": id, "supportedProtocolVersions": []string{"1"},
		"peerMetadata": map[string]any{"isEphemeral": true},
	}
	if token != "" {
		join["token"] = token
	}
	s.conn.SetDeadline(time.Now().Add(joinTimeout))
	defer s.conn.SetDeadline(time.Time{})
	var peer peerAnswer
	if err := s.send(mustCBOR(join)); err != nil {
		return peer, err
	}
	msg, err := s.next()
	if err != nil {
		return peer, fmt.Errorf("join: %w", err)
	}
	if err := cbor.Unmarshal(msg, &peer); err != nil {
		return peer, fmt.Errorf("join: %w", err)
	}
	if peer.Type != "peer" {
		return peer, fmt.Errorf("join: the server answers %s %s", peer.Type, peer.Message)
	}
	s.server = peer.SenderID
	return peer, nil
}

// send sends one message in a binary frame.
func (s *session) send(msg []byte) error {
	_, err := s.conn.Write(append(appendHead(make([]byte, 0, len(msg)+14), opBinary, len(msg), true), msg...))
	return err
}

// next returns the next message, good until the following call. It answers
// pings on the way. Its error says how the server closed, if it did.
func (s *session) next() ([]byte, error) {
	for {
		op, payload, err := s.in.next()
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = errors.New("the server hung up")
			}
			return nil, err
		}
		switch op {
		case opText, opBinary:
			return payload, nil
		case opPing:
			pong := append(appendHead(nil, opPong, len(payload), true), payload...)
			if _, err := s.conn.Write(pong); err != nil {
				return nil, err
			}
		case opClose:
			if len(payload) < 2 {
				return nil, errors.New("the server closed")
			}
			return nil, fmt.Errorf("the server closed: %d %s", binary.BigEndian.Uint16(payload), payload[2:])
		}
	}
}

// nextOf returns the next message of a type, and takes an error for one.
func (s *session) nextOf(typ string) ([]byte, error) {
	for {
		msg, err := s.next()
		if err != nil {
			return nil, err
		}
		f, err := scan(msg)
		if err != nil {
			return nil, err
		}
		if string(f.typ) == typ {
			return msg, nil
		}
		if err := refusal(f, msg); err != nil {
			return nil, err
		}
	}
}

// refusal returns what the server refuses by a message, if it does.
func refusal(f fields, msg []byte) error {
	switch string(f.typ) {
	case "error":
		var e struct{ Code, Message string }
		if err := cbor.Unmarshal(msg, &e); err != nil {
			return err
		}
		return fmt.Errorf("the server refuses: %s %s", e.Code, e.Message)
	case "doc-unavailable":
		return errors.New("the server says that the document is unavailable")
	}
	return nil
}

// Close hangs up.
func (s *session) Close() error { return s.conn.Close() }
