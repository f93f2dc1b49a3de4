package auth

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

var (
	secret = []byte("0123456789abcdef0123456789abcdef")
	now    = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
)

func clock() time.Time { return now }

// verifier returns a Verifier at the time now, closed when the test ends.
func verifier(t testing.TB, o Options) *Verifier {
	t.Helper()
	if o.Now == nil {
		o.Now = clock
	}
	if o.JWKSURL == "" && o.Secret == nil {
		o.Secret = secret
	}
	v, err := New(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Close)
	return v
}

// sign makes an HS256 token of any header and payload.
func sign(header, payload string) string {
	text := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." +
		base64.RawURLEncoding.EncodeToString([]byte(payload))
	sig, err := jwt.SigningMethodHS256.Sign(text, secret)
	if err != nil {
		panic(err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(sig)
}

const hs256 = `{"alg":"HS256","typ":"JWT"}`

// payload is a good token's claims with some set otherwise; nil leaves out.
func payload(set map[string]any) string {
	m := map[string]any{"sub": "alice", "exp": now.Add(time.Hour).Unix()}
	for name, value := range set {
		m[name] = value
		if value == nil {
			delete(m, name)
		}
	}
	b, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func TestVerify(t *testing.T) {
	v := verifier(t, Options{})
	id, err := v.Verify(sign(hs256, payload(map[string]any{
		"name": "Alice", "picture": "https://example.org/a.png", "iat": now.Unix() - 5, "more": []int{1},
		"atrium": map[string]any{
			"docs":  map[string]string{"*": "write"},
			"rooms": map[string]string{"team-*": "write", "news": "read"}, "admin": true, "more": 1,
		},
	})))
	if err != nil {
		t.Fatal(err)
	}
	if id.UserID != "alice" || id.Name != "Alice" || id.Avatar != "https://example.org/a.png" || !id.Admin ||
		!id.IssuedAt.Equal(now.Add(-5*time.Second)) || !id.Expires.Equal(now.Add(time.Hour)) {
		t.Errorf("identity: %+v", id)
	}
	if id.Docs.Level("any") != Write || id.Rooms.Level("team-a") != Write || id.Rooms.Level("news") != Read ||
		id.Rooms.Level("other") != None || id.Metrics.Level("any") != None {
		t.Errorf("grants: %+v", id)
	}
}

func TestVerifyDefaults(t *testing.T) {
	v := verifier(t, Options{})
	for _, set := range []map[string]any{
		nil,
		{"name": "", "atrium": map[string]any{}},
		{"atrium": json.RawMessage(`null`), "iat": json.RawMessage(`null`), "name": json.RawMessage(`null`)},
		{"atrium": json.RawMessage(`{"docs":null,"admin":null}`)},
		{"ATRIUM": json.RawMessage(`{"admin":true,"docs":{"*":"write"}}`), "Name": "Mallory", "SUB": "mallory"},
		{"atrium": json.RawMessage(`{"Admin":true,"DOCS":{"*":"write"}}`)},
	} {
		id, err := v.Verify(sign(hs256, payload(set)))
		if err != nil {
			t.Errorf("%v: %v", set, err)
			continue
		}
		if id.UserID != "alice" || id.Name != "alice" || id.Avatar != "" || id.Admin || id.Docs.Level("x") != None || id.IssuedAt.Unix() != 0 {
			t.Errorf("%v: %+v", set, id)
		}
	}
}

func TestVerifyTimes(t *testing.T) {
	tests := []struct {
		name    string
		payload map[string]any
		want    error
	}{
		{"a float exp", map[string]any{"exp": float64(now.Unix()) + 0.5}, nil},
		{"an exp in exponent form", map[string]any{"exp": json.RawMessage("2e9")}, nil},
		{"exp now", map[string]any{"exp": now.Unix()}, ErrExpired},
		{"exp a little ago", map[string]any{"exp": float64(now.Unix()) - 0.25}, ErrExpired},
		{"no exp", map[string]any{"exp": nil}, ErrInvalid},
		{"exp null", map[string]any{"exp": json.RawMessage("null")}, ErrInvalid},
		{"exp a string", map[string]any{"exp": "2000000000"}, ErrInvalid},
		{"exp negative", map[string]any{"exp": -1}, ErrInvalid},
		{"exp in milliseconds", map[string]any{"exp": now.UnixMilli()}, ErrInvalid},
		{"exp huge", map[string]any{"exp": json.RawMessage("1e300")}, ErrInvalid},
		{"exp beyond floats", map[string]any{"exp": json.RawMessage("1e999")}, ErrInvalid},
		{"exp an object", map[string]any{"exp": map[string]any{}}, ErrInvalid},
		{"nbf past", map[string]any{"nbf": now.Unix() - 1}, nil},
		{"nbf within the clocks' difference", map[string]any{"nbf": now.Unix() + 10}, nil},
		{"nbf ahead", map[string]any{"nbf": now.Unix() + 11}, ErrInvalid},
		{"nbf a string", map[string]any{"nbf": "0"}, ErrInvalid},
		{"iat float", map[string]any{"iat": 1.5}, nil},
		{"iat a string", map[string]any{"iat": "1"}, ErrInvalid},
		{"iat in milliseconds", map[string]any{"iat": now.UnixMilli()}, ErrInvalid},
		{"expired, and otherwise bad", map[string]any{"exp": 1, "nbf": now.Unix() + 100}, ErrInvalid},
	}
	v := verifier(t, Options{})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			id, err := v.Verify(sign(hs256, payload(tt.payload)))
			if !errors.Is(err, tt.want) || (err == nil) != (id != nil) {
				t.Errorf("%v, %v; want %v", id, err, tt.want)
			}
		})
	}
}

// respell sets a bit that base64 has no use for in the last of 43 characters.
func respell(c byte) byte {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return alphabet[strings.IndexByte(alphabet, c)|1]
}

func TestVerifyRefuses(t *testing.T) {
	long := func(n int) string { return strings.Repeat("a", n) }
	many := func(n int) map[string]string {
		m := map[string]string{}
		for i := range n {
			m[string(rune('A'+i%26))+string(rune('a'+i/26))] = "read"
		}
		return m
	}
	atrium := func(raw string) map[string]any { return map[string]any{"atrium": json.RawMessage(raw)} }
	good := sign(hs256, payload(nil))
	parts := strings.Split(good, ".")

	tests := []struct {
		name  string
		token string
		say   string // part of the error
	}{
		{"nothing", "", "empty"},
		{"no token", "hello", "not a JSON Web Token"},
		{"two parts", "a.b", "not a JSON Web Token"},
		{"four parts", good + ".x", "not a JSON Web Token"},
		{"garbage", "a.b.c", "not a JSON Web Token"},
		{"huge", good + long(maxToken), "longer than 16 KiB"},
		{"another's signature", parts[0] + "." + parts[1] + "." + strings.Split(sign(hs256, "{}"), ".")[2], "signature"},
		{"the signature spelt otherwise", good[:len(good)-1] + string(respell(good[len(good)-1])), "not a JSON Web Token"},
		{"no signature", parts[0] + "." + parts[1] + ".", "signature"},
		{"other claims under the signature", parts[0] + "." + strings.Split(sign(hs256, payload(map[string]any{"sub": "bob"})), ".")[1] + "." + parts[2], "signature"},
		{"alg none", sign(`{"alg":"none"}`, payload(nil)), "algorithm"},
		{"alg none, unsigned", base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + parts[1] + ".", "algorithm"},
		{"alg None", sign(`{"alg":"None"}`, payload(nil)), "algorithm"},
		{"alg hs256", sign(`{"alg":"hs256"}`, payload(nil)), "algorithm"},
		{"alg HS384", sign(`{"alg":"HS384"}`, payload(nil)), "algorithm"},
		{"alg RS256", sign(`{"alg":"RS256"}`, payload(nil)), "algorithm"},
		{"alg missing", sign(`{}`, payload(nil)), "algorithm"},
		{"alg a number", sign(`{"alg":1}`, payload(nil)), "algorithm"},
		{"header null", sign(`null`, payload(nil)), "algorithm"},
		{"crit", sign(`{"alg":"HS256","crit":["b64"],"b64":false}`, payload(nil)), "critical"},
		{"payload null", sign(hs256, `null`), "exp"},
		{"payload a list", sign(hs256, `[]`), "not a JSON object"},
		{"payload deep", sign(hs256, `{"a":`+strings.Repeat("[", 5000)+strings.Repeat("]", 5000)+`}`), "exp"},
		{"payload not UTF-8", sign(hs256, "{\"exp\":2000000000,\"sub\":\"a\xff\"}"), "UTF-8"},

		{"no sub", sign(hs256, payload(map[string]any{"sub": nil})), "sub"},
		{"sub empty", sign(hs256, payload(map[string]any{"sub": ""})), "sub"},
		{"sub null", sign(hs256, payload(map[string]any{"sub": json.RawMessage("null")})), "sub"},
		{"sub a number", sign(hs256, payload(map[string]any{"sub": 7})), "sub"},
		{"sub long", sign(hs256, payload(map[string]any{"sub": long(257)})), "sub"},
		{"sub with a newline", sign(hs256, payload(map[string]any{"sub": "a\nb"})), "sub"},
		{"sub with NUL", sign(hs256, payload(map[string]any{"sub": "a\x00b"})), "sub"},
		{"sub with C1", sign(hs256, payload(map[string]any{"sub": "a\u0085b"})), "sub"},
		{"sub with half a pair", sign(hs256, payload(map[string]any{"sub": json.RawMessage(`"a\ud800"`)})), "sub"},
		{"name long", sign(hs256, payload(map[string]any{"name": long(257)})), "name"},
		{"name with an escape", sign(hs256, payload(map[string]any{"name": "a\x1b[2J"})), "name"},
		{"name a list", sign(hs256, payload(map[string]any{"name": []string{"a"}})), "name"},
		{"picture long", sign(hs256, payload(map[string]any{"picture": long(2049)})), "picture"},
		{"picture with a newline", sign(hs256, payload(map[string]any{"picture": "a\n"})), "picture"},

		{"atrium a list", sign(hs256, payload(atrium(`[]`))), "atrium"},
		{"atrium a string", sign(hs256, payload(atrium(`"admin"`))), "atrium"},
		{"admin a string", sign(hs256, payload(atrium(`{"admin":"true"}`))), "atrium.admin"},
		{"admin a number", sign(hs256, payload(atrium(`{"admin":1}`))), "atrium.admin"},
		{"docs a string", sign(hs256, payload(atrium(`{"docs":"*"}`))), "atrium.docs"},
		{"rooms with numbers", sign(hs256, payload(atrium(`{"rooms":{"*":2}}`))), "atrium.rooms"},
		{"an unknown level", sign(hs256, payload(atrium(`{"metrics":{"*":"own"}}`))), "atrium.metrics: a level"},
		{"a level in capitals", sign(hs256, payload(atrium(`{"docs":{"*":"Write"}}`))), "a level"},
		{"an empty level", sign(hs256, payload(atrium(`{"docs":{"*":""}}`))), "a level"},
		{"a null level", sign(hs256, payload(atrium(`{"docs":{"*":null}}`))), "a level"},
		{"an asterisk first", sign(hs256, payload(atrium(`{"docs":{"*a":"read"}}`))), "asterisk"},
		{"an asterisk inside", sign(hs256, payload(atrium(`{"docs":{"a*b*":"read"}}`))), "asterisk"},
		{"two asterisks", sign(hs256, payload(atrium(`{"docs":{"a**":"read"}}`))), "asterisk"},
		{"an empty pattern", sign(hs256, payload(atrium(`{"docs":{"":"read"}}`))), "empty"},
		{"a broken pattern", sign(hs256, payload(atrium(`{"docs":{"\ud800*":"read"}}`))), "clean"},
		{"too many patterns", sign(hs256, payload(map[string]any{"atrium": map[string]any{"docs": many(500), "rooms": many(501)}})), "1,000"},
	}
	v := verifier(t, Options{})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			id, err := v.Verify(tt.token)
			if id != nil || !errors.Is(err, ErrInvalid) || errors.Is(err, ErrExpired) || errors.Is(err, ErrUnavailable) {
				t.Fatalf("%v, %v; want ErrInvalid", id, err)
			}
			if !strings.Contains(err.Error(), tt.say) {
				t.Errorf("error %q does not say %q", err, tt.say)
			}
			if len(err.Error()) > 150 {
				t.Errorf("a long error: %q", err)
			}
		})
	}
	for name, token := range map[string]string{
		"as many patterns as may be": sign(hs256, payload(map[string]any{"atrium": map[string]any{"docs": many(500), "rooms": many(500)}})),
		"as long as may be":          sign(hs256, payload(map[string]any{"sub": long(256), "name": long(256), "picture": long(2048)})),
	} {
		if _, err := v.Verify(token); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestIssuerAndAudience(t *testing.T) {
	tests := []struct {
		name    string
		payload map[string]any
		ok      bool
	}{
		{"both right", map[string]any{"iss": "https://id.example", "aud": "atrium"}, true},
		{"one of several audiences", map[string]any{"iss": "https://id.example", "aud": []string{"x", "atrium"}}, true},
		{"no iss", map[string]any{"aud": "atrium"}, false},
		{"another iss", map[string]any{"iss": "https://id.example/", "aud": "atrium"}, false},
		{"iss a list", map[string]any{"iss": []string{"https://id.example"}, "aud": "atrium"}, false},
		{"no aud", map[string]any{"iss": "https://id.example"}, false},
		{"another aud", map[string]any{"iss": "https://id.example", "aud": "atrium2"}, false},
		{"aud empty", map[string]any{"iss": "https://id.example", "aud": []string{}}, false},
		{"aud of numbers", map[string]any{"iss": "https://id.example", "aud": []any{"atrium", 1}}, false},
	}
	v := verifier(t, Options{Issuer: "https://id.example", Audience: "atrium"})
	loose := verifier(t, Options{})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := v.Verify(sign(hs256, payload(tt.payload))); (err == nil) != tt.ok || err != nil && !errors.Is(err, ErrInvalid) {
				t.Errorf("got %v", err)
			}
		})
	}
	if _, err := loose.Verify(sign(hs256, payload(map[string]any{"iss": "any", "aud": []string{"any"}}))); err != nil {
		t.Errorf("nothing configured: %v", err)
	}
}

func TestErrorsNeverQuoteTheToken(t *testing.T) {
	v := verifier(t, Options{})
	for _, token := range []string{
		"sesame", "sesame.sesame.sesame", sign(`{"alg":"sesame"}`, "{}"), sign(`{"alg":"HS256","crit":"sesame"}`, "{}"),
		sign(hs256, "sesame"), sign(hs256, `{"sesame":}`), sign(hs256, `{"exp":"sesame"}`), sign(hs256, payload(map[string]any{"sub": "sesame\n"})),
		sign(hs256, payload(map[string]any{"atrium": map[string]any{"docs": map[string]string{"sesame**": "read"}}})),
		sign(hs256, payload(map[string]any{"atrium": map[string]any{"docs": map[string]string{"*": "sesame"}}})),
	} {
		if _, err := v.Verify(token); err == nil || strings.Contains(err.Error(), "sesame") || strings.Contains(err.Error(), token) {
			t.Errorf("error: %v", err)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	tests := []struct {
		name string
		o    Options
		say  string
	}{
		{"no key source", Options{}, "set a JWT secret"},
		{"a short secret", Options{Secret: secret[:31]}, "openssl rand"},
		{"two sources", Options{Secret: secret, JWKSURL: "https://id.example/keys"}, "set one of them"},
		{"no address", Options{JWKSURL: "id.example/keys"}, "address"},
		{"a file", Options{JWKSURL: "file:///etc/passwd"}, "address"},
		{"not an address", Options{JWKSURL: "http://[::1"}, "address"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if v, err := New(context.Background(), tt.o); v != nil || err == nil || !strings.Contains(err.Error(), tt.say) {
				t.Errorf("%v, %v", v, err)
			}
		})
	}
}

func TestOptionsAreCopied(t *testing.T) {
	mine := append([]byte(nil), secret...)
	v := verifier(t, Options{Secret: mine})
	clear(mine)
	if _, err := v.Verify(sign(hs256, payload(nil))); err != nil {
		t.Error(err)
	}
}

func TestMint(t *testing.T) {
	v := verifier(t, Options{Issuer: "me", Audience: "you"})
	token, err := Mint(secret, Claims{
		UserID: "alice", Name: "Alice", Avatar: "https://example.org/a.png", Issuer: "me", Audience: "you",
		IssuedAt: now.Add(-time.Second / 2), Expires: now.Add(time.Hour + time.Second/2), Admin: true,
		Docs: map[string]string{"*": "write"}, Rooms: map[string]string{"a": "read"}, Metrics: map[string]string{"b*": "read"},
	})
	if err != nil {
		t.Fatal(err)
	}
	id, err := v.Verify(token)
	if err != nil {
		t.Fatal(err)
	}
	if id.UserID != "alice" || id.Name != "Alice" || id.Avatar != "https://example.org/a.png" || !id.Admin ||
		!id.IssuedAt.Equal(now.Add(-time.Second)) || !id.Expires.Equal(now.Add(time.Hour+time.Second)) ||
		id.Docs.Level("x") != Write || id.Rooms.Level("a") != Read || id.Metrics.Level("bc") != Read {
		t.Errorf("identity: %+v", id)
	}

	plain, err := Mint(secret, Claims{UserID: "bob", IssuedAt: now, Expires: now.Add(time.Minute)})
	if err != nil {
		t.Fatal(err)
	}
	if id, err := verifier(t, Options{}).Verify(plain); err != nil || id.Admin || id.Name != "bob" || id.Docs.Level("x") != None {
		t.Errorf("%+v, %v", id, err)
	}
}

func TestMintRefuses(t *testing.T) {
	good := Claims{UserID: "alice", IssuedAt: now, Expires: now.Add(time.Hour)}
	tests := []struct {
		name   string
		secret []byte
		change func(*Claims)
		say    string
	}{
		{"no secret", nil, func(*Claims) {}, "secret"},
		{"a short secret", secret[:31], func(*Claims) {}, "32"},
		{"nobody", secret, func(c *Claims) { c.UserID = "" }, "sub"},
		{"no time of issue", secret, func(c *Claims) { c.IssuedAt = time.Time{} }, "issued"},
		{"no expiry", secret, func(c *Claims) { c.Expires = time.Time{} }, "expire"},
		{"expired at once", secret, func(c *Claims) { c.Expires = c.IssuedAt }, "expire"},
		{"for ever", secret, func(c *Claims) { c.Expires = time.Unix(maxTime+1, 0) }, "range"},
		{"a bad level", secret, func(c *Claims) { c.Docs = map[string]string{"*": "all"} }, "atrium.docs: a level"},
		{"a bad pattern", secret, func(c *Claims) { c.Rooms = map[string]string{"a*b": "read"} }, "atrium.rooms: a pattern"},
		{"too long", secret, func(c *Claims) { c.Rooms = map[string]string{strings.Repeat("a", maxToken): "read"} }, "16 KiB"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := good
			tt.change(&c)
			if token, err := Mint(tt.secret, c); token != "" || err == nil || !strings.Contains(err.Error(), tt.say) {
				t.Errorf("%v", err)
			}
		})
	}
}

// FuzzVerify takes a string as a token, and as the payload of a well-signed one.
func FuzzVerify(f *testing.F) {
	f.Add(sign(hs256, payload(nil)))
	f.Add(payload(map[string]any{"name": "A", "iat": 1.5, "nbf": 2, "aud": []string{"a"}}))
	f.Add(`{"sub":"a","exp":2e9,"atrium":{"docs":{"a*":"read","b":"none"},"admin":true}}`)
	f.Add(`{"sub":"\ud800","exp":1e400}`)
	f.Add("a.b.c")
	v := verifier(f, Options{})
	f.Fuzz(func(t *testing.T, s string) {
		for _, token := range []string{s, sign(hs256, s), sign(s, payload(nil))} {
			id, err := v.Verify(token)
			if (id == nil) == (err == nil) {
				t.Fatalf("%v, %v", id, err)
			}
			if err != nil {
				if !errors.Is(err, ErrInvalid) && !errors.Is(err, ErrExpired) {
					t.Fatal(err)
				}
				continue
			}
			if id.UserID == "" || len(id.UserID) > maxUserID || len(id.Name) > maxName || len(id.Avatar) > maxAvatar ||
				!clean(id.UserID) || !clean(id.Name) || !id.Expires.After(now) || id.IssuedAt.Unix() < 0 || id.Expires.Unix() > maxTime {
				t.Fatalf("accepted %+v", id)
			}
		}
	})
}
