package auth

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/golang-jwt/jwt/v5"
)

// Bounds of what a token may carry. What is longer is refused, not cut: a name
// that is cut is somebody else's.
const (
	maxToken    = 16 << 10 // bytes, encoded
	maxUserID   = 256      // bytes
	maxName     = 256      // bytes
	maxAvatar   = 2 << 10  // bytes
	maxPatterns = 1000     // of all three kinds together
)

// maxTime is the last second of the year 9999, the last that RFC 3339 can tell.
// A time past it is usually one in milliseconds.
const maxTime = 253402300799

// clockSkew is how far the clock of who signs may be ahead of ours, for nbf.
// exp has no such tolerance: a session ends at its second.
const clockSkew = 10 * time.Second

// claims are a token's claims as they were sent (RFC 7519 section 4, and design
// section 8 for the private one). Decoding checks types alone; identity checks
// the rest, once the signature is known to be good.
type claims struct {
	sub, name, picture, iss string
	aud                     jwt.ClaimStrings
	exp, nbf, iat           *jwt.NumericDate
	admin                   bool
	docs, rooms, metrics    map[string]string
}

// UnmarshalJSON takes claims by their exact names. encoding/json would take
// "SUB" for "sub", and an identity provider that lets people choose names for
// claims of their own would let them choose who they are.
func (c *claims) UnmarshalJSON(data []byte) error {
	if !utf8.Valid(data) {
		return refuse("the claims are not valid UTF-8")
	}
	members, err := object(data, "the payload")
	if err != nil {
		return err
	}
	private, err := object(members["atrium"], "the claim atrium")
	if err != nil {
		return err
	}
	for _, m := range []struct {
		name string
		json json.RawMessage
		into any
	}{
		{"sub", members["sub"], &c.sub},
		{"name", members["name"], &c.name},
		{"picture", members["picture"], &c.picture},
		{"iss", members["iss"], &c.iss},
		{"aud", members["aud"], &c.aud},
		{"atrium.admin", private["admin"], &c.admin},
		{"atrium.docs", private["docs"], &c.docs},
		{"atrium.rooms", private["rooms"], &c.rooms},
		{"atrium.metrics", private["metrics"], &c.metrics},
	} {
		if m.json != nil && json.Unmarshal(m.json, m.into) != nil {
			return refuse("the claim " + m.name + " is of the wrong type")
		}
	}
	for _, m := range []struct {
		name string
		into **jwt.NumericDate
	}{{"exp", &c.exp}, {"nbf", &c.nbf}, {"iat", &c.iat}} {
		if *m.into, err = numericDate(members[m.name], m.name); err != nil {
			return err
		}
	}
	return nil
}

// identity checks what the library does not know about, and compiles it.
func (c *claims) identity() (*Identity, error) {
	id := &Identity{
		UserID:   c.sub,
		Name:     c.name,
		Avatar:   c.picture,
		IssuedAt: time.Unix(0, 0).UTC(),
		Expires:  c.exp.Time,
		Admin:    c.admin,
	}
	if c.iat != nil {
		id.IssuedAt = c.iat.Time
	}
	if id.Name == "" {
		id.Name = id.UserID
	}
	switch {
	case id.UserID == "":
		return nil, refuse("the claim sub is missing or empty")
	case len(id.UserID) > maxUserID:
		return nil, refuse("the claim sub is longer than 256 bytes")
	case !clean(id.UserID):
		return nil, refuse("the claim sub is not clean text")
	case len(id.Name) > maxName:
		return nil, refuse("the claim name is longer than 256 bytes")
	case !clean(id.Name):
		return nil, refuse("the claim name is not clean text")
	case len(id.Avatar) > maxAvatar:
		return nil, refuse("the claim picture is longer than 2 KiB")
	case !clean(id.Avatar):
		return nil, refuse("the claim picture is not clean text")
	case len(c.docs)+len(c.rooms)+len(c.metrics) > maxPatterns:
		return nil, refuse("the claim atrium has more than 1,000 patterns")
	}
	for _, kind := range []struct {
		name     string
		patterns map[string]string
		into     *Grants
	}{{"docs", c.docs, &id.Docs}, {"rooms", c.rooms, &id.Rooms}, {"metrics", c.metrics, &id.Metrics}} {
		var err error
		if *kind.into, err = ParseGrants(kind.patterns); err != nil {
			return nil, fmt.Errorf("the claim atrium.%s: %w", kind.name, err)
		}
	}
	return id, nil
}

// The methods of jwt.Claims, for what the library checks.

func (c *claims) GetExpirationTime() (*jwt.NumericDate, error) { return c.exp, nil }
func (c *claims) GetIssuedAt() (*jwt.NumericDate, error)       { return c.iat, nil }
func (c *claims) GetIssuer() (string, error)                   { return c.iss, nil }
func (c *claims) GetSubject() (string, error)                  { return c.sub, nil }
func (c *claims) GetAudience() (jwt.ClaimStrings, error)       { return c.aud, nil }

func (c *claims) GetNotBefore() (*jwt.NumericDate, error) {
	if c.nbf == nil {
		return nil, nil
	}
	return &jwt.NumericDate{Time: c.nbf.Add(-clockSkew)}, nil
}

// object decodes one JSON object; a missing one and null are an empty one.
func object(data json.RawMessage, what string) (map[string]json.RawMessage, error) {
	var members map[string]json.RawMessage
	if data != nil && json.Unmarshal(data, &members) != nil {
		return nil, refuse(what + " is not a JSON object")
	}
	return members, nil
}

// numericDate decodes seconds since 1970 (RFC 7519 section 2), fractions too,
// kept to the microsecond. It is not jwt.NumericDate's decoder, which takes
// strings and lets what is out of range wrap around.
func numericDate(data json.RawMessage, name string) (*jwt.NumericDate, error) {
	if data == nil || bytes.Equal(data, []byte("null")) {
		return nil, nil
	}
	var seconds float64
	if json.Unmarshal(data, &seconds) != nil {
		return nil, refuse("the claim " + name + " is not a number")
	}
	if seconds < 0 || seconds > maxTime {
		return nil, refuse("the claim " + name + " is out of range; it counts seconds since 1970")
	}
	whole, part := math.Modf(seconds)
	return &jwt.NumericDate{Time: time.Unix(int64(whole), int64(part*1e6)*1e3).UTC()}, nil
}

// clean reports whether s is text to be shown and compared: valid UTF-8,
// without control characters, and without U+FFFD, which is what broken text
// turns into on its way through JSON, so that two names become one.
func clean(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool {
		return unicode.IsControl(r) || r == utf8.RuneError
	})
}
