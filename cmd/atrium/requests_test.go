package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"
)

func TestIDIsEchoed(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	ids := []any{"a", "", "ünï ☃", strings.Repeat("x", 256), 0, 7, -1, -40_000, 1 << 31, 1<<32 - 1, 1 << 40, -(1 << 40), 1<<53 - 1}
	for _, inCodec := range []option{inJSON, func(*dialing) {}} {
		c := dial(t, s, "alice", inCodec)
		for _, id := range ids {
			t.Run(fmt.Sprintf("json=%v/%.10v", c.json, id), func(t *testing.T) {
				c.send(msg{"type": "ping", "id": id})
				f := c.expect("ack")
				want := id
				if n, ok := id.(int); ok {
					want = float64(n)
				}
				if f.msg["id"] != want || len(f.msg) != 2 {
					t.Fatalf("got %v, want an ack with id %v alone", f.msg, id)
				}
				if exact, _ := json.Marshal(id); c.json && !bytes.Contains(f.raw, append([]byte(`"id":`), exact...)) {
					t.Errorf("got %s, want the id as it was: %s", f.raw, exact)
				}
			})
		}
	}
}

var _ = cbor.Marshal
