package api

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"atrium/internal/db"
	"atrium/internal/mux"
)

const (
	idempotencyKey    = "Idempotency-Key"
	maxIdempotencyKey = 255
	keepClaims        = 24 * time.Hour
)

type claimKey struct{} // in a call's context: its Idempotency-Key

// claim is an Idempotency-Key on its way through one call: nil for none. It is
// the caller's, for one route; the same key for something else is a mistake.
type claim struct {
	caller, route, key string
	request            []byte // hash of what was asked
}

func newClaim(ctx context.Context, route string, in any) (*claim, error) {
	key, _ := ctx.Value(claimKey{}).(string)
	switch {
	case key == "":
		return nil, nil
	case len(key) > maxIdempotencyKey:
		return nil, mux.NewError(mux.BadRequest, "Idempotency-Key is too long")
	}
	request, err := json.Marshal(in)
	if err != nil {
		return nil, err
	}
	hash := sha256.Sum256(request)
	return &claim{CallerOf(ctx).Name, route, key, hash[:]}, nil
}

// look returns the answer that a call with the same key was given, nil if there
// was none.
func (c *claim) look(tx *db.Tx) (answer []byte, err error) {
	if c == nil {
		return nil, nil
	}
	now := time.Now()
	if _, err := tx.Exec(`DELETE FROM idempotency_keys WHERE created_at < $1`, db.Micros(now.Add(-keepClaims))); err != nil {
		return nil, err
	}
	var request []byte
	err = tx.QueryRow(`SELECT request, answer FROM idempotency_keys WHERE caller = $1 AND route = $2 AND key = $3`,
		c.caller, c.route, c.key).Scan(&request, &answer)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, nil
	case err != nil:
		return nil, err
	case string(request) != string(c.request):
		return nil, huma.Error422UnprocessableEntity("this Idempotency-Key was used for another request")
	}
	return answer, nil
}

var errRunning = mux.NewError(mux.Conflict, "a call with this Idempotency-Key is under way")

// store keeps the answer. It fails if another call with the same key is being
// answered at this moment.
func (c *claim) store(tx *db.Tx, out any) error {
	if c == nil {
		return nil
	}
	answer, err := json.Marshal(out)
	if err != nil {
		return err
	}
	n, err := tx.Exec(`INSERT INTO idempotency_keys (caller, route, key, request, answer, created_at) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (caller, route, key) DO NOTHING`, c.caller, c.route, c.key, c.request, answer, db.Micros(time.Now()))
	if err == nil && n == 0 {
		return errRunning
	}
	return err
}

// OnceName names what a call is about to do once: the same for the same caller,
// call and Idempotency-Key, and for nothing else. It is empty without a key.
func OnceName(ctx context.Context, route string) string {
	key, _ := ctx.Value(claimKey{}).(string)
	if key == "" {
		return ""
	}
	return CallerOf(ctx).Name + "\x00" + route + "\x00" + key
}
