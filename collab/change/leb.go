package change

import "errors"

// Errors of the LEB128 parsers.
var (
	errShort    = errors.New("number is cut off")
	errTooLarge = errors.New("number is too large")
	errOverlong = errors.New("number has a longer encoding than it needs")
)

// AppendUleb appends x as unsigned LEB128.
func AppendUleb(dst []byte, x uint64) []byte {
	for x >= 0x80 {
		dst = append(dst, byte(x)|0x80)
		x >>= 7
	}
	return append(dst, byte(x))
}

// ParseUleb reads an unsigned LEB128 number from the front of src and returns
// what follows it. Like the reference (storage/parse/leb128.rs), it refuses
// encodings longer than necessary and numbers of more than 64 bits.
func ParseUleb(src []byte) (x uint64, rest []byte, err error) {
	if len(src) > 0 && src[0] < 0x80 {
		return uint64(src[0]), src[1:], nil
	}
	return parseUlebSlow(src)
}

func parseUlebSlow(src []byte) (x uint64, rest []byte, err error) {
	for i, b := range src {
		if i == 9 && b > 1 {
			return 0, nil, errTooLarge
		}
		x |= uint64(b&0x7f) << (7 * i)
		if b < 0x80 {
			if b == 0 && i > 0 {
				return 0, nil, errOverlong
			}
			return x, src[i+1:], nil
		}
	}
	return 0, nil, errShort
}

// AppendLeb appends x as signed LEB128.
func AppendLeb(dst []byte, x int64) []byte {
	for {
		b := byte(x & 0x7f)
		x >>= 7
		if x == 0 && b&0x40 == 0 || x == -1 && b&0x40 != 0 {
			return append(dst, b)
		}
		dst = append(dst, b|0x80)
	}
}

// ParseLeb reads a signed LEB128 number from the front of src and returns what
// follows it. It is as strict as [ParseUleb].
func ParseLeb(src []byte) (x int64, rest []byte, err error) {
	var prev byte
	for i, b := range src {
		if i == 9 && b != 0 && b != 0x7f {
			// Only the sign fits into the tenth byte.
			return 0, nil, errTooLarge
		}
		shift := 7 * i
		x |= int64(b&0x7f) << shift
		if b < 0x80 {
			if i > 0 && (b == 0 && prev&0x40 == 0 || b == 0x7f && prev&0x40 != 0) {
				return 0, nil, errOverlong
			}
			if shift < 57 && b&0x40 != 0 {
				x |= -1 << (shift + 7)
			}
			return x, src[i+1:], nil
		}
		prev = b
	}
	return 0, nil, errShort
}
