package mux

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// maxName is the length of a name in bytes.
const maxName = 256

// ValidName reports whether s can be what users, rooms, metrics and events are
// called: 1 to 256 bytes of UTF-8, without control characters.
func ValidName(s string) bool {
	return s != "" && len(s) <= maxName && utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

// ValidText reports whether s is text that every database takes, of at most max
// bytes.
func ValidText(s string, max int) bool {
	return len(s) <= max && utf8.ValidString(s) && !strings.ContainsRune(s, 0)
}

// Timestamp is a time as messages and answers spell it: RFC 3339 in UTC, in
// microseconds, as the database keeps them.
func Timestamp(t time.Time) string {
	return t.UTC().Truncate(time.Microsecond).Format(time.RFC3339Nano)
}
