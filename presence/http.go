package presence

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"atrium/internal/api"
	"atrium/internal/db"
	"atrium/internal/mux"
)

type (
	usersQuery struct {
		UserIDs []string `query:"userId,explode" required:"true" minItems:"1" maxItems:"1000" doc:"Once for each user"`
	}
	statesBody struct {
		Body struct {
			Users []State `json:"users" nullable:"false"`
		}
	}
	userPath struct {
		UserID string `path:"userId" minLength:"1" maxLength:"256"`
	}
	sessionsBody struct {
		Body struct {
			Sessions []session `json:"sessions" nullable:"false"`
		}
	}
	closedBody struct {
		Body struct {
			Sessions int `json:"sessions" doc:"How many were closed"`
		}
	}
)

// Routes registers the calls about users.
func (m *Module) Routes(a *api.API) {
	tags := []string{"Users"}
	api.Get(a, huma.Operation{
		Method: http.MethodGet, Path: "/presence", OperationID: "presence", Tags: tags,
		Summary: "Statuses of up to 1,000 users",
	}, api.Backend, func(ctx context.Context, in *usersQuery) (*statesBody, error) {
		states, err := m.States(ctx, in.UserIDs)
		out := new(statesBody)
		out.Body.Users = states
		return out, err
	})
	api.Get(a, huma.Operation{
		Method: http.MethodGet, Path: "/users/{userId}/sessions", OperationID: "list-sessions", Tags: tags,
		Summary: "A user's sessions",
	}, api.Backend, func(ctx context.Context, in *userPath) (*sessionsBody, error) {
		out := new(sessionsBody)
		out.Body.Sessions = append([]session{}, m.users.look(ctx, []string{in.UserID})[0].where...)
		return out, nil
	})
	api.Post(a, huma.Operation{
		Method: http.MethodPost, Path: "/users/{userId}/disconnect", OperationID: "disconnect-user", Tags: tags, DefaultStatus: http.StatusOK,
		Summary: "Close a user's sessions", Description: "With close code 4403. The user may come again.",
	}, api.Backend, func(ctx context.Context, _ *db.Tx, in *userPath) (*closedBody, func(), error) {
		return m.closing(ctx, in.UserID, mux.CloseForbidden, "disconnected by an operator")
	})
	api.Post(a, huma.Operation{
		Method: http.MethodPost, Path: "/users/{userId}/revoke", OperationID: "revoke-tokens", Tags: tags, DefaultStatus: http.StatusOK,
		Summary: "Refuse a user's tokens issued before now", Description: "Sessions are closed with 4401. A token's iat counts whole seconds: one issued in the same second is refused too.",
	}, api.Backend, func(ctx context.Context, tx *db.Tx, in *userPath) (*closedBody, func(), error) {
		now := time.Now()
		if err := revoke(tx, in.UserID, now); err != nil {
			return nil, nil, err
		}
		out, closeAll, err := m.closing(ctx, in.UserID, mux.CloseBadToken, "token revoked")
		return out, func() {
			m.revoke(map[string]time.Time{in.UserID: now})
			m.tellRevoked(in.UserID, now)
			closeAll()
		}, err
	})
}

// closing closes a user's sessions once the answer is certain.
func (m *Module) closing(ctx context.Context, userID string, code mux.CloseCode, reason string) (*closedBody, func(), error) {
	out := new(closedBody)
	out.Body.Sessions = m.users.look(ctx, []string{userID})[0].sessions
	return out, func() { m.opts.Mux.CloseUser(userID, code, reason) }, nil
}
