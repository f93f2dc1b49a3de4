package api

import (
	"encoding/json"

	"atrium/internal/mux"
)

// Event is the body of a call that sends an event to sessions as it likes.
type Event struct {
	Event string          `json:"event" doc:"1 to 256 bytes"`
	Data  json.RawMessage `json:"data,omitempty" doc:"Any value, up to 64 KiB"`
}

type eventMessage struct {
	Type   string    `json:"type"`
	Event  string    `json:"event"`
	Data   mux.Value `json:"data"`
	RoomID string    `json:"roomId,omitempty"`
}

// Message is the event as sessions get it; roomID is empty where there is none.
func (e *Event) Message(roomID string) (any, error) {
	data, err := Value(e.Data)
	switch {
	case err != nil:
		return nil, err
	case !mux.ValidName(e.Event):
		return nil, mux.NewError(mux.BadRequest, "event must have 1 to 256 bytes, without control characters")
	case data.Len() > mux.MaxMessage:
		return nil, mux.NewError(mux.BadRequest, "data must have at most 64 KiB")
	}
	return &eventMessage{"event", e.Event, data, roomID}, nil
}

// Value reads a value from a body; none is null. It also decodes it: some JSON is
// beyond what others can be told, such as 1e999.
func Value(data json.RawMessage) (v mux.Value, err error) {
	if data == nil {
		return v, nil
	}
	if err := json.Unmarshal(data, &v); err != nil {
		return v, mux.NewError(mux.BadRequest, "data must be a JSON value")
	}
	return v, nil
}
