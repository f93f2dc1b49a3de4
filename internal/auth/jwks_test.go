package auth

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Keys are made once, since RSA keys take long.
var (
	rsaKey   = sync.OnceValue(func() *rsa.PrivateKey { return newRSA(2048) })
	otherRSA = sync.OnceValue(func() *rsa.PrivateKey { return newRSA(2048) })
	weakRSA  = sync.OnceValue(func() *rsa.PrivateKey { return newRSA(1024) })
	ecKey    = sync.OnceValue(func() *ecdsa.PrivateKey { return newEC(elliptic.P256()) })
	ec384    = sync.OnceValue(func() *ecdsa.PrivateKey { return newEC(elliptic.P384()) })
	edKey    = sync.OnceValue(func() ed25519.PrivateKey { _, k, err := ed25519.GenerateKey(nil); must(err); return k })
)

func newRSA(bits int) *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, bits)
	must(err)
	return k
}

func newEC(c elliptic.Curve) *ecdsa.PrivateKey {
	k, err := ecdsa.GenerateKey(c, rand.Reader)
	must(err)
	return k
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// jwk spells a public key as RFC 7517 does; more is further members.
func jwk(key crypto.Signer, kid string, more ...string) map[string]any {
	b64 := base64.RawURLEncoding.EncodeToString
	m := map[string]any{}
	switch k := key.Public().(type) {
	case *rsa.PublicKey:
		m["kty"], m["n"], m["e"] = "RSA", b64(k.N.Bytes()), b64(big.NewInt(int64(k.E)).Bytes())
	case *ecdsa.PublicKey:
		point, err := k.Bytes()
		must(err)
		half := len(point) / 2
		m["kty"], m["crv"], m["x"], m["y"] = "EC", k.Params().Name, b64(point[1:1+half]), b64(point[1+half:])
	case ed25519.PublicKey:
		m["kty"], m["crv"], m["x"] = "OKP", "Ed25519", b64(k)
	}
	if kid != "" {
		m["kid"] = kid
	}
	for i := 0; i < len(more); i += 2 {
		m[more[i]] = more[i+1]
	}
	return m
}

// issue makes a good token of any algorithm, key and header members.
func issue(t testing.TB, alg string, key any, header ...any) string {
	t.Helper()
	token := jwt.NewWithClaims(jwt.GetSigningMethod(alg), jwt.MapClaims{"sub": "alice", "exp": now.Add(time.Hour).Unix()})
	for i := 0; i < len(header); i += 2 {
		token.Header[header[i].(string)] = header[i+1]
	}
	s, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// provider is an identity provider. It is an http.Handler, and an
// http.RoundTripper for tests that have the time in their hand.
type provider struct {
	mu       sync.Mutex
	keys     []map[string]any
	body     string // instead of keys
	status   int    // instead of 200
	down     bool   // connections break
	hangs    bool   // requests are never answered
	requests int
}

func (p *provider) set(change func(p *provider)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(p)
}

func (p *provider) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.requests
}

func (p *provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.requests++
	switch {
	case p.down:
		panic(http.ErrAbortHandler)
	case p.status != 0:
		w.WriteHeader(p.status)
	case p.body != "":
		_, _ = w.Write([]byte(p.body))
	default:
		_ = json.NewEncoder(w).Encode(map[string]any{"keys": p.keys})
	}
}

func (p *provider) RoundTrip(r *http.Request) (*http.Response, error) {
	p.mu.Lock()
	hangs, down := p.hangs, p.down
	p.mu.Unlock()
	if hangs {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	if down {
		p.set(func(p *provider) { p.requests++ })
		return nil, errors.New("connection refused")
	}
	w := httptest.NewRecorder()
	p.ServeHTTP(w, r)
	return w.Result(), nil
}

// serve starts p on a real socket and returns its address.
func (p *provider) serve(t *testing.T) string {
	s := httptest.NewServer(p)
	t.Cleanup(s.Close)
	return s.URL + "/keys"
}

// nextFetch returns what is closed when the next request has ended.
func nextFetch(v *Verifier) <-chan struct{} {
	v.keys.mu.Lock()
	defer v.keys.mu.Unlock()
	return v.keys.fetched
}

func TestJWKS(t *testing.T) {
	wrap := jwk(otherRSA(), "wrap")
	wrap["key_ops"] = []string{"wrapKey"}
	p := &provider{keys: []map[string]any{
		jwk(rsaKey(), "r", "alg", "RS256", "use", "sig"),
		jwk(ecKey(), "e"),
		jwk(edKey(), "d", "alg", "EdDSA"),
		jwk(otherRSA(), "enc", "use", "enc"),
		jwk(otherRSA(), "r512", "alg", "RS512"),
		jwk(weakRSA(), "weak"),
		wrap,
		jwk(ec384(), "e384"),
		{"kty": "oct", "kid": "o", "alg": "HS256", "k": base64.RawURLEncoding.EncodeToString(secret)},
		{"kty": "RSA", "kid": "broken", "n": "!", "e": "AQAB"},
		{"kty": "OKP", "kid": "d448", "crv": "Ed448", "x": "AAAA"},
		{"kty": "unheard-of"},
	}}
	v := verifier(t, Options{JWKSURL: p.serve(t), fetchGap: time.Millisecond})

	der, err := x509.MarshalPKIXPublicKey(&rsaKey().PublicKey)
	must(err)
	public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	unsigned := strings.Join(strings.Split(issue(t, "RS256", rsaKey(), "alg", "none"), ".")[:2], ".") + "."

	tests := []struct {
		name  string
		token string
		say   string // empty: the token is good
	}{
		{"RSA", issue(t, "RS256", rsaKey(), "kid", "r"), ""},
		{"EC", issue(t, "ES256", ecKey(), "kid", "e"), ""},
		{"Ed25519", issue(t, "EdDSA", edKey(), "kid", "d"), ""},
		{"no key id", issue(t, "ES256", ecKey()), ""},
		{"an empty key id", issue(t, "RS256", rsaKey(), "kid", ""), ""},

		{"HS256 with the public key as PEM", issue(t, "HS256", public, "kid", "r"), "algorithm"},
		{"HS256 with the public key as DER", issue(t, "HS256", der, "kid", "r"), "algorithm"},
		{"HS256 with the modulus", issue(t, "HS256", rsaKey().N.Bytes(), "kid", "r"), "algorithm"},
		{"HS256 with no key id", issue(t, "HS256", public), "algorithm"},
		{"HS256 with a published secret", issue(t, "HS256", secret, "kid", "o"), "algorithm"},
		{"none", unsigned, "algorithm"},
		{"none, signed", issue(t, "RS256", rsaKey(), "kid", "r", "alg", "none"), "algorithm"},
		{"RS512", issue(t, "RS512", rsaKey(), "kid", "r"), "algorithm"},
		{"PS256", issue(t, "PS256", rsaKey(), "kid", "r"), "algorithm"},
		{"ES384", issue(t, "ES384", ec384(), "kid", "e384"), "algorithm"},

		{"another's RSA key", issue(t, "RS256", otherRSA(), "kid", "r"), "signature"},
		{"another's key, no key id", issue(t, "RS256", otherRSA()), "signature"},
		{"a key of its own in the header", issue(t, "RS256", otherRSA(), "kid", "r", "jwk", jwk(otherRSA(), "r"), "jku", "http://127.0.0.1/"), "signature"},
		{"an EC token with the RSA key's id", issue(t, "ES256", ecKey(), "kid", "r"), "fit"},
		{"an RSA token with the EC key's id", issue(t, "RS256", rsaKey(), "kid", "e"), "fit"},
		{"a key for encryption", issue(t, "RS256", otherRSA(), "kid", "enc"), "none of"},
		{"a key for wrapping keys", issue(t, "RS256", otherRSA(), "kid", "wrap"), "none of"},
		{"a key for another algorithm", issue(t, "RS256", otherRSA(), "kid", "r512"), "none of"},
		{"a weak key", issue(t, "RS256", weakRSA(), "kid", "weak"), "none of"},
		{"an unknown key id", issue(t, "RS256", rsaKey(), "kid", "x"), "none of"},
		{"a key id that is a number", issue(t, "RS256", rsaKey(), "kid", 7), "string"},
		{"a key id that is null", issue(t, "RS256", rsaKey(), "kid", nil), "string"},
		{"critical extensions", issue(t, "RS256", rsaKey(), "kid", "r", "crit", []string{"x"}, "x", 1), "critical"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			id, err := v.Verify(tt.token)
			switch {
			case tt.say == "" && (err != nil || id.UserID != "alice"):
				t.Errorf("%+v, %v", id, err)
			case tt.say != "" && (!errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), tt.say)):
				t.Errorf("%+v, %v; want an error that says %q", id, err, tt.say)
			}
		})
	}
}

func TestSecretTakesNoOtherAlgorithm(t *testing.T) {
	v := verifier(t, Options{})
	for _, token := range []string{
		issue(t, "RS256", rsaKey()), issue(t, "ES256", ecKey()), issue(t, "EdDSA", edKey()),
		issue(t, "HS384", secret), issue(t, "HS512", secret),
	} {
		if _, err := v.Verify(token); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "[HS256]") {
			t.Errorf("got %v", err)
		}
	}
}

func TestProviderDownAtStart(t *testing.T) {
	set, err := json.Marshal(map[string]any{"keys": []any{jwk(ecKey(), "e")}})
	must(err)
	good := string(set)
	for name, break_ := range map[string]func(*provider){
		"connections break": func(p *provider) { p.down = true },
		"errors":            func(p *provider) { p.status = http.StatusServiceUnavailable },
		"no JSON":           func(p *provider) { p.body = "<html>" },
		"something else":    func(p *provider) { p.body = `{"error":"later"}` },
		"no keys":           func(p *provider) { p.body = `{"keys":[]}` },
		"too large":         func(p *provider) { p.body = good + strings.Repeat(" ", maxKeySet) },
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			p := &provider{keys: []map[string]any{jwk(ecKey(), "e")}}
			break_(p)
			v := verifier(t, Options{
				JWKSURL: p.serve(t), fetchGap: time.Millisecond,
				Logger: slog.New(slog.NewTextHandler(&log, nil)),
			})
			token := issue(t, "ES256", ecKey(), "kid", "e")
			if _, err := v.Verify(token); !errors.Is(err, ErrUnavailable) || errors.Is(err, ErrInvalid) {
				t.Fatalf("got %v, want ErrUnavailable", err)
			}
			if _, err := v.Verify("rubbish"); !errors.Is(err, ErrInvalid) {
				t.Errorf("rubbish: %v", err)
			}

			p.set(func(p *provider) { p.down, p.status, p.body = false, 0, "" })
			for range 2 { // the first may have been under way before
				fetched := nextFetch(v)
				if _, err := v.Verify(token); err == nil {
					break
				}
				<-fetched
			}
			if _, err := v.Verify(token); err != nil {
				t.Errorf("the provider is back: %v", err)
			}

			// And away again: the keys stay.
			p.set(break_)
			_, err := v.Verify(issue(t, "ES256", ecKey(), "kid", "new"))
			if !errors.Is(err, ErrUnavailable) {
				t.Errorf("unknown key, provider away: %v", err)
			}
			if _, err := v.Verify(token); err != nil {
				t.Errorf("known key, provider away: %v", err)
			}
			v.Close()
			if !strings.Contains(log.String(), "level=WARN") || strings.Contains(log.String(), token) {
				t.Errorf("log: %s", log.String())
			}
		})
	}
}

// inBubble runs f with a provider and a Verifier under a clock of their own.
func inBubble(t *testing.T, p *provider, f func(v *Verifier)) {
	ecKey() // not in the bubble
	synctest.Test(t, func(t *testing.T) {
		v, err := New(context.Background(), Options{
			JWKSURL: "https://id.example/keys", HTTPClient: &http.Client{Transport: p}, Now: clock,
		})
		if err != nil {
			t.Fatal(err)
		}
		defer v.Close()
		f(v)
	})
}

func TestKeyRotation(t *testing.T) {
	p := &provider{keys: []map[string]any{jwk(ecKey(), "old")}}
	inBubble(t, p, func(v *Verifier) {
		newKey := newEC(elliptic.P256())
		oldToken, newToken := issue(t, "ES256", ecKey(), "kid", "old"), issue(t, "ES256", newKey, "kid", "new")
		if _, err := v.Verify(oldToken); err != nil {
			t.Fatal(err)
		}

		time.Sleep(time.Minute)
		p.set(func(p *provider) { p.keys = []map[string]any{jwk(newKey, "new")} })
		began := time.Now()
		if _, err := v.Verify(newToken); err != nil {
			t.Errorf("the new key: %v", err)
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("asking the provider waited %v", took)
		}
		if _, err := v.Verify(oldToken); !errors.Is(err, ErrInvalid) {
			t.Errorf("the withdrawn key: %v", err)
		}
	})
}

func TestKeysAreFetchedRegularly(t *testing.T) {
	p := &provider{keys: []map[string]any{jwk(ecKey(), "e")}}
	inBubble(t, p, func(v *Verifier) {
		p.set(func(p *provider) { p.keys = []map[string]any{jwk(newEC(elliptic.P256()), "e")} })
		time.Sleep(fetchInterval)
		if _, err := v.Verify(issue(t, "ES256", ecKey(), "kid", "e")); !errors.Is(err, ErrInvalid) {
			t.Errorf("a withdrawn key after %v: %v", fetchInterval, err)
		}
		time.Sleep(10 * fetchInterval)
		if n := p.count(); n < 11 || n > 16 {
			t.Errorf("%d requests in 11 intervals", n)
		}
	})
}

func TestFloodOfUnknownKeys(t *testing.T) {
	p := &provider{keys: []map[string]any{jwk(ecKey(), "e")}}
	inBubble(t, p, func(v *Verifier) {
		flood := issue(t, "ES256", ecKey(), "kid", "made up")
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				for range 10 {
					if _, err := v.Verify(flood); !errors.Is(err, ErrInvalid) {
						t.Errorf("made-up key: %v", err)
					}
				}
			})
		}
		began := time.Now()
		all.Wait()
		took := time.Since(began)
		if got, most := p.count(), 1+int(took/minFetchGap); got > most {
			t.Errorf("%d requests in %v, want %d at most", got, took, most)
		}
		if took > 10*minFetchGap {
			t.Errorf("everybody waited %v: requests are not shared", took)
		}
	})
}

func TestBackoff(t *testing.T) {
	p := &provider{down: true}
	inBubble(t, p, func(v *Verifier) {
		time.Sleep(time.Hour)
		if n := p.count(); n < 60 || n > 90 {
			t.Errorf("%d requests in an hour without anybody asking", n)
		}
		// Somebody asks: the provider is tried again within the gap, not the minute.
		p.set(func(p *provider) { p.down, p.keys = false, []map[string]any{jwk(ecKey(), "e")} })
		token := issue(t, "ES256", ecKey(), "kid", "e")
		if _, err := v.Verify(token); !errors.Is(err, ErrUnavailable) {
			t.Errorf("got %v", err)
		}
		time.Sleep(minFetchGap)
		if _, err := v.Verify(token); err != nil {
			t.Error(err)
		}
	})
}

func TestHangingProvider(t *testing.T) {
	p := &provider{hangs: true, keys: []map[string]any{jwk(ecKey(), "e")}}
	began := time.Time{}
	inBubble(t, p, func(v *Verifier) {
		began = time.Now()
		if _, err := v.Verify(issue(t, "ES256", ecKey(), "kid", "e")); !errors.Is(err, ErrUnavailable) {
			t.Errorf("got %v", err)
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("without keys there is nothing to wait for, waited %v", took)
		}
		p.set(func(p *provider) { p.hangs = false })
		time.Sleep(time.Minute)

		p.set(func(p *provider) { p.hangs = true })
		began = time.Now()
		if _, err := v.Verify(issue(t, "ES256", ecKey(), "kid", "new")); !errors.Is(err, ErrUnavailable) {
			t.Errorf("got %v", err)
		}
		if took := time.Since(began); took > unknownWait {
			t.Errorf("waited %v", took)
		}
	})
}

func TestCloseEndsWaiting(t *testing.T) {
	p := &provider{keys: []map[string]any{jwk(ecKey(), "e")}}
	inBubble(t, p, func(v *Verifier) {
		result := make(chan error, 1)
		go func() {
			_, err := v.Verify(issue(t, "ES256", ecKey(), "kid", "new"))
			result <- err
		}()
		synctest.Wait() // it waits for the gap
		v.Close()
		if err := <-result; !errors.Is(err, ErrUnavailable) {
			t.Errorf("got %v", err)
		}
		if _, err := v.Verify(issue(t, "ES256", ecKey(), "kid", "e")); err != nil {
			t.Errorf("known keys after Close: %v", err)
		}
		if _, err := v.Verify(issue(t, "ES256", ecKey(), "kid", "new")); !errors.Is(err, ErrUnavailable) {
			t.Errorf("unknown keys after Close: %v", err)
		}
		v.Close() // again
	})
}

func TestNewEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		p := &provider{hangs: true}
		v, err := New(ctx, Options{JWKSURL: "https://id.example/keys", HTTPClient: &http.Client{Transport: p}})
		if v != nil || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v, %v", v, err)
		}
	})
}

func FuzzParseKeySet(f *testing.F) {
	for _, key := range []crypto.Signer{rsaKey(), ecKey(), edKey()} {
		b, err := json.Marshal(map[string]any{"keys": []any{jwk(key, "k", "use", "sig")}})
		must(err)
		f.Add(b)
	}
	f.Add([]byte(`{"keys":[{"kty":"RSA","n":"AA","e":"AQAB"},{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}]}`))
	f.Add([]byte(`{"keys":[{"kty":"OKP","crv":"X25519","x":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","key_ops":["verify"],"x5c":["AA"]}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		keys, err := parseKeySet(body)
		if (len(keys) == 0) != (err != nil) {
			t.Fatalf("%v, %v", keys, err)
		}
		for _, k := range keys {
			_ = jwt.GetSigningMethod(k.alg).Verify("text", make([]byte, 64), k.key)
		}
	})
}
