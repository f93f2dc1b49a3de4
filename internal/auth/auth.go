// Package auth turns a JSON Web Token into an Identity: who somebody is, until
// when, and what they may read and write (design section 8).
//
// Keys come from one source: a shared secret (HS256) or the key set of an
// identity provider (RS256, ES256, EdDSA), and the source decides which
// algorithms are taken. The package fails closed: what it does not understand in
// a token is a reason to refuse the token. It holds no sessions, knows no
// revocations and no transport, and it never writes a token, or a part of one,
// into an error or a log.
package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// What Verify fails with; each error is exactly one of these, by errors.Is. The
// texts of all three are fit to be shown to the client.
var (
	// ErrInvalid: the token is bad, and will be however often it is sent.
	ErrInvalid = errors.New("token refused")
	// ErrExpired: the token was good. A fresh one is needed.
	ErrExpired = errors.New("token expired")
	// ErrUnavailable: the token cannot be judged now, since the key set could
	// not be fetched. Trying again later makes sense.
	ErrUnavailable = errors.New("signing keys are unavailable")
)

// minSecret is as many bytes as HS256 has in its hash (RFC 7518 section 3.2).
const minSecret = 32

// Identity is what a token says, checked. It is never changed once made.
type Identity struct {
	UserID   string    // sub: 1 to 256 bytes of clean text
	Name     string    // name; without one, the UserID
	Avatar   string    // picture, an address; empty without one
	IssuedAt time.Time // iat; without one, second 0 of 1970
	Expires  time.Time // exp
	Admin    bool

	Docs, Rooms, Metrics Grants
}

// Options are copied by New. Secret or JWKSURL must be set, not both.
type Options struct {
	Secret   []byte // key of HS256 tokens, 32 bytes at least
	JWKSURL  string // where the identity provider publishes its keys (RFC 7517)
	Issuer   string // if set, what iss has to be
	Audience string // if set, what has to be in aud

	Now        func() time.Time // default time.Now
	HTTPClient *http.Client     // fetches JWKSURL; default: one with proxies from the environment
	Logger     *slog.Logger     // default: nothing is logged

	fetchGap time.Duration // for tests; default minFetchGap
}

// Verifier checks tokens. It is safe for concurrent use.
type Verifier struct {
	parser  *jwt.Parser
	methods []string // accepted algorithms
	secret  []byte   // nil with a key set
	keys    *keySet  // nil with a secret
}

// New returns a Verifier, which must be closed. With a JWKSURL it waits a few
// seconds for the first keys, at most until ctx ends, but does not fail without
// them: they are fetched in the background, and until then Verify answers
// ErrUnavailable.
func New(ctx context.Context, o Options) (*Verifier, error) {
	v := &Verifier{secret: slices.Clone(o.Secret)}
	switch {
	case len(o.Secret) > 0 && o.JWKSURL != "":
		return nil, errors.New("both a JWT secret and a JWKS URL are set: set one of them, since with a key set tokens signed with a secret are refused")
	case o.JWKSURL != "":
		v.methods = []string{"RS256", "ES256", "EdDSA"}
	default:
		if err := checkSecret(o.Secret); err != nil {
			return nil, err
		}
		v.methods = []string{"HS256"}
	}

	options := []jwt.ParserOption{
		jwt.WithValidMethods(v.methods), jwt.WithExpirationRequired(), jwt.WithStrictDecoding(),
	}
	if o.Now != nil {
		options = append(options, jwt.WithTimeFunc(o.Now))
	}
	if o.Issuer != "" {
		options = append(options, jwt.WithIssuer(o.Issuer))
	}
	if o.Audience != "" {
		options = append(options, jwt.WithAudience(o.Audience))
	}
	v.parser = jwt.NewParser(options...)

	if o.JWKSURL != "" {
		keys, err := newKeySet(ctx, o)
		if err != nil {
			return nil, err
		}
		v.keys = keys
	}
	return v, nil
}

// Close stops fetching keys and waits until that has ended. Verify keeps
// working with the keys that are there.
func (v *Verifier) Close() {
	if v.keys != nil {
		v.keys.close()
	}
}

// Verify checks a token and returns what it says. A token signed with a key
// that is not known yet may wait some seconds for the key set to be fetched
// again; all else is answered at once.
func (v *Verifier) Verify(token string) (*Identity, error) {
	if token == "" {
		return nil, fmt.Errorf("%w: it is empty", ErrInvalid)
	}
	if len(token) > maxToken {
		return nil, fmt.Errorf("%w: it is longer than 16 KiB", ErrInvalid)
	}
	var c claims
	parsed, err := v.parser.ParseWithClaims(token, &c, v.key)
	if err != nil {
		return nil, v.explain(parsed, err)
	}
	id, err := c.identity()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return id, nil
}

// key returns the key, or keys, that may have signed the token. The parser has
// checked the algorithm against v.methods before.
func (v *Verifier) key(t *jwt.Token) (any, error) {
	if _, ok := t.Header["crit"]; ok {
		// RFC 7515 section 4.1.11: what is not understood must be refused.
		return nil, refuse("its header names critical extensions")
	}
	if v.keys == nil {
		return v.secret, nil
	}
	kid, ok := t.Header["kid"].(string)
	if _, present := t.Header["kid"]; present && !ok {
		return nil, refuse("its key id is not a string")
	}
	found, err := v.keys.find(t.Method.Alg(), kid)
	if err != nil {
		return nil, err
	}
	return jwt.VerificationKeySet{Keys: found}, nil
}

// explain turns the library's error into one of ours. It never quotes it, since
// some of those errors quote the token.
func (v *Verifier) explain(t *jwt.Token, err error) error {
	if errors.Is(err, ErrUnavailable) {
		return ErrUnavailable
	}
	if r := refusal(""); errors.As(err, &r) {
		return fmt.Errorf("%w: %w", ErrInvalid, r)
	}
	if t != nil && t.Method != nil && !slices.Contains(v.methods, t.Method.Alg()) {
		return fmt.Errorf("%w: its algorithm is not accepted here, only %v", ErrInvalid, v.methods)
	}
	for _, known := range []struct {
		err error
		say string
	}{
		{jwt.ErrTokenMalformed, "it is not a JSON Web Token"},
		{jwt.ErrTokenUnverifiable, "its algorithm is unknown"},
		{jwt.ErrTokenSignatureInvalid, "its signature does not verify"},
		{jwt.ErrTokenRequiredClaimMissing, "the claim exp, or a configured iss or aud, is missing"},
		{jwt.ErrTokenInvalidIssuer, "the claim iss is not the configured issuer"},
		{jwt.ErrTokenInvalidAudience, "the claim aud does not name the configured audience"},
		{jwt.ErrTokenNotValidYet, "it is not valid yet"},
	} {
		if errors.Is(err, known.err) {
			return fmt.Errorf("%w: %s", ErrInvalid, known.say)
		}
	}
	if errors.Is(err, jwt.ErrTokenExpired) { // last: nothing else is wrong
		return ErrExpired
	}
	return ErrInvalid
}

// checkSecret reports a secret that is too short to sign with.
func checkSecret(secret []byte) error {
	switch n := len(secret); {
	case n == 0:
		return errors.New("no key to check tokens with: set a JWT secret or a JWKS URL")
	case n < minSecret:
		return fmt.Errorf("the JWT secret has %d bytes, and HS256 needs %d at least: make one with `openssl rand -base64 48`", n, minSecret)
	}
	return nil
}

// refusal is the reason why a token is not taken, in words of our own.
type refusal string

func (r refusal) Error() string { return string(r) }

func refuse(reason string) error { return refusal(reason) }
