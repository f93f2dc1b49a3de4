package main

import (
	"errors"
	"fmt"
	"time"

	"atrium/internal/auth"
)

type tokenCommand struct {
	keySettings
	Sub     string            `help:"User id." required:""`
	Name    string            `help:"The user's name; default: the id."`
	Picture string            `help:"Address of the user's picture."`
	Doc     map[string]string `help:"Grant on documents: id or prefix* = none, read or write." placeholder:"PATTERN=LEVEL" mapsep:"none"`
	Room    map[string]string `help:"Grant on chat rooms." placeholder:"PATTERN=LEVEL" mapsep:"none"`
	Metric  map[string]string `help:"Grant on metrics." placeholder:"PATTERN=LEVEL" mapsep:"none"`
	Admin   bool              `help:"May use the HTTP API, edit others' messages, see the operator's page."`
	TTL     time.Duration     `name:"ttl" help:"How long the token is good." default:"1h"`
}

// Run prints a token.
func (c *tokenCommand) Run() error {
	secret, err := c.secret()
	if err != nil {
		return err
	}
	if secret == nil {
		return errors.New("no secret to sign with: set ATRIUM_JWT_SECRET, or use --dev for the one in the data directory")
	}
	now := time.Now()
	token, err := auth.Mint(secret, auth.Claims{
		UserID: c.Sub, Name: c.Name, Avatar: c.Picture,
		Issuer: c.JWTIssuer, Audience: c.JWTAudience,
		IssuedAt: now, Expires: now.Add(c.TTL),
		Admin: c.Admin, Docs: c.Doc, Rooms: c.Room, Metrics: c.Metric,
	})
	if err != nil {
		return err
	}
	fmt.Println(token)
	return nil
}
