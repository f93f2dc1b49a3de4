// Package api is the HTTP side for backends, under /api/v1: who calls, what they
// may, and that a call that is sent again takes effect once. The calls themselves
// stand in the modules that they serve.
//
// It keeps no sessions and no cookies: every call carries its key or token.
package api

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"sync"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"atrium/internal/auth"
	"atrium/internal/db"
	"atrium/internal/mux"
)

// Options of New.
type Options struct {
	DB      *db.DB                                     // required
	Verify  func(token string) (*auth.Identity, error) // required
	Keys    []string                                   // of backends
	Version string                                     // of this program

	AllowsOrigin func(*http.Request) bool // whether a browser from there may call

	Logger *slog.Logger // default: slog.Default()
}

// API is safe for concurrent use once all calls are registered.
type API struct {
	opts  Options
	keys  []hashedKey
	http  *http.ServeMux
	root  huma.API
	calls *huma.Group // all those under /api/v1

	running sync.Map // names of claims whose calls by Do are under way
}

// New returns an API without any calls but its own description.
func New(o Options) *API {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	config := huma.DefaultConfig("Atrium", o.Version)
	config.Info.Description = "Backends push into Atrium and read from it. WebSocket messages are described in docs/protocol.md."
	config.DocsPath, config.SchemasPath, config.CreateHooks = "", "", nil // the docs page is ours, and loads nothing from elsewhere
	config.AllowAdditionalPropertiesByDefault = true
	config.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"bearer": {Type: "http", Scheme: "bearer", Description: "An API key, or a token with admin; for a user's own things the user's token."},
	}
	a := &API{opts: o, http: http.NewServeMux()}
	for _, k := range o.Keys {
		a.keys = append(a.keys, hashKey(k))
	}
	a.root = humago.New(a.http, config)
	a.calls = huma.NewGroup(a.root, prefix)
	a.http.HandleFunc("GET "+prefix+"/docs", a.docs)
	a.http.HandleFunc(prefix+"/", func(w http.ResponseWriter, _ *http.Request) {
		writeProblem(w, http.StatusNotFound, "there is no such call")
	})
	return a
}

const prefix = "/api/v1"

// Routes adds the API to the paths of a server.
func (a *API) Routes(m *http.ServeMux) {
	m.Handle(prefix+"/", a)
	m.Handle("GET /openapi.json", a.http)
}

// ServeHTTP answers a call, and browsers that ask whether they may call.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if origin := r.Header.Get("Origin"); origin != "" {
		h := w.Header()
		h.Add("Vary", "Origin")
		if a.opts.AllowsOrigin != nil && a.opts.AllowsOrigin(r) {
			h.Set("Access-Control-Allow-Origin", origin)
			h.Set("Access-Control-Expose-Headers", "ETag, Retry-After")
		}
		if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
			h.Set("Access-Control-Allow-Methods", "GET, POST, PUT, PATCH, DELETE")
			h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match")
			h.Set("Access-Control-Max-Age", "600")
			w.WriteHeader(http.StatusNoContent)
			return
		}
	}
	w.Header().Set("Cache-Control", "no-store")
	a.http.ServeHTTP(w, r)
}

// Get registers a call that changes nothing.
func Get[I, O any](a *API, op huma.Operation, access Access, handle func(ctx context.Context, in *I) (*O, error)) {
	a.describe(&op, access)
	huma.Register(a.calls, op, func(ctx context.Context, in *I) (*O, error) {
		out, err := handle(ctx, in)
		return out, a.problem(err)
	})
}

// Post registers a call with an effect, of any method. handle runs in one
// transaction, together with the claim of the Idempotency-Key; deliver, if there
// is one, after the commit. handle may run more than once before that.
func Post[I, O any](a *API, op huma.Operation, access Access, handle func(ctx context.Context, tx *db.Tx, in *I) (out *O, deliver func(), err error)) {
	a.describe(&op, access)
	describeKey(&op)
	huma.Register(a.calls, op, func(ctx context.Context, in *I) (*O, error) {
		claim, err := newClaim(ctx, op.OperationID, in)
		if err != nil {
			return nil, a.problem(err)
		}
		var out *O
		var deliver func()
		err = a.opts.DB.Write(ctx, func(tx *db.Tx) error {
			out, deliver = nil, nil
			stored, err := claim.look(tx)
			if err != nil {
				return err
			}
			if stored != nil {
				return json.Unmarshal(stored, &out)
			}
			if out, deliver, err = handle(ctx, tx, in); err != nil {
				return err
			}
			return claim.store(tx, out)
		})
		if err != nil {
			return nil, a.problem(err)
		}
		if deliver != nil {
			deliver()
		}
		return out, nil
	})
}

// Do registers a call with an effect that is not of one transaction. handle must
// be such that doing it again changes nothing: with an Idempotency-Key its answer
// is stored afterwards.
func Do[I, O any](a *API, op huma.Operation, access Access, handle func(ctx context.Context, in *I) (*O, error)) {
	a.describe(&op, access)
	describeKey(&op)
	huma.Register(a.calls, op, func(ctx context.Context, in *I) (out *O, err error) {
		claim, err := newClaim(ctx, op.OperationID, in)
		if err != nil {
			return nil, a.problem(err)
		}
		var stored []byte
		if claim != nil {
			name := claim.caller + "\x00" + claim.route + "\x00" + claim.key
			if _, running := a.running.LoadOrStore(name, nil); running {
				return nil, a.problem(errRunning)
			}
			defer a.running.Delete(name)
			err = a.opts.DB.Write(ctx, func(tx *db.Tx) (err error) {
				stored, err = claim.look(tx)
				return err
			})
		}
		switch {
		case err != nil:
			return nil, a.problem(err)
		case stored != nil:
			return out, a.problem(json.Unmarshal(stored, &out))
		}
		if out, err = handle(ctx, in); err == nil && claim != nil {
			err = a.opts.DB.Write(ctx, func(tx *db.Tx) error { return claim.store(tx, out) })
		}
		if err != nil {
			return nil, a.problem(err)
		}
		return out, nil
	})
}

func describeKey(op *huma.Operation) {
	if op.Method == http.MethodPost {
		op.Parameters = append(op.Parameters, &huma.Param{
			Name: idempotencyKey, In: "header", Schema: &huma.Schema{Type: huma.TypeString},
			Description: "Any text of at most 255 bytes. The same call with the same key takes effect once in 24 hours, and gets the same answer.",
		})
	}
}

// describe completes an operation.
func (a *API) describe(op *huma.Operation, access Access) {
	op.Security = []map[string][]string{{"bearer": {}}}
	op.Middlewares = append(op.Middlewares, a.authorise(access))
	if g, ok := op.Metadata[gateKey].(*Gate); ok {
		op.Middlewares = append(op.Middlewares, a.pass(g))
	}
	op.Errors = append(op.Errors, http.StatusUnauthorized, http.StatusForbidden)
}

// problem turns an error into what the caller is told.
func (a *API) problem(err error) error {
	if err == nil {
		return nil
	}
	var coded *mux.Error
	var status huma.StatusError
	switch {
	case errors.As(err, &coded):
		return huma.NewError(statusOf(coded.Code), coded.Message)
	case errors.As(err, &status):
		return err
	case errors.Is(err, context.Canceled):
		return huma.Error503ServiceUnavailable("the call was given up") // by who made it, or it is the end
	case db.Retryable(err):
		a.opts.Logger.Warn("call failed", "error", err)
		return huma.Error503ServiceUnavailable("the database is not available at the moment")
	}
	a.opts.Logger.Error("call failed", "error", err)
	return huma.Error500InternalServerError("internal error")
}

func statusOf(code mux.Code) int {
	switch code {
	case mux.BadRequest:
		return http.StatusBadRequest
	case mux.Unauthenticated:
		return http.StatusUnauthorized
	case mux.Forbidden:
		return http.StatusForbidden
	case mux.NotFound:
		return http.StatusNotFound
	case mux.Conflict:
		return http.StatusConflict
	case mux.TooLarge:
		return http.StatusRequestEntityTooLarge
	case mux.RateLimited:
		return http.StatusTooManyRequests
	case mux.Unavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

func writeProblem(w http.ResponseWriter, status int, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(&huma.ErrorModel{Status: status, Title: http.StatusText(status), Detail: detail})
}
