package bench

import (
	"crypto/rand"
	"crypto/sha256"
	"math/big"
	"slices"
)

// newDocumentID returns the id of a document that nobody knows yet: bs58check of
// 16 random bytes.
func newDocumentID() string {
	id := make([]byte, 16)
	rand.Read(id)
	id[0] |= 1 // no leading zero, which base58 writes apart
	sum := sha256.Sum256(id)
	sum = sha256.Sum256(sum[:])
	n := new(big.Int).SetBytes(append(id, sum[:4]...))
	const digits = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
	var text []byte
	for digit := new(big.Int); n.Sign() > 0; {
		n.DivMod(n, big.NewInt(58), digit)
		text = append(text, digits[digit.Int64()])
	}
	slices.Reverse(text)
	return string(text)
}
