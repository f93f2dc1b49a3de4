package notify

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"atrium/internal/api"
	"atrium/internal/db"
)

type (
	// Content is exported for the sake of the API's description alone.
	Content struct {
		Kind  string          `json:"kind" doc:"For programs: 1 to 64 bytes"`
		Title string          `json:"title" doc:"For people: 1 to 256 bytes"`
		Body  string          `json:"body,omitempty" doc:"Up to 4 KiB"`
		Data  json.RawMessage `json:"data,omitempty" doc:"Any value, up to 16 KiB"`
	}
	postOne struct {
		UserID string `path:"userId"`
		Body   Content
	}
	postMany struct {
		Body struct {
			UserIDs []string `json:"userIds" minItems:"1" maxItems:"1000" nullable:"false" doc:"Each gets one"`
			Content
		}
	}
	receipt struct {
		UserID string `json:"userId"`
		ID     string `json:"id"`
		Seq    int64  `json:"seq" doc:"Counts up by one for each user, without gaps"`
	}
	oneStored struct {
		Body receipt
	}
	manyStored struct {
		Body struct {
			Notifications []receipt `json:"notifications" nullable:"false"`
		}
	}
	inboxQuery struct {
		UserID     string `path:"userId"`
		Before     string `query:"before" doc:"An id or a seq: only what is older"`
		Limit      int    `query:"limit" default:"50" minimum:"1" maximum:"200"`
		UnreadOnly bool   `query:"unreadOnly"`
	}
	inboxPage struct {
		Body struct {
			Notifications []Stored `json:"notifications" nullable:"false" doc:"The newest first"`
			Unread        int64    `json:"unread" doc:"Of the whole inbox"`
			More          bool     `json:"more" doc:"There are older ones"`
		}
	}
	sendEvent struct {
		UserID string `path:"userId"`
		Body   api.Event
	}
	empty struct{}
)

// Routes registers the calls about inboxes.
func (m *Module) Routes(a *api.API) {
	tags := []string{"Notifications"}
	api.Post(a, huma.Operation{
		Method: http.MethodPost, Path: "/users/{userId}/notifications", OperationID: "notify-user", Tags: tags, DefaultStatus: http.StatusCreated,
		Summary: "Notify a user", Description: "Stored, and delivered to every session of the user.",
	}, api.Backend, func(_ context.Context, tx *db.Tx, in *postOne) (*oneStored, func(), error) {
		r, deliver, err := m.post(tx, in.UserID, in.Body)
		return &oneStored{r}, deliver, err
	})
	api.Post(a, huma.Operation{
		Method: http.MethodPost, Path: "/notifications", OperationID: "notify-users", Tags: tags, DefaultStatus: http.StatusCreated,
		Summary: "Notify up to 1,000 users", Description: "All of them or, after an error, none.",
	}, api.Backend, func(_ context.Context, tx *db.Tx, in *postMany) (*manyStored, func(), error) {
		ids := slices.Clone(in.Body.UserIDs)
		slices.Sort(ids) // the same order for all who write
		out := new(manyStored)
		var all []func()
		for _, id := range slices.Compact(ids) {
			r, deliver, err := m.post(tx, id, in.Body.Content)
			if err != nil {
				return nil, nil, err
			}
			out.Body.Notifications = append(out.Body.Notifications, r)
			all = append(all, deliver)
		}
		return out, func() {
			for _, deliver := range all {
				deliver()
			}
		}, nil
	})
	api.Get(a, huma.Operation{
		Method: http.MethodGet, Path: "/users/{userId}/notifications", OperationID: "list-notifications", Tags: tags,
		Summary: "A user's inbox", Description: "Also with the user's own token.",
	}, api.OwnUser, func(ctx context.Context, in *inboxQuery) (*inboxPage, error) {
		p := page{limit: in.Limit, unreadOnly: in.UnreadOnly}
		if in.Before != "" {
			var before any = in.Before
			if seq, err := strconv.ParseUint(in.Before, 10, 53); err == nil {
				before = seq
			}
			if err := p.setBefore(before); err != nil {
				return nil, err
			}
		}
		out := new(inboxPage)
		err := m.opts.DB.Read(ctx, func(tx *db.Tx) (err error) {
			out.Body.Notifications, out.Body.Unread, out.Body.More, err = read(tx, in.UserID, p)
			return err
		})
		return out, err
	})
	api.Post(a, huma.Operation{
		Method: http.MethodPost, Path: "/users/{userId}/send", OperationID: "send-event", Tags: tags, DefaultStatus: http.StatusAccepted,
		Summary: "Send an event to a user's sessions", Description: "Delivered now, and not stored.",
	}, api.Backend, func(_ context.Context, _ *db.Tx, in *sendEvent) (*empty, func(), error) {
		message, err := in.Body.Message("")
		if err != nil {
			return nil, nil, err
		}
		return new(empty), func() { m.opts.Mux.PublishUser(in.UserID, message, nil) }, nil
	})
}

func (m *Module) post(tx *db.Tx, userID string, n Content) (receipt, func(), error) {
	data, err := api.Value(n.Data)
	if err != nil {
		return receipt{}, nil, err
	}
	s, deliver, err := m.add(tx, Notification{UserID: userID, Kind: n.Kind, Title: n.Title, Body: n.Body, Data: data})
	if err != nil {
		return receipt{}, nil, err
	}
	return receipt{userID, s.ID, s.Seq}, deliver, nil
}
