package main

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/gorilla/websocket"
)

// msg is a message's fields. Received ones have all numbers as float64.
type msg map[string]any

// client is one connection, and what came over it.
type client struct {
	t        *testing.T
	user     string
	senderID string
	json     bool
	ws       *websocket.Conn
	asked    int // messages with an id

	mu      sync.Mutex
	pauseAt string        // id of the answer after which to read nothing until resumed; guarded by mu
	resumed chan struct{} // closed by resume; nil: not paused; guarded by mu
	inbox   []frame       // guarded by mu
	err     error         // why reading ended; guarded by mu
	grown   chan struct{} // closed when inbox or err changes; guarded by mu
}

// frame is a received message.
type frame struct {
	msg
	raw []byte
}

func (c *client) read() {
	for {
		kind, raw, err := c.ws.ReadMessage()
		f := frame{raw: raw}
		if err == nil {
			if c.json != (kind == websocket.TextMessage) {
				err = fmt.Errorf("a frame in the other codec: %.100q", raw)
			} else if f.msg, err = decode(raw, c.json); err != nil {
				err = fmt.Errorf("%w in %.100x", err, raw)
			}
		}
		var paused chan struct{}
		c.mu.Lock()
		if err == nil {
			c.inbox = append(c.inbox, f)
			if id, ok := f.msg["id"].(string); ok && id == c.pauseAt {
				paused = c.resumed
			}
		} else {
			c.err = err
		}
		close(c.grown)
		c.grown = make(chan struct{})
		c.mu.Unlock()
		if paused != nil {
			<-paused
		}
		if err != nil {
			c.ws.Close() // as clients do
			return
		}
	}
}

// decode reads a frame. Numbers become float64, as JavaScript has them.
func decode(raw []byte, isJSON bool) (m msg, err error) {
	if isJSON {
		if err = json.Unmarshal(raw, &m); err != nil {
			return nil, err
		}
		if data, ok := m["data"].(string); ok {
			m["data"], err = base64.StdEncoding.DecodeString(data)
		}
		return m, err
	}
	var v any
	if err = cborDecoding.Unmarshal(raw, &v); err != nil {
		return nil, err
	}
	fields, err := floats(v)
	if err != nil {
		return nil, err
	}
	m, ok := fields.(map[string]any)
	if !ok {
		return nil, errors.New("not a map")
	}
	return m, nil
}

var cborDecoding, _ = cbor.DecOptions{DefaultMapType: reflect.TypeFor[map[string]any]()}.DecMode()

// floats turns all integers into float64. One of 64 bits is an error: it would
// be a BigInt in JavaScript.
func floats(v any) (any, error) {
	var err error
	switch v := v.(type) {
	case uint64:
		if v > math.MaxUint32 {
			err = fmt.Errorf("a 64-bit integer: %d", v)
		}
		return float64(v), err
	case int64:
		if v < -math.MaxUint32-1 {
			err = fmt.Errorf("a 64-bit integer: %d", v)
		}
		return float64(v), err
	case []any:
		for i := range v {
			if v[i], err = floats(v[i]); err != nil {
				return nil, err
			}
		}
	case map[string]any:
		for k := range v {
			if v[k], err = floats(v[k]); err != nil {
				return nil, err
			}
		}
	}
	return v, nil
}

func (c *client) send(m msg) {
	c.t.Helper()
	var raw []byte
	var err error
	if c.json {
		raw, err = json.Marshal(m)
	} else {
		raw, err = cbor.Marshal(m)
	}
	if err != nil {
		c.t.Fatal(err)
	}
	c.sendRaw(raw)
}

// sendRaw sends a frame as it is. That the connection has gone is no failure:
// the test sees it by what does not come.
func (c *client) sendRaw(raw []byte) {
	kind := websocket.BinaryMessage
	if c.json {
		kind = websocket.TextMessage
	}
	c.ws.SetWriteDeadline(time.Now().Add(patience))
	c.ws.WriteMessage(kind, raw)
}

// next returns the oldest message that has not been looked at.
func (c *client) next() frame {
	c.t.Helper()
	f, err := c.tryNext()
	if err != nil {
		c.t.Fatalf("%s: a message was to come: %v", c.user, err)
	}
	return f
}

var errNothing = errors.New("nothing came in time")

func (c *client) tryNext() (frame, error) {
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for {
		c.mu.Lock()
		if len(c.inbox) > 0 {
			f := c.inbox[0]
			c.inbox = c.inbox[1:]
			c.mu.Unlock()
			return f, nil
		}
		err, grown := c.err, c.grown
		c.mu.Unlock()
		if err != nil {
			return frame{}, err
		}
		select {
		case <-grown:
		case <-deadline.C:
			return frame{}, errNothing
		}
	}
}

// expect returns the next message, which must be of this type.
func (c *client) expect(typ string) frame {
	c.t.Helper()
	f := c.next()
	if f.msg["type"] != typ {
		c.t.Fatalf("%s: got %.500v, want %s", c.user, f.msg, typ)
	}
	return f
}

// await returns the next message for which ok holds, and skips others.
func (c *client) await(what string, ok func(msg) bool) frame {
	c.t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		f, err := c.tryNext()
		if err != nil {
			c.t.Fatalf("%s: waiting for %s: %v", c.user, what, err)
		}
		if ok(f.msg) {
			return f
		}
	}
	c.t.Fatalf("%s: waiting for %s: other messages all the time", c.user, what)
	panic("unreachable")
}

// expectError returns the next message, an error of this code to the message
// with this id; nil stands for an error that answers none.
func (c *client) expectError(code string, id any) frame {
	c.t.Helper()
	f := c.expect("error")
	if f.msg["code"] != code || f.msg["id"] != id {
		c.t.Fatalf("%s: got %v, want error %s with id %v", c.user, f.msg, code, id)
	}
	return f
}

// ask sends a message with an id, and returns the answer to it.
func (c *client) ask(m msg) msg {
	c.t.Helper()
	id := c.id()
	m["id"] = id
	c.send(m)
	return c.await("an answer to "+id, func(m msg) bool { return m["id"] == id }).msg
}

func (c *client) id() string {
	c.asked++
	return fmt.Sprintf("%s-%d", c.user, c.asked)
}

// outcome is what an answer comes to: ack, or the error's code.
func outcome(answer msg) string {
	if answer["type"] == "error" {
		return answer["code"].(string)
	}
	return answer["type"].(string)
}

// ping returns what came before the answer to a ping: all that was on its way.
func (c *client) ping() (before []frame) {
	c.t.Helper()
	id := c.id()
	c.send(msg{"type": "ping", "id": id})
	for {
		f := c.next()
		if f.msg["id"] == id {
			return before
		}
		before = append(before, f)
	}
}

// expectNothing fails if anything came before the answer to a ping.
func (c *client) expectNothing() {
	c.t.Helper()
	if before := c.ping(); len(before) > 0 {
		c.t.Fatalf("%s: got %v, want nothing", c.user, before[0].msg)
	}
}

// expectClose skips what comes until the connection is closed, with this code.
func (c *client) expectClose(code int) {
	c.t.Helper()
	for {
		_, err := c.tryNext()
		if err == nil {
			continue
		}
		if !websocket.IsCloseError(err, code) {
			c.t.Fatalf("%s: got %v, want close code %d", c.user, err, code)
		}
		return
	}
}

// pause makes the client read nothing more until resume.
func (c *client) pause() {
	c.t.Helper()
	id := c.id()
	c.mu.Lock()
	c.pauseAt, c.resumed = id, make(chan struct{})
	c.mu.Unlock()
	c.send(msg{"type": "ping", "id": id})
	c.await("the last before a pause", func(m msg) bool { return m["id"] == id })
}

func (c *client) resume() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.resumed != nil {
		close(c.resumed)
		c.resumed = nil
	}
}

// ended is why the connection has ended, nil while it has not.
func (c *client) ended() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}
