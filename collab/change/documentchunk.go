package change

import (
	"crypto/sha256"
	"errors"
)

var errNotDocument = errors.New("chunk is not a document")

// CheckDocument reports whether chunk is one whole document chunk whose checksum
// matches. It does not look into it.
func CheckDocument(chunk []byte) error {
	if _, err := parseHeader(chunk); !errors.Is(err, ErrDocument) {
		if err == nil {
			err = errNotDocument
		}
		return err
	}
	n, rest, err := ParseUleb(chunk[typeOffset+1:])
	switch {
	case err != nil:
		return err
	case n != uint64(len(rest)):
		return errCutOff
	}
	if sum := sha256.Sum256(chunk[typeOffset:]); string(sum[:4]) != string(chunk[len(magic):typeOffset]) {
		return ErrChecksum
	}
	return nil
}
