package mux_test

import (
	"encoding/hex"
	"reflect"
	"testing"

	"atrium/internal/mux"
)

// scanned are messages, and whether they can be read without decoding them.
var scanned = []struct {
	name string
	hex  string
	ok   bool
}{
	{"type alone", "a1647479706561" + "78", true},
	{"bytes", "a264747970656178" + "6464617461" + "43010203", true},
	{"as stock clients write maps", "b90002647479706561786464617461" + "5903" + "e8" + hex.EncodeToString(make([]byte, 1000)), true},
	{"empty strings", "a2647479706560" + "6040", true},
	{"no type", "a1646461746140", false},
	{"type is bytes", "a164747970654178", false},
	{"type is a number", "a1647479706501", false},
	{"with an id", "a26474797065617862696401", false},
	{"with an Id", "a2647479706561786249646161", false},
	{"with a Type", "a2647479706561786454797065617a", false},
	{"a name twice", "a36474797065617861614061614178", false},
	{"an undefined", "a26474797065617861" + "61f7", false},
	{"not UTF-8", "a164747970656" + "1ff", false},
	{"a name that is not UTF-8", "a2647479706561786" + "1ff40", false},
	{"indefinite map", "bf647479706561" + "78ff", false},
	{"indefinite string", "a164747970657f6178ff", false},
	{"cut off", "a16474797065", false},
	{"more than one item", "a1647479706561" + "7800", false},
	{"a length past the end", "a264747970656178616" + "45bffffffffffffffff", false},
	{"a list", "8164747970656178", false},
	{"empty", "", false},
}

func TestScan(t *testing.T) {
	for _, test := range scanned {
		data, err := hex.DecodeString(test.hex)
		if err != nil {
			t.Fatalf("%s: %v", test.name, err)
		}
		checkScan(t, data)
		if fields, ok := mux.Scan(data); ok != test.ok {
			t.Errorf("%s: got %v, %v", test.name, fields, ok)
		}
	}
	nine := map[string]any{"type": "x"}
	for i := range 8 {
		nine[string(rune('a'+i))] = "y"
	}
	if _, ok := mux.Scan(mux.EncodeCBOR(nine)); ok {
		t.Error("nine fields were taken")
	}
}

func FuzzScan(f *testing.F) {
	for _, test := range scanned {
		data, _ := hex.DecodeString(test.hex)
		f.Add(data)
	}
	f.Fuzz(checkScan)
}

// checkScan compares what is found in a message with what decoding it finds.
func checkScan(t *testing.T, data []byte) {
	fields, ok := mux.Scan(data)
	if !ok {
		return
	}
	var decoded map[string]any
	if err := mux.DecodeCBOR(data, &decoded); err != nil || !reflect.DeepEqual(fields, decoded) {
		t.Errorf("%x: found %v, decoding finds %v, %v", data, fields, decoded, err)
	}
	var envelope struct {
		Type string `json:"type"`
		ID   mux.ID `json:"id"`
	}
	if err := mux.DecodeCBOR(data, &envelope); err != nil || envelope.Type != fields["type"] || !envelope.ID.IsZero() {
		t.Errorf("%x: found %v, decoding finds %v, %v", data, fields, envelope, err)
	}
}
