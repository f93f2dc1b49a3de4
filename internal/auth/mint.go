package auth

import (
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Claims is what a token to be made shall say. What is empty is left out.
type Claims struct {
	UserID   string // sub, required
	Name     string // name
	Avatar   string // picture
	Issuer   string // iss
	Audience string // aud

	IssuedAt time.Time // iat, required; whole seconds are kept
	Expires  time.Time // exp, required, after IssuedAt; rounded up to whole seconds

	Admin                bool
	Docs, Rooms, Metrics map[string]string // pattern → none, read or write
}

// Mint returns an HS256 token for c. It makes none that Verify would refuse for
// its content.
func Mint(secret []byte, c Claims) (string, error) {
	if err := checkSecret(secret); err != nil {
		return "", err
	}
	if c.IssuedAt.IsZero() || !c.Expires.After(c.IssuedAt) {
		return "", errors.New("make a token: it has to be issued at some time, and to expire after it")
	}
	if c.IssuedAt.Unix() < 0 || c.Expires.Unix() >= maxTime {
		return "", errors.New("make a token: its times are out of range")
	}
	check := claims{
		sub: c.UserID, name: c.Name, picture: c.Avatar,
		exp:  jwt.NewNumericDate(c.Expires),
		docs: c.Docs, rooms: c.Rooms, metrics: c.Metrics,
	}
	if _, err := check.identity(); err != nil {
		return "", fmt.Errorf("make a token: %w", err)
	}

	private := map[string]any{}
	if c.Admin {
		private["admin"] = true
	}
	for name, patterns := range map[string]map[string]string{"docs": c.Docs, "rooms": c.Rooms, "metrics": c.Metrics} {
		if len(patterns) > 0 {
			private[name] = patterns
		}
	}
	payload := jwt.MapClaims{
		"sub":    c.UserID,
		"iat":    c.IssuedAt.Unix(),
		"exp":    c.Expires.Add(time.Second - 1).Unix(),
		"atrium": private,
	}
	for name, value := range map[string]string{"name": c.Name, "picture": c.Avatar, "iss": c.Issuer, "aud": c.Audience} {
		if value != "" {
			payload[name] = value
		}
	}
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, payload).SignedString(secret)
	if err != nil {
		return "", fmt.Errorf("sign a token: %w", err)
	}
	if len(token) > maxToken {
		return "", errors.New("make a token: it would be longer than 16 KiB")
	}
	return token, nil
}
