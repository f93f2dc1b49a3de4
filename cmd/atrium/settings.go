package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"atrium/internal/auth"
	"atrium/internal/bus"
	"atrium/internal/db"
)

// dataSettings say where everything is kept.
type dataSettings struct {
	DataDir     string `help:"SQLite file and other local state." env:"ATRIUM_DATA_DIR" default:"./atrium-data" type:"path"`
	DatabaseURL string `name:"database-url" help:"postgres://…: Postgres instead of SQLite." env:"ATRIUM_DATABASE_URL"`
}

// open opens the store, which is made if need be.
func (s *dataSettings) open(ctx context.Context, log *slog.Logger) (*db.DB, error) {
	return db.Open(ctx, db.Options{Dir: s.DataDir, URL: s.DatabaseURL, Logger: log})
}

// keySettings say how tokens are signed; serve and token share them.
type keySettings struct {
	dataSettings
	JWTSecret   string `name:"jwt-secret" help:"HS256 key, 32 bytes at least." env:"ATRIUM_JWT_SECRET"`
	JWTIssuer   string `name:"jwt-issuer" help:"What the claim iss must be." env:"ATRIUM_JWT_ISSUER"`
	JWTAudience string `name:"jwt-audience" help:"What the claim aud must name." env:"ATRIUM_JWT_AUDIENCE"`
	Dev         bool   `help:"Development: a secret of its own, a sign-in page, loopback only." env:"ATRIUM_DEV"`
}

// secret returns the configured secret, or in development the data directory's own.
func (k *keySettings) secret() ([]byte, error) {
	switch {
	case k.JWTSecret != "":
		if len(k.JWTSecret) < minSecret {
			return nil, fmt.Errorf("ATRIUM_JWT_SECRET has %d bytes: it must have %d at least", len(k.JWTSecret), minSecret)
		}
		return []byte(k.JWTSecret), nil
	case k.Dev:
		return devSecret(k.DataDir)
	}
	return nil, nil
}

const (
	minSecret        = 32
	minAPIKey        = 16
	minWebhookSecret = 16
)

// devSecret reads the development secret, made on first use.
func devSecret(dir string) ([]byte, error) { return madeOnce(dir, "dev-secret") }

// devAPIKey reads the development API key, made on first use.
func devAPIKey(dir string) (string, error) {
	key, err := madeOnce(dir, "dev-api-key")
	return string(key), err
}

// madeOnce reads a random text that is kept in the data directory.
func madeOnce(dir, name string) ([]byte, error) {
	path := filepath.Join(dir, name)
	text, err := os.ReadFile(path)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return text, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("create data directory: %w", err)
	}
	random := make([]byte, minSecret)
	rand.Read(random)
	text = []byte(hex.EncodeToString(random))
	if err := os.WriteFile(path, text, 0o600); err != nil {
		return nil, fmt.Errorf("keep %s: %w", name, err)
	}
	return text, nil
}

// apiKeys are those of backends, in development one of its own besides.
func (c *serveCommand) apiKeys() ([]string, error) {
	if !c.Dev {
		return c.APIKeys, nil
	}
	own, err := devAPIKey(c.DataDir)
	return append(slices.Clone(c.APIKeys), own), err
}

// authOptions say what tokens serve accepts.
func (c *serveCommand) authOptions() (auth.Options, error) {
	o := auth.Options{JWKSURL: c.JWKSURL, Issuer: c.JWTIssuer, Audience: c.JWTAudience}
	if c.JWKSURL != "" {
		return o, nil // HS256 tokens are refused then, even with a secret at hand
	}
	secret, err := c.secret()
	if err != nil {
		return o, err
	}
	if secret == nil {
		return o, errors.New("no key to check tokens with: set ATRIUM_JWT_SECRET (32 bytes at least) or ATRIUM_JWKS_URL, or start with --dev")
	}
	o.Secret = secret
	return o, nil
}

// check finds mistakes that can be named before anything is opened.
func (c *serveCommand) check() error {
	if c.RedisURL != "" && c.DatabaseURL == "" {
		return errors.New("ATRIUM_REDIS_URL is set without ATRIUM_DATABASE_URL: the nodes of a cluster share a Postgres database, too")
	}
	if c.RedisURL != "" {
		if err := bus.CheckURL(c.RedisURL); err != nil {
			return err
		}
	}
	host, _, err := net.SplitHostPort(c.Addr)
	if err != nil {
		return fmt.Errorf("ATRIUM_ADDR %q is not host:port", c.Addr)
	}
	if c.Dev && !loopbackHost(host) {
		return fmt.Errorf("--dev hands out tokens to anybody and serves loopback only: use an address such as 127.0.0.1:8080, not %q", c.Addr)
	}
	if c.Dev && c.JWKSURL != "" {
		return errors.New("--dev signs its own tokens: unset ATRIUM_JWKS_URL")
	}
	if c.PprofAddr != "" {
		if host, _, err := net.SplitHostPort(c.PprofAddr); err != nil || !loopbackHost(host) {
			return fmt.Errorf("profiles show what is in memory and are served on loopback only: ATRIUM_PPROF_ADDR must be such as 127.0.0.1:6060, not %q", c.PprofAddr)
		}
	}
	for _, key := range c.APIKeys {
		if len(key) < minAPIKey {
			return fmt.Errorf("ATRIUM_API_KEYS has a key of %d bytes: each must have %d at least", len(key), minAPIKey)
		}
	}
	if c.WebhookURL != "" { // not repeated: it may hold a password
		if u, err := url.Parse(c.WebhookURL); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
			return errors.New("ATRIUM_WEBHOOK_URL is not an http or https URL such as https://app.example.com/webhooks")
		}
		if n := len(c.WebhookSecret); n < minWebhookSecret {
			return fmt.Errorf("ATRIUM_WEBHOOK_URL needs ATRIUM_WEBHOOK_SECRET, which has %d bytes: it must have %d at least", n, minWebhookSecret)
		}
	}
	for _, origin := range c.AllowedOrigins {
		if scheme, host, ok := strings.Cut(origin, "://"); !ok || scheme == "" || host == "" || strings.ContainsAny(host, "/*") {
			return fmt.Errorf("ATRIUM_ALLOWED_ORIGINS: %q is not an origin such as https://app.example.com", origin)
		}
	}
	return nil
}

func loopbackHost(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
