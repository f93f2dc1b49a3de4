package collab

import (
	"bytes"
	"crypto/sha256"
	"math/big"
	"slices"
	"strings"
)

// maxDocumentID bounds an id's length; 16 random bytes make about 27.
const maxDocumentID = 64

const base58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"

// validDocumentID reports whether id is bs58check.
func validDocumentID(id string) bool {
	_, ok := parseBase58Check(id)
	return ok
}

// documentIDOf makes an id of 16 random bytes, which it alters:
// automerge-repo 2.0 takes only those that are UUIDs, as its own are.
func documentIDOf(random []byte) string {
	random[6] = random[6]&0x0f | 0x40 // version 4
	random[8] = random[8]&0x3f | 0x80 // of RFC 9562
	return formatBase58Check(random)
}

// parseBase58Check reads bs58check: base58 of some bytes and the first four
// bytes of their double SHA-256, without a version byte.
func parseBase58Check(text string) (payload []byte, ok bool) {
	if len(text) == 0 || len(text) > maxDocumentID {
		return nil, false
	}
	value, radix := new(big.Int), big.NewInt(int64(len(base58)))
	for i := range len(text) {
		digit := strings.IndexByte(base58, text[i])
		if digit < 0 {
			return nil, false
		}
		value.Add(value.Mul(value, radix), big.NewInt(int64(digit)))
	}
	zeros := len(text) - len(strings.TrimLeft(text, base58[:1]))
	data := append(make([]byte, zeros), value.Bytes()...)
	if len(data) <= 4 {
		return nil, false
	}
	payload, check := data[:len(data)-4], data[len(data)-4:]
	sum := sha256.Sum256(payload)
	sum = sha256.Sum256(sum[:])
	return payload, bytes.Equal(sum[:4], check)
}

// formatBase58Check is what parseBase58Check reads.
func formatBase58Check(payload []byte) string {
	sum := sha256.Sum256(payload)
	sum = sha256.Sum256(sum[:])
	data := append(bytes.Clone(payload), sum[:4]...)
	var text []byte
	radix, digit := big.NewInt(int64(len(base58))), new(big.Int)
	for value := new(big.Int).SetBytes(data); value.Sign() > 0; {
		value.DivMod(value, radix, digit)
		text = append(text, base58[digit.Int64()])
	}
	for _, b := range data {
		if b != 0 {
			break
		}
		text = append(text, base58[0])
	}
	slices.Reverse(text)
	return string(text)
}
