package chat

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"atrium/internal/api"
	"atrium/internal/db"
	"atrium/internal/mux"
)

type (
	postMessage struct {
		RoomID string `path:"roomId"`
		Body   struct {
			Content  string `json:"content" doc:"Up to 16 KiB"`
			UserID   string `json:"userId,omitempty" doc:"In whose name; default: nobody's"`
			ClientID string `json:"clientId,omitempty" doc:"Of several with the same one, in the same name, the first counts"`
		}
	}
	postedMessage struct {
		Body *Message
	}
	historyQuery struct {
		RoomID string `path:"roomId"`
		Before int64  `query:"before" minimum:"1" doc:"A seq: only what is older"`
		After  int64  `query:"after" default:"-1" minimum:"-1" doc:"A seq: only what is newer, the oldest of it first"`
		Limit  int    `query:"limit" default:"50" minimum:"1" maximum:"200"`
	}
	messagesPage struct {
		Body struct {
			Messages []*Message `json:"messages" nullable:"false" doc:"In the order of their seq"`
			More     bool       `json:"more" doc:"There are more on the way"`
		}
	}
	broadcastEvent struct {
		RoomID string `path:"roomId"`
		Body   api.Event
	}
	empty struct{}
)

// Routes registers the calls about rooms.
func (m *Module) Routes(a *api.API) {
	tags := []string{"Rooms"}
	api.Post(a, huma.Operation{
		Method: http.MethodPost, Path: "/rooms/{roomId}/messages", OperationID: "post-message", Tags: tags, DefaultStatus: http.StatusCreated,
		Summary: "Write a message into a room", Description: "Stored, and told to all who are in the room.",
	}, api.Backend, func(_ context.Context, tx *db.Tx, in *postMessage) (*postedMessage, func(), error) {
		content, err := contentOf(&in.Body.Content)
		switch {
		case err != nil:
			return nil, nil, err
		case !validID(in.Body.UserID):
			return nil, nil, mux.NewError(mux.BadRequest, "userId must have 256 bytes at most, without control characters")
		}
		if err := checkRoom(in.RoomID); err != nil {
			return nil, nil, err
		}
		cm := &Message{RoomID: in.RoomID, Content: content, ClientID: in.Body.ClientID}
		if cm.User, err = userOf(tx, in.Body.UserID); err != nil {
			return nil, nil, err
		}
		deliver, err := m.add(tx, cm)
		return &postedMessage{cm}, deliver, err
	})
	api.Get(a, huma.Operation{
		Method: http.MethodGet, Path: "/rooms/{roomId}/messages", OperationID: "list-messages", Tags: tags,
		Summary: "A room's messages", Description: "The newest ones, unless before or after is said.",
	}, api.Backend, func(ctx context.Context, in *historyQuery) (*messagesPage, error) {
		if err := checkRoom(in.RoomID); err != nil {
			return nil, err
		}
		out := new(messagesPage)
		err := m.opts.DB.Read(ctx, func(tx *db.Tx) (err error) {
			out.Body.Messages, out.Body.More, err = history(tx, in.RoomID, page{in.Before, in.After, in.Limit})
			return err
		})
		return out, err
	})
	api.Post(a, huma.Operation{
		Method: http.MethodPost, Path: "/rooms/{roomId}/broadcast", OperationID: "broadcast-event", Tags: tags, DefaultStatus: http.StatusAccepted,
		Summary: "Send an event to all who are in a room", Description: "Delivered now, and not stored.",
	}, api.Backend, func(_ context.Context, _ *db.Tx, in *broadcastEvent) (*empty, func(), error) {
		if err := checkRoom(in.RoomID); err != nil {
			return nil, nil, err
		}
		message, err := in.Body.Message(in.RoomID)
		if err != nil {
			return nil, nil, err
		}
		return new(empty), func() { m.broadcast(in.RoomID, message) }, nil
	})
}

func checkRoom(roomID string) error {
	if !mux.ValidName(roomID) {
		return mux.NewError(mux.BadRequest, "roomId must have 1 to 256 bytes, without control characters")
	}
	return nil
}
