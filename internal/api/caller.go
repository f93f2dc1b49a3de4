package api

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"atrium/internal/auth"
)

// Access says who may make a call; param returns the parameters of its path. It
// is asked before the body is read.
type Access func(c *Caller, param func(name string) string) bool

// Backend lets those call who have an API key, or a token with admin.
func Backend(c *Caller, _ func(string) string) bool { return c.Backend() }

// OwnUser lets the user call, besides, whom the path names as {userId}.
func OwnUser(c *Caller, param func(string) string) bool {
	return c.Backend() || param("userId") == c.Identity.UserID
}

// Caller is who makes a call.
type Caller struct {
	// Name tells callers apart: a user's id, or something made from an API key,
	// which is no user's id.
	Name     string
	Identity *auth.Identity // of the token; nil: it was an API key
}

// UserID is whom what the caller does is attributed to.
func (c *Caller) UserID() string {
	if c.Identity == nil {
		return "api"
	}
	return c.Identity.UserID
}

// Backend reports whether the caller may do everything.
func (c *Caller) Backend() bool { return c.Identity == nil || c.Identity.Admin }

type callerKey struct{}

// CallerOf returns who makes the call that ctx belongs to.
func CallerOf(ctx context.Context) *Caller { return ctx.Value(callerKey{}).(*Caller) }

// hashedKey is what keys are compared by: in constant time, whatever their length.
type hashedKey [sha256.Size]byte

func hashKey(key string) hashedKey { return sha256.Sum256([]byte(key)) }

// authorise lets only those call who may. It comes before the body is read.
func (a *API) authorise(access Access) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		scheme, credential, _ := strings.Cut(ctx.Header("Authorization"), " ")
		credential = strings.TrimSpace(credential)
		if !strings.EqualFold(scheme, "Bearer") || credential == "" {
			a.unauthenticated(ctx, "an API key or a token is needed: Authorization: Bearer …")
			return
		}
		caller, err := a.caller(credential)
		switch {
		case errors.Is(err, auth.ErrUnavailable):
			huma.WriteErr(a.root, ctx, http.StatusServiceUnavailable, "tokens cannot be checked at the moment")
			return
		case err != nil:
			a.unauthenticated(ctx, "neither an API key nor a valid token")
			return
		}
		if !access(caller, ctx.Param) {
			huma.WriteErr(a.root, ctx, http.StatusForbidden, "not granted")
			return
		}
		ctx = huma.WithValue(ctx, callerKey{}, caller)
		next(huma.WithValue(ctx, claimKey{}, ctx.Header(idempotencyKey)))
	}
}

func (a *API) unauthenticated(ctx huma.Context, detail string) {
	ctx.SetHeader("WWW-Authenticate", "Bearer")
	huma.WriteErr(a.root, ctx, http.StatusUnauthorized, detail)
}

// caller returns whose credential it is.
func (a *API) caller(credential string) (*Caller, error) {
	if a.IsKey(credential) {
		hash := hashKey(credential)
		return &Caller{Name: "\x01key " + hex.EncodeToString(hash[:8])}, nil
	}
	identity, err := a.opts.Verify(credential)
	if err != nil {
		return nil, err
	}
	return &Caller{Name: identity.UserID, Identity: identity}, nil
}

// IsKey reports whether a credential is an API key.
func (a *API) IsKey(credential string) bool {
	hash, found := hashKey(credential), 0
	for i := range a.keys {
		found |= subtle.ConstantTimeCompare(hash[:], a.keys[i][:])
	}
	return found == 1
}
