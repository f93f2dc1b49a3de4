package main

import (
	"encoding/json"
	"strings"

	"atrium/chat"
	"atrium/internal/db"
	"atrium/internal/mux"
	"atrium/notify"
)

// mentioned makes a notification of a mention in a chat message.
func (s *server) mentioned(tx *db.Tx, userID string, by *chat.Message) (deliver func(), err error) {
	data, err := json.Marshal(map[string]any{"roomId": by.RoomID, "messageId": by.ID, "seq": by.Seq, "user": by.User})
	if err != nil {
		return nil, err
	}
	value, err := mux.ValueOf(data)
	if err != nil {
		return nil, err
	}
	who := by.User.Name
	if who == "" { // a backend wrote it
		who = "Somebody"
	}
	return s.notify.Add(tx, notify.Notification{
		UserID: userID, Kind: "mention", Title: cut(who, 200) + " mentioned you", Body: cut(by.Content, 1<<10), Data: value,
	})
}

// cut shortens a text to at most n bytes, between runes.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "")
}
