package auth

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"
)

const (
	fetchTimeout  = 5 * time.Second  // of one request
	firstWait     = 5 * time.Second  // that New waits for the first keys
	unknownWait   = 8 * time.Second  // that Verify waits for an unknown key at most
	minFetchGap   = 5 * time.Second  // between two requests, whoever asks
	fetchInterval = 10 * time.Minute // so long does a revoked key live on
	retryMax      = time.Minute      // between tries while the provider is away
	maxKeySet     = 1 << 20          // bytes of an answer
	minRSA        = 2048             // bits (RFC 7518 section 3.3)
)

// keySet is the keys of an identity provider. A goroutine, run, fetches them:
// regularly, and when somebody asks for a key that is not there. Who asks while
// a request is under way waits for that one, and requests keep their distance,
// so that a flood of made-up key ids costs the provider nothing. A failed
// request leaves the keys as they were.
//
// It is not built on keyfunc or on jwkset's own HTTP storage: their goroutine
// cannot be waited for, their request blocks the start, their answers have no
// bound, and one broken key makes them refuse all.
type keySet struct {
	url    string        // set once
	client *http.Client  // set once
	log    *slog.Logger  // set once
	gap    time.Duration // set once

	stop context.CancelFunc // ends run
	done chan struct{}      // closed when run has ended
	want chan struct{}      // capacity 1: somebody asks for a request

	mu      sync.Mutex
	keys    []publicKey   // guarded by mu, replaced as a whole; nil before the first success
	failed  bool          // guarded by mu; the last request
	fetched chan struct{} // guarded by mu; closed when the request ends that runs now, or else the next
}

// publicKey is bound to the one algorithm that it may verify.
type publicKey struct {
	kid string
	alg string
	key crypto.PublicKey
}

// newKeySet starts fetching and waits for the first request to end.
func newKeySet(ctx context.Context, o Options) (*keySet, error) {
	u, err := url.Parse(o.JWKSURL)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, errors.New("the JWKS URL is no http or https address")
	}
	k := &keySet{
		url:     o.JWKSURL,
		client:  o.HTTPClient,
		log:     o.Logger,
		gap:     o.fetchGap,
		done:    make(chan struct{}),
		want:    make(chan struct{}, 1),
		fetched: make(chan struct{}),
	}
	if k.client == nil {
		k.client = &http.Client{}
	}
	if k.log == nil {
		k.log = slog.New(slog.DiscardHandler)
	}
	k.log = k.log.With("jwks", u.Redacted())
	if k.gap == 0 {
		k.gap = minFetchGap
	}
	first := k.fetched
	running, stop := context.WithCancel(context.Background())
	k.stop = stop
	go k.run(running)

	wait := time.NewTimer(firstWait)
	defer wait.Stop()
	select {
	case <-first:
	case <-wait.C:
	case <-ctx.Done():
		k.close()
		return nil, fmt.Errorf("fetch keys: %w", ctx.Err())
	}
	return k, nil
}

// find returns the keys that a token of this algorithm and key id may be signed
// with, one at least; kid is empty if the token names none. For a key id that is
// not known it asks the provider first: there may be a new key, and who is told
// that a token is bad does not come back with it.
func (k *keySet) find(alg, kid string) ([]jwt.VerificationKey, error) {
	k.mu.Lock()
	keys := k.keys
	if keys == nil {
		k.ask()
	}
	k.mu.Unlock()
	if keys == nil {
		return nil, ErrUnavailable
	}
	found, known := match(keys, alg, kid)
	if !known {
		var err error
		if keys, err = k.refetch(); err != nil {
			return nil, err
		}
		found, known = match(keys, alg, kid)
	}
	switch {
	case !known:
		return nil, refuse("its key is none of the identity provider's")
	case len(found) == 0:
		return nil, refuse("its algorithm does not fit its key")
	}
	return found, nil
}

// close ends run and waits for it.
func (k *keySet) close() {
	k.stop()
	<-k.done
}

// refetch waits for the request under way, or else for one of its own, and
// returns the keys that it brought.
func (k *keySet) refetch() ([]publicKey, error) {
	k.mu.Lock()
	fetched := k.fetched
	k.ask()
	k.mu.Unlock()

	wait := time.NewTimer(unknownWait)
	defer wait.Stop()
	select {
	case <-fetched:
	case <-wait.C:
		return nil, ErrUnavailable
	case <-k.done:
		return nil, ErrUnavailable
	}

	k.mu.Lock()
	defer k.mu.Unlock()
	if k.failed {
		return nil, ErrUnavailable
	}
	return k.keys, nil
}

// ask wakes run. The caller holds mu, so that the request under way, when it
// ends, answers all who have asked until then, and nobody else.
func (k *keySet) ask() {
	select {
	case k.want <- struct{}{}:
	default:
	}
}

// run fetches until ctx ends.
func (k *keySet) run(ctx context.Context) {
	defer close(k.done)
	failures := 0
	for {
		gap := time.NewTimer(k.gap)
		keys, err := k.fetch(ctx)
		pause := fetchInterval
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			failures++
			pause = min(k.gap<<min(failures, 10), retryMax)
			k.log.Warn("fetching signing keys failed, will try again", "err", err)
		case failures > 0:
			failures = 0
			k.log.Info("signing keys are there again", "keys", len(keys))
		}

		k.mu.Lock()
		k.failed = err != nil
		if err == nil {
			k.keys = keys
		}
		close(k.fetched)
		k.fetched = make(chan struct{})
		select {
		case <-k.want:
		default:
		}
		k.mu.Unlock()

		// Nodes that start together need not ask together.
		regular := time.NewTimer(pause - rand.N(pause/4+1))
		select {
		case <-gap.C:
		case <-ctx.Done():
			return
		}
		select {
		case <-k.want:
		case <-regular.C:
		case <-ctx.Done():
			return
		}
	}
}

// fetch makes one request. Keys that Atrium has no use for are left out; none
// left is an error, since it is more likely that the provider answers nonsense
// than that it has withdrawn them all.
func (k *keySet) fetch(ctx context.Context) ([]publicKey, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, k.url, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	resp, err := k.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the identity provider answers %d", resp.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxKeySet+1))
	if err != nil {
		return nil, fmt.Errorf("read the key set: %w", err)
	}
	if len(body) > maxKeySet {
		return nil, errors.New("the key set is larger than 1 MiB")
	}
	return parseKeySet(body)
}

// parseKeySet reads a JWK Set (RFC 7517 section 5).
func parseKeySet(body []byte) ([]publicKey, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(body, &set); err != nil {
		return nil, fmt.Errorf("parse the key set: %w", err)
	}
	var keys []publicKey
	last := errors.New("there are none")
	for _, raw := range set.Keys {
		jwk, err := jwkset.NewJWKFromRawJSON(raw, jwkset.JWKMarshalOptions{}, jwkset.JWKValidateOptions{})
		if err == nil {
			var key publicKey
			if key, err = bind(jwk); err == nil {
				keys = append(keys, key)
			}
		}
		if err != nil {
			last = err
		}
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("none of the key set's %d keys can be used: %w", len(set.Keys), last)
	}
	return keys, nil
}

// bind finds the one algorithm that a key may verify: what its type decides,
// unless its own alg, use or key_ops speak against it.
func bind(jwk jwkset.JWK) (publicKey, error) {
	m := jwk.Marshal()
	k := publicKey{kid: m.KID, key: jwk.Key()}
	switch key := jwk.Key().(type) {
	case *rsa.PublicKey:
		if key.N.BitLen() < minRSA {
			return k, fmt.Errorf("an RSA key has %d bits, and needs %d", key.N.BitLen(), minRSA)
		}
		k.alg = "RS256"
	case *ecdsa.PublicKey:
		if key.Curve != elliptic.P256() {
			return k, errors.New("an EC key is not on P-256")
		}
		k.alg = "ES256"
	case ed25519.PublicKey:
		k.alg = "EdDSA"
	default:
		return k, fmt.Errorf("a key is of type %s", m.KTY)
	}
	switch {
	case m.ALG != "" && m.ALG.String() != k.alg:
		return k, fmt.Errorf("a key is for %s", m.ALG)
	case m.USE != "" && m.USE != jwkset.UseSig,
		len(m.KEYOPS) > 0 && !slices.Contains(m.KEYOPS, jwkset.KeyOpsVerify):
		return k, errors.New("a key is not for signatures")
	}
	return k, nil
}

// match returns the keys that fit, and whether the key id is known at all. A
// token without one may be signed with any key of its algorithm.
func match(keys []publicKey, alg, kid string) (found []jwt.VerificationKey, known bool) {
	known = kid == ""
	for _, k := range keys {
		if kid == "" || k.kid == kid {
			known = true
			if k.alg == alg {
				found = append(found, k.key)
			}
		}
	}
	return found, known
}
