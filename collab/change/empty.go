package change

import (
	"crypto/sha256"
)

// AppendEmpty appends a first change of an actor that depends on nothing and does
// nothing: a document that is empty, and there. at is in seconds since 1970.
func AppendEmpty(dst, actor []byte, at int64) []byte {
	body := []byte{0} // dependencies
	body = AppendUleb(body, uint64(len(actor)))
	body = append(body, actor...)
	body = append(body, 1, 1) // seq, first operation
	body = AppendLeb(body, at)
	body = append(body, 0, 0, 0) // message, other actors, columns
	hashed := append([]byte{typeChange}, AppendUleb(nil, uint64(len(body)))...)
	hashed = append(hashed, body...)
	sum := sha256.Sum256(hashed)
	dst = append(dst, magic...)
	dst = append(dst, sum[:4]...)
	return append(dst, hashed...)
}
