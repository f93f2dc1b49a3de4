package chat

import (
	"database/sql"
	"errors"
	"math"
	"slices"
	"time"

	"atrium/internal/db"
	"atrium/internal/mux"
)

// kind is what has happened at a seq of a room.
type kind int

const (
	sent kind = iota
	edited
	deleted
)

// Message is one of a room, as it is now.
type Message struct {
	ID        string   `json:"id"`
	RoomID    string   `json:"roomId"`
	Seq       int64    `json:"seq" doc:"Counts up by one in each room, without gaps; edits and deletions take the next one, too"`
	Content   string   `json:"content"`
	User      mux.User `json:"user" doc:"Who wrote it; the id is empty for a backend's own"`
	CreatedAt string   `json:"createdAt" format:"date-time"`
	ClientID  string   `json:"clientId,omitempty"`
	ReplyTo   string   `json:"replyTo,omitempty" doc:"A message's id"`
	EditedAt  string   `json:"editedAt,omitempty" format:"date-time"`
	Deleted   bool     `json:"deleted,omitempty"`
}

// event is what has happened at a seq.
type event struct {
	seq    int64
	kind   kind
	at     string // when; of edits and deletions
	userID string // who did it; of edits and deletions
	of     *Message
}

// nextSeq takes the next seq of a room. It comes first in every transaction that
// takes one, so that writers of one room queue up here.
func nextSeq(tx *db.Tx, roomID string, now time.Time) (seq int64, err error) {
	err = tx.QueryRow(`INSERT INTO chat_rooms (id, last_seq, updated_at) VALUES ($1, 1, $2)
		ON CONFLICT (id) DO UPDATE SET last_seq = chat_rooms.last_seq + 1, updated_at = $2 RETURNING last_seq`,
		roomID, db.Micros(now)).Scan(&seq)
	return seq, err
}

// insert stores a message; m's Seq is set.
func insert(tx *db.Tx, m *Message, now time.Time) (err error) {
	if m.Seq, err = nextSeq(tx, m.RoomID, now); err != nil {
		return err
	}
	_, err = tx.Exec(`INSERT INTO chat_messages (room_id, seq, id, user_id, content, client_id, reply_to, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		m.RoomID, m.Seq, m.ID, m.User.ID, m.Content, nullable(m.ClientID), nullable(m.ReplyTo), db.Micros(now))
	return err
}

func nullable(s string) sql.NullString { return sql.NullString{String: s, Valid: s != ""} }

// change edits a message, or deletes it, and returns the seq that this took.
func change(tx *db.Tx, m *Message, k kind, content, userID string, now time.Time) (seq int64, err error) {
	if seq, err = nextSeq(tx, m.RoomID, now); err != nil {
		return 0, err
	}
	query := `UPDATE chat_messages SET content = $3, edited_at = $4 WHERE room_id = $1 AND seq = $2`
	if k == deleted {
		query = `UPDATE chat_messages SET content = $3, deleted_at = $4 WHERE room_id = $1 AND seq = $2`
	}
	if _, err = tx.Exec(query, m.RoomID, m.Seq, content, db.Micros(now)); err != nil {
		return 0, err
	}
	_, err = tx.Exec(`INSERT INTO chat_changes (room_id, seq, message_seq, kind, user_id, created_at) VALUES ($1, $2, $3, $4, $5, $6)`,
		m.RoomID, seq, m.Seq, int(k), userID, db.Micros(now))
	return seq, err
}

// columns are those that scan reads; who was never seen is called by their id.
const (
	columns = ` m.id, m.room_id, m.seq, m.content, m.user_id, COALESCE(u.name, m.user_id), COALESCE(u.avatar, ''),
		m.client_id, m.reply_to, m.created_at, m.edited_at, m.deleted_at `
	from = ` FROM chat_messages m LEFT JOIN users u ON u.id = m.user_id `
)

// row is a row of the database, or all that one query returns.
type row interface{ Scan(dest ...any) error }

func scan(r row, before ...any) (*Message, error) {
	m := new(Message)
	var clientID, replyTo sql.NullString
	var created int64
	var editedAt, deletedAt sql.NullInt64
	err := r.Scan(append(before, &m.ID, &m.RoomID, &m.Seq, &m.Content, &m.User.ID, &m.User.Name, &m.User.Avatar,
		&clientID, &replyTo, &created, &editedAt, &deletedAt)...)
	if err != nil {
		return nil, err
	}
	m.ClientID, m.ReplyTo, m.Deleted = clientID.String, replyTo.String, deletedAt.Valid
	m.CreatedAt = mux.Timestamp(time.UnixMicro(created))
	if editedAt.Valid {
		m.EditedAt = mux.Timestamp(time.UnixMicro(editedAt.Int64))
	}
	return m, nil
}

var errNoMessage = mux.NewError(mux.NotFound, "there is no such message in this room")

// find returns a message of a room, deleted or not.
func find(tx *db.Tx, roomID, id string) (*Message, error) {
	m, err := scan(tx.QueryRow(`SELECT`+columns+from+`WHERE m.id = $1 AND m.room_id = $2`, id, roomID))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, errNoMessage
	}
	return m, err
}

// findSent returns the message that a user has sent with a client id, nil if
// there is none.
func findSent(tx *db.Tx, roomID, userID, clientID string) (*Message, error) {
	m, err := scan(tx.QueryRow(`SELECT`+columns+from+`WHERE m.room_id = $1 AND m.user_id = $2 AND m.client_id = $3`, roomID, userID, clientID))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return m, err
}

// userOf returns how others are shown a user; who was never seen is called by
// their id.
func userOf(tx *db.Tx, userID string) (mux.User, error) {
	u := mux.User{ID: userID, Name: userID}
	err := tx.QueryRow(`SELECT name, avatar FROM users WHERE id = $1`, userID).Scan(&u.Name, &u.Avatar)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return u, err
}

// lastSeq returns where a room stands; 0 for one without messages.
func lastSeq(tx *db.Tx, roomID string) (seq int64, err error) {
	err = tx.QueryRow(`SELECT last_seq FROM chat_rooms WHERE id = $1`, roomID).Scan(&seq)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	return seq, err
}

// page is a piece of a room's history: limit messages next to a seq.
type page struct {
	before int64 // 0: up to the newest
	after  int64 // -1: not said; else the page begins there
	limit  int
}

// maxPageBytes is how much content an answer may hold, beyond its first message:
// it must not use up what a session's queue may hold.
// JSON may write six bytes for one.
const maxPageBytes = 128 << 10

// history returns messages in the order of their seq, and whether there are more
// on the way.
func history(tx *db.Tx, roomID string, p page) (list []*Message, more bool, err error) {
	if p.before == 0 {
		p.before = math.MaxInt64
	}
	query := `SELECT` + columns + from + `WHERE m.room_id = $1 AND m.seq > $2 AND m.seq < $3 ORDER BY m.seq DESC LIMIT $4`
	if p.after >= 0 {
		query = `SELECT` + columns + from + `WHERE m.room_id = $1 AND m.seq > $2 AND m.seq < $3 ORDER BY m.seq LIMIT $4`
	}
	rows, err := tx.Query(query, roomID, p.after, p.before, p.limit+1)
	if err != nil {
		return nil, false, err
	}
	defer rows.Close()
	list = []*Message{}
	for size := 0; rows.Next(); {
		m, err := scan(rows)
		if err != nil {
			return nil, false, err
		}
		size += len(m.Content)
		if len(list) == p.limit || len(list) > 0 && size > maxPageBytes {
			more = true
			break
		}
		list = append(list, m)
	}
	if p.after < 0 {
		slices.Reverse(list)
	}
	return list, more, rows.Err()
}

// maxMissed is how many events somebody who comes back is told.
const maxMissed = 500

// missed returns what has happened in a room after a seq, the oldest first. Of
// what is too much it returns the newest, and reports true.
func missed(tx *db.Tx, roomID string, since, last int64) (list []event, truncated bool, err error) {
	if last-maxMissed > since { // seqs have no gaps
		since, truncated = last-maxMissed, true
	}
	rows, err := tx.Query(`SELECT e.seq, e.kind, e.user_id, e.at,`+columns+`FROM (
			SELECT seq, seq AS of_seq, 0 AS kind, '' AS user_id, 0 AS at FROM chat_messages WHERE room_id = $1 AND seq > $2
			UNION ALL
			SELECT seq, message_seq, kind, user_id, created_at FROM chat_changes WHERE room_id = $1 AND seq > $2
		) e JOIN chat_messages m ON m.room_id = $1 AND m.seq = e.of_seq LEFT JOIN users u ON u.id = m.user_id
		ORDER BY e.seq DESC`, roomID, since)
	if err != nil {
		return nil, false, err
	}
	defer rows.Close()
	for size := 0; rows.Next(); {
		var e event
		var at int64
		if e.of, err = scan(rows, &e.seq, &e.kind, &e.userID, &at); err != nil {
			return nil, false, err
		}
		e.at = mux.Timestamp(time.UnixMicro(at))
		if size += len(e.of.Content); len(list) > 0 && size > maxPageBytes {
			truncated = true
			break
		}
		list = append(list, e)
	}
	slices.Reverse(list)
	return list, truncated, rows.Err()
}
