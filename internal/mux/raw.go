package mux

import (
	"bytes"
	"encoding/json"
)

// Raw is a message as another node has encoded it, in CBOR.
type Raw []byte

// EncodeRaw encodes a message for another node.
func EncodeRaw(message any) Raw {
	var buf bytes.Buffer
	if err := cborCodec.encode(&buf, message); err != nil {
		return nil // see encodeFrame
	}
	return buf.Bytes()
}

// MarshalCBOR and MarshalJSON are the codecs' hooks.
func (r Raw) MarshalCBOR() ([]byte, error) { return r, nil }

func (r Raw) MarshalJSON() ([]byte, error) {
	var x any
	if err := valueDec.Unmarshal(r, &x); err != nil {
		return nil, err
	}
	return json.Marshal(x)
}
