package notify

import (
	"database/sql"
	"encoding/json"
	"errors"
	"math"
	"slices"
	"time"

	"atrium/internal/db"
	"atrium/internal/mux"
)

// Stored is a notification as an inbox shows it.
type Stored struct {
	ID        string          `json:"id"`
	Seq       int64           `json:"seq" doc:"Counts up by one for each user, without gaps"`
	Kind      string          `json:"kind"`
	Title     string          `json:"title"`
	Body      string          `json:"body"`
	Data      json.RawMessage `json:"data"`
	CreatedAt string          `json:"createdAt" format:"date-time"`
	Read      bool            `json:"read"`

	created time.Time
}

// position is where an inbox stands after a transaction.
type position struct{ version, unread int64 }

// insert appends a notification to an inbox and sets its Seq.
func insert(tx *db.Tx, userID string, s *Stored) (at position, err error) {
	// Taking the inbox first makes writers of one inbox queue up here.
	err = tx.QueryRow(`INSERT INTO inboxes (user_id, last_seq, unread, version) VALUES ($1, 1, 1, 1)
		ON CONFLICT (user_id) DO UPDATE SET last_seq = inboxes.last_seq + 1, unread = inboxes.unread + 1, version = inboxes.version + 1
		RETURNING last_seq, unread, version`, userID).Scan(&s.Seq, &at.unread, &at.version)
	if err != nil {
		return position{}, err
	}
	_, err = tx.Exec(`INSERT INTO notifications (user_id, seq, id, kind, title, body, data, created_at, version) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
		userID, s.Seq, s.ID, s.Kind, s.Title, s.Body, string(s.Data), db.Micros(s.created), at.version)
	return at, err
}

// page is what a list is asked for.
type page struct {
	beforeID   string // empty: BeforeSeq counts
	beforeSeq  int64  // 0: from the newest on
	limit      int
	unreadOnly bool
}

// maxPageBytes is how much a list may hold, beyond its first entry: an answer
// must not use up what a session's queue may hold.
const maxPageBytes = 256 << 10

// read returns notifications, the newest first, how many are unread in all, and
// whether there are more.
func read(tx *db.Tx, userID string, p page) (list []Stored, unread int64, more bool, err error) {
	list = []Stored{}
	err = tx.QueryRow(`SELECT unread FROM inboxes WHERE user_id = $1`, userID).Scan(&unread)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return nil, 0, false, err
	}
	before := p.beforeSeq
	switch {
	case p.beforeID != "":
		if before, err = seqOf(tx, userID, p.beforeID); err != nil {
			return nil, 0, false, err
		}
	case before == 0:
		before = math.MaxInt64
	}
	const columns = `SELECT id, seq, kind, title, body, data, created_at, read_at IS NOT NULL FROM notifications WHERE user_id = $1 AND seq < $2 `
	query := columns + `ORDER BY seq DESC LIMIT $3`
	if p.unreadOnly {
		query = columns + `AND read_at IS NULL ORDER BY seq DESC LIMIT $3`
	}
	rows, err := tx.Query(query, userID, before, p.limit+1)
	if err != nil {
		return nil, 0, false, err
	}
	defer rows.Close()
	for size := 0; rows.Next(); {
		var s Stored
		var data string
		var created int64
		if err := rows.Scan(&s.ID, &s.Seq, &s.Kind, &s.Title, &s.Body, &data, &created, &s.Read); err != nil {
			return nil, 0, false, err
		}
		size += len(s.Title) + len(s.Body) + len(data)
		if len(list) == p.limit || len(list) > 0 && size > maxPageBytes {
			return list, unread, true, nil
		}
		s.Data = json.RawMessage(data)
		s.CreatedAt = mux.Timestamp(time.UnixMicro(created))
		list = append(list, s)
	}
	return list, unread, false, rows.Err()
}

var errNoNotification = mux.NewError(mux.NotFound, "there is no such notification")

// seqOf finds a notification of a user.
func seqOf(tx *db.Tx, userID, id string) (seq int64, err error) {
	err = tx.QueryRow(`SELECT seq FROM notifications WHERE id = $1 AND user_id = $2`, id, userID).Scan(&seq)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, errNoNotification
	}
	return seq, err
}

// markRead marks notifications as read, all of a user with ids nil, and reports
// whether any was not. Unless all of the ids are the user's, it fails.
func markRead(tx *db.Tx, userID string, ids []string, now time.Time) (at position, changed bool, err error) {
	// The inbox first, as in insert.
	err = tx.QueryRow(`UPDATE inboxes SET version = version WHERE user_id = $1 RETURNING version, unread`, userID).Scan(&at.version, &at.unread)
	switch {
	case errors.Is(err, sql.ErrNoRows) && ids == nil:
		return position{}, false, nil
	case errors.Is(err, sql.ErrNoRows):
		return position{}, false, errNoNotification
	case err != nil:
		return position{}, false, err
	}
	var marked int64
	next := at.version + 1
	if ids == nil {
		marked, err = tx.Exec(`UPDATE notifications SET read_at = $2, read_version = $3 WHERE user_id = $1 AND read_at IS NULL`, userID, db.Micros(now), next)
		if err != nil {
			return position{}, false, err
		}
	}
	for _, id := range ids {
		n, err := tx.Exec(`UPDATE notifications SET read_at = $3, read_version = $4 WHERE id = $2 AND user_id = $1 AND read_at IS NULL`, userID, id, db.Micros(now), next)
		if err == nil && n == 0 {
			_, err = seqOf(tx, userID, id)
		}
		if err != nil {
			return position{}, false, err
		}
		marked += n
	}
	if marked == 0 {
		return at, false, nil
	}
	err = tx.QueryRow(`UPDATE inboxes SET unread = unread - $2, version = version + 1 WHERE user_id = $1 RETURNING version, unread`,
		userID, marked).Scan(&at.version, &at.unread)
	return at, true, err
}

// positionOf returns where an inbox stands; one without notifications is at 0.
func positionOf(tx *db.Tx, userID string) (at position, err error) {
	err = tx.QueryRow(`SELECT version, unread FROM inboxes WHERE user_id = $1`, userID).Scan(&at.version, &at.unread)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return at, err
}

// maxMissed is how many notifications somebody is told who has missed some.
const maxMissed = 500

// missed returns what came into an inbox after a version, and what has been read,
// of which the newest are enough if there is much; and where the inbox stands.
func missed(tx *db.Tx, userID string, since int64) (came []Stored, read []string, at position, err error) {
	if at, err = positionOf(tx, userID); err != nil {
		return nil, nil, at, err
	}
	rows, err := tx.Query(`SELECT id, seq, kind, title, body, data, created_at FROM notifications
		WHERE user_id = $1 AND version > $2 ORDER BY seq DESC LIMIT $3`, userID, since, maxMissed)
	if err != nil {
		return nil, nil, at, err
	}
	defer rows.Close()
	for rows.Next() {
		var s Stored
		var data string
		var created int64
		if err := rows.Scan(&s.ID, &s.Seq, &s.Kind, &s.Title, &s.Body, &data, &created); err != nil {
			return nil, nil, at, err
		}
		s.Data, s.CreatedAt = json.RawMessage(data), mux.Timestamp(time.UnixMicro(created))
		came = append(came, s)
	}
	if err := rows.Close(); err != nil {
		return nil, nil, at, err
	}
	slices.Reverse(came)
	rows, err = tx.Query(`SELECT id FROM notifications WHERE user_id = $1 AND read_version > $2 ORDER BY read_version DESC, seq LIMIT $3`,
		userID, since, maxMarked)
	if err != nil {
		return nil, nil, at, err
	}
	defer rows.Close()
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, nil, at, err
		}
		read = append(read, id)
	}
	return came, read, at, rows.Err()
}
