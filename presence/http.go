package presence

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"atrium/internal/api"
	"atrium/internal/auth"
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
	session struct {
		SessionID   string `json:"sessionId"`
		SenderID    string `json:"senderId"`
		ConnectedAt string `json:"connectedAt" format:"date-time"`
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
	}, api.Backend, func(_ context.Context, in *userPath) (*sessionsBody, error) {
		out := new(sessionsBody)
		out.Body.Sessions = []session{}
		for _, s := range m.opts.Mux.SessionsOf(in.UserID) {
			out.Body.Sessions = append(out.Body.Sessions, session{s.ID, s.SenderID, mux.Timestamp(s.Since)})
		}
		return out, nil
	})
	api.Post(a, huma.Operation{
		Method: http.MethodPost, Path: "/users/{userId}/disconnect", OperationID: "disconnect-user", Tags: tags, DefaultStatus: http.StatusOK,
		Summary: "Close a user's sessions", Description: "With close code 4403. The user may come again.",
	}, api.Backend, func(_ context.Context, _ *db.Tx, in *userPath) (*closedBody, func(), error) {
		return m.closing(in.UserID, mux.CloseForbidden, "disconnected by an operator")
	})
	api.Post(a, huma.Operation{
		Method: http.MethodPost, Path: "/users/{userId}/revoke", OperationID: "revoke-tokens", Tags: tags, DefaultStatus: http.StatusOK,
		Summary: "Refuse a user's tokens issued before now", Description: "Sessions are closed with 4401. A token's iat counts whole seconds: one issued in the same second is refused too.",
	}, api.Backend, func(_ context.Context, tx *db.Tx, in *userPath) (*closedBody, func(), error) {
		now := time.Now()
		if err := revoke(tx, in.UserID, now); err != nil {
			return nil, nil, err
		}
		out, closeAll, err := m.closing(in.UserID, mux.CloseBadToken, "token revoked")
		return out, func() {
			m.mu.Lock()
			m.revoked[in.UserID] = now
			m.mu.Unlock()
			closeAll()
		}, err
	})
}

// closing closes a user's sessions once the answer is certain.
func (m *Module) closing(userID string, code mux.CloseCode, reason string) (*closedBody, func(), error) {
	out := new(closedBody)
	out.Body.Sessions = len(m.opts.Mux.SessionsOf(userID))
	return out, func() { m.opts.Mux.CloseUser(userID, code, reason) }, nil
}

// Revoked reports whether a token that is good by itself is refused.
func (m *Module) Revoked(id *auth.Identity) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	before, ok := m.revoked[id.UserID]
	return ok && id.IssuedAt.Before(before)
}
