package mux_test

import (
	"encoding/hex"
	"reflect"
	"strings"
	"testing"

	"atrium/internal/mux"
)

type carrier struct {
	Value *mux.Value `json:"value,omitempty"`
}

func TestValues(t *testing.T) {
	tests := []struct{ cbor, json string }{ // of one value, in either
		{"f5", `true`},
		{"01", `1`},
		{"fbc004cccccccccccd", `-2.6`},
		{"fb41f0000000000000", `4294967296`},
		{"6161", `"a"`},
		{"80", `[]`},
		{"a2616101616282f660", `{"a":1,"b":[null,""]}`},
	}
	for _, test := range tests {
		raw, _ := hex.DecodeString("a16576616c7565" + test.cbor)
		text := []byte(`{"value":` + test.json + `}`)
		var fromCBOR, fromJSON carrier
		if err := mux.DecodeCBOR(raw, &fromCBOR); err != nil {
			t.Fatalf("%s: %v", test.cbor, err)
		}
		if err := mux.DecodeJSON(text, &fromJSON); err != nil {
			t.Fatalf("%s: %v", test.json, err)
		}
		for from, c := range map[string]carrier{"CBOR": fromCBOR, "JSON": fromJSON} {
			if got := mux.EncodeCBOR(&c); !reflect.DeepEqual(got, raw) {
				t.Errorf("%s from %s: in CBOR %x, want %x", test.json, from, got, raw)
			}
			if got := mux.EncodeJSON(&c); !reflect.DeepEqual(got, text) {
				t.Errorf("%s from %s: in JSON %s", test.json, from, got)
			}
		}
	}
	for _, bad := range []string{"f97e00", "f97c00", "c11a00000000", "a10102", "c24101", "e5", "81f97e00", "a16161f97e00"} {
		raw, _ := hex.DecodeString("a16576616c7565" + bad)
		if err := mux.DecodeCBOR(raw, new(carrier)); err == nil {
			t.Errorf("%s was taken", bad)
		}
	}
	for _, deep := range []string{strings.Repeat("[", 14) + strings.Repeat("]", 14), strings.Repeat(`{"":`, 800) + "1" + strings.Repeat("}", 800)} {
		if err := mux.DecodeJSON([]byte(`{"value":`+deep+`}`), new(carrier)); err == nil {
			t.Errorf("%.20s… was taken", deep)
		}
	}
	for _, none := range []string{"a16576616c7565f6", "a16576616c7565f7", "a0"} {
		raw, _ := hex.DecodeString(none)
		var c carrier
		if err := mux.DecodeCBOR(raw, &c); err != nil || c.Value != nil {
			t.Errorf("%s: got %v, %v, want no value", none, c.Value, err)
		}
	}
	var c carrier
	raw := []byte("\xa1\x65value\x42ab") // a byte string is base64 in JSON
	if err := mux.DecodeCBOR(raw, &c); err != nil || string(mux.EncodeJSON(&c)) != `{"value":"YWI="}` {
		t.Errorf("bytes: got %s, %v", mux.EncodeJSON(&c), err)
	}
}
