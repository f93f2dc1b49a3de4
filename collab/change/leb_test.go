package change

import (
	"bytes"
	"errors"
	"math"
	"testing"
)

func TestUleb(t *testing.T) {
	tests := []struct {
		src  []byte
		x    uint64
		rest int
		err  error
	}{
		{[]byte{0}, 0, 0, nil},
		{[]byte{0x7f, 9}, 127, 1, nil},
		{[]byte{0x80, 1}, 128, 0, nil},
		{[]byte{0xff, 0x7f, 1, 2}, 16383, 2, nil},
		{[]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}, math.MaxUint64, 0, nil},
		{nil, 0, 0, errShort},
		{[]byte{0x80}, 0, 0, errShort},
		{bytes.Repeat([]byte{0xff}, 9), 0, 0, errShort},
		{[]byte{0x81, 0}, 0, 0, errOverlong},
		{[]byte{0x80, 0x80, 0}, 0, 0, errOverlong},
		{[]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0}, 0, 0, errOverlong},
		{[]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2}, 0, 0, errTooLarge},
		{bytes.Repeat([]byte{0x81}, 12), 0, 0, errTooLarge},
	}
	for _, tt := range tests {
		x, rest, err := ParseUleb(tt.src)
		if x != tt.x || len(rest) != tt.rest || !errors.Is(err, tt.err) {
			t.Errorf("%x: %d, %x, %v, want %d, %d bytes, %v", tt.src, x, rest, err, tt.x, tt.rest, tt.err)
		}
		if err == nil && !bytes.Equal(AppendUleb(nil, x), tt.src[:len(tt.src)-tt.rest]) {
			t.Errorf("%d: appended as %x", x, AppendUleb(nil, x))
		}
	}
}

func TestLeb(t *testing.T) {
	tests := []struct {
		src  []byte
		x    int64
		rest int
		err  error
	}{
		{[]byte{0}, 0, 0, nil},
		{[]byte{0x7f, 9}, -1, 1, nil},
		{[]byte{0x3f}, 63, 0, nil},
		{[]byte{0x40}, -64, 0, nil},
		{[]byte{0x80, 1}, 128, 0, nil},
		{[]byte{0xc0, 0}, 64, 0, nil},
		{[]byte{0xbf, 0x7f}, -65, 0, nil},
		{[]byte{0x80, 0x40}, -8192, 0, nil},
		{[]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0}, math.MaxInt64, 0, nil},
		{[]byte{0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x7f}, math.MinInt64, 0, nil},
		{nil, 0, 0, errShort},
		{[]byte{0x90}, 0, 0, errShort},
		{[]byte{0xbf, 0}, 0, 0, errOverlong},
		{[]byte{0x81, 0xff, 0x7f}, 0, 0, errOverlong},
		{[]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}, 0, 0, errTooLarge},
		{[]byte{0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x7e}, 0, 0, errTooLarge},
		{bytes.Repeat([]byte{0x81}, 12), 0, 0, errTooLarge},
	}
	for _, tt := range tests {
		x, rest, err := ParseLeb(tt.src)
		if x != tt.x || len(rest) != tt.rest || !errors.Is(err, tt.err) {
			t.Errorf("%x: %d, %x, %v, want %d, %d bytes, %v", tt.src, x, rest, err, tt.x, tt.rest, tt.err)
		}
		if err == nil && !bytes.Equal(AppendLeb(nil, x), tt.src[:len(tt.src)-tt.rest]) {
			t.Errorf("%d: appended as %x", x, AppendLeb(nil, x))
		}
	}
}
