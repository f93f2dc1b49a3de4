package main

import (
	"atrium/collab"
	"atrium/internal/db"
	"atrium/internal/webhook"
)

// changed makes webhooks of what becomes of documents, if anybody wants them.
func (s *server) changed() func(tx *db.Tx, c collab.Change) (committed func(), err error) {
	if s.webhooks == nil {
		return nil
	}
	return func(tx *db.Tx, c collab.Change) (committed func(), err error) {
		e := webhook.Event{Kind: webhook.Changed, DocumentID: c.DocumentID, UserIDs: c.UserIDs, At: c.At}
		switch {
		case c.Created:
			e.Kind = webhook.Created
		case c.Deleted:
			e.Kind = webhook.Deleted
		}
		for _, h := range c.Heads {
			e.Heads = append(e.Heads, h.String())
		}
		return s.webhooks.Add(tx, e)
	}
}
