package webhook

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/google/uuid"

	"atrium/internal/db"
)

// body is what the receiver gets.
type body struct {
	ID         string   `json:"id"`
	Type       Kind     `json:"type"`
	DocumentID string   `json:"documentId"`
	URL        string   `json:"url"`
	Heads      []string `json:"heads,omitempty"`
	UserIDs    []string `json:"userIds"`
	At         string   `json:"at"`
}

// message is one to the receiver.
type message struct {
	id          string
	body        string
	attempts    int       // that have failed
	firstFailed time.Time // zero: none has
}

func newMessage(e Event) (message, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return message{}, err
	}
	users := append([]string{}, e.UserIDs...)
	text, err := json.Marshal(body{
		ID: id.String(), Type: e.Kind, DocumentID: e.DocumentID, URL: "automerge:" + e.DocumentID,
		Heads: e.Heads, UserIDs: users[:min(len(users), maxUsers)], At: e.At.UTC().Format(time.RFC3339Nano),
	})
	return message{id: id.String(), body: string(text)}, err
}

// insertCreated is for a document of which nothing has been told, nor is to be.
func insertCreated(tx *db.Tx, e Event) error {
	msg, err := newMessage(e)
	if err != nil {
		return err
	}
	_, err = tx.Exec(`INSERT INTO webhooks (document_id, due_at, sending_id, sending) VALUES ($1, $2, $3, $4) ON CONFLICT (document_id) DO NOTHING`,
		e.DocumentID, db.Micros(e.At), msg.id, msg.body)
	return err
}

// gather adds an event to what is to be told of its document next, and returns
// when there may be something to do: at due, or when there was before.
func gather(tx *db.Tx, e Event, due time.Time) (at time.Time, err error) {
	users := e.UserIDs[:min(len(e.UserIDs), maxUsers)]
	first := ""
	if len(users) > 0 {
		first = newline + users[0] + newline
	}
	var dueAt int64
	err = tx.QueryRow(`INSERT INTO webhooks (document_id, due_at, kind, heads, user_ids, first_at, last_at) VALUES ($1, $2, $3, $4, $5, $6, $6)
		ON CONFLICT (document_id) DO UPDATE SET kind = $3, heads = $4, last_at = $6,
			due_at = CASE WHEN webhooks.sending_id IS NULL AND webhooks.due_at > $2 THEN $2 ELSE webhooks.due_at END,
			first_at = CASE WHEN webhooks.kind IS NULL THEN $6 ELSE webhooks.first_at END,
			user_ids = CASE WHEN webhooks.kind IS NULL THEN $5
				WHEN replace(webhooks.user_ids, $5, '') <> webhooks.user_ids THEN webhooks.user_ids
				WHEN length(webhooks.user_ids) - length(replace(webhooks.user_ids, $7, '')) >= $8 THEN webhooks.user_ids
				ELSE webhooks.user_ids || $5 END
		RETURNING due_at`,
		e.DocumentID, db.Micros(due), string(e.Kind), strings.Join(e.Heads, " "), first, db.Micros(e.At), newline, 2*maxUsers).Scan(&dueAt)
	if err != nil {
		return time.Time{}, err
	}
	for _, user := range users[min(len(users), 1):] {
		_, err := tx.Exec(`UPDATE webhooks SET user_ids = user_ids || $2 WHERE document_id = $1 AND replace(user_ids, $2, '') = user_ids
			AND length(user_ids) - length(replace(user_ids, $3, '')) < $4`, e.DocumentID, newline+user+newline, newline, 2*maxUsers)
		if err != nil {
			return time.Time{}, err
		}
	}
	return time.UnixMicro(dueAt), nil
}

// newline stands before and behind each user id in user_ids: none has one in it.
const newline = "\n"

// upcoming is a document of which there may be something to tell.
type upcoming struct {
	documentID string
	due        time.Time
}

// upcoming returns those that come first.
func (m *Module) upcoming(limit int) (list []upcoming, err error) {
	err = m.opts.DB.Read(context.Background(), func(tx *db.Tx) error {
		rows, err := tx.Query(`SELECT document_id, due_at FROM webhooks ORDER BY due_at LIMIT $1`, limit)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var u upcoming
			var due int64
			if err := rows.Scan(&u.documentID, &due); err != nil {
				return err
			}
			u.due = time.UnixMicro(due)
			list = append(list, u)
		}
		return rows.Err()
	})
	return list, err
}

// take returns what is to be sent of a document now. What has gathered becomes a
// message of its own by this, which nothing is added to any more; and other nodes
// leave it to this one for a while.
func (m *Module) take(documentID string, now time.Time) (msg message, ok bool, err error) {
	err = m.write(func(tx *db.Tx) error {
		var due int64
		var id, text, kind, heads, users sql.NullString
		var failed, first, last sql.NullInt64
		// An update, so that nobody adds anything meanwhile.
		err := tx.QueryRow(`UPDATE webhooks SET due_at = due_at WHERE document_id = $1
			RETURNING due_at, sending_id, sending, attempts, failed_at, kind, heads, user_ids, first_at, last_at`,
			documentID).Scan(&due, &id, &text, &msg.attempts, &failed, &kind, &heads, &users, &first, &last)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			return nil
		case err != nil:
			return err
		case due > db.Micros(now):
			return nil
		case id.Valid:
			msg.id, msg.body = id.String, text.String
			if failed.Valid {
				msg.firstFailed = time.UnixMicro(failed.Int64)
			}
			ok = true
			return m.claimed(tx, documentID, id.String, now)
		}
		quiet := min(last.Int64+m.opts.Quiet.Microseconds(), first.Int64+m.opts.AtMost.Microseconds())
		if Kind(kind.String) == Changed && quiet > db.Micros(now) {
			_, err := tx.Exec(`UPDATE webhooks SET due_at = $2 WHERE document_id = $1`, documentID, quiet)
			return err
		}
		msg, err = newMessage(Event{
			Kind: Kind(kind.String), DocumentID: documentID, Heads: strings.Fields(heads.String),
			UserIDs: splitUsers(users.String), At: time.UnixMicro(last.Int64),
		})
		if err != nil {
			return err
		}
		ok = true
		_, err = tx.Exec(`UPDATE webhooks SET sending_id = $2, sending = $3, attempts = 0, failed_at = NULL,
			kind = NULL, heads = NULL, user_ids = NULL, first_at = NULL, last_at = NULL WHERE document_id = $1`,
			documentID, msg.id, msg.body)
		if err != nil {
			return err
		}
		return m.claimed(tx, documentID, msg.id, now)
	})
	return msg, ok && err == nil, err
}

// claimed keeps other nodes from sending a message while this one does. If this
// one dies over it, they do so later.
func (m *Module) claimed(tx *db.Tx, documentID, id string, now time.Time) error {
	if !m.opts.DB.Shared() {
		return nil
	}
	return setDue(tx, documentID, id, now.Add(m.opts.Timeout+claimSlack))
}

// unclaim gives a message back that has not been sent.
func (m *Module) unclaim(documentID, id string, now time.Time) error {
	return m.write(func(tx *db.Tx) error { return setDue(tx, documentID, id, now) })
}

func setDue(tx *db.Tx, documentID, id string, due time.Time) error {
	_, err := tx.Exec(`UPDATE webhooks SET due_at = $3 WHERE document_id = $1 AND sending_id = $2`, documentID, id, db.Micros(due))
	return err
}

func splitUsers(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == '\n' })
}

// finish ends the sending of a message.
func (m *Module) finish(documentID, id string, now time.Time) error {
	return m.write(func(tx *db.Tx) error {
		n, err := tx.Exec(`DELETE FROM webhooks WHERE document_id = $1 AND sending_id = $2 AND kind IS NULL`, documentID, id)
		if err == nil && n == 0 {
			_, err = tx.Exec(`UPDATE webhooks SET sending_id = NULL, sending = NULL, due_at = $3 WHERE document_id = $1 AND sending_id = $2`,
				documentID, id, db.Micros(now))
		}
		return err
	})
}

// postpone notes that an attempt to send a message has failed, and when the next
// one is due.
func (m *Module) postpone(documentID string, msg message, due time.Time) error {
	return m.write(func(tx *db.Tx) error {
		_, err := tx.Exec(`UPDATE webhooks SET attempts = $3, failed_at = $4, due_at = $5 WHERE document_id = $1 AND sending_id = $2`,
			documentID, msg.id, msg.attempts, db.Micros(msg.firstFailed), db.Micros(due))
		return err
	})
}

func (m *Module) write(fn func(tx *db.Tx) error) error {
	return m.opts.DB.Write(context.Background(), fn)
}
