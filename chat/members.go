package chat

import (
	"database/sql"
	"errors"
	"time"

	"atrium/internal/db"
)

// Who has ever joined a room, and how far they have read: the table chat_members.

// membership is a user's in one room.
type membership struct {
	readSeq int64
	unread  int64
}

// enlist makes a user a member of a room for good. Who comes new has read nothing.
func enlist(tx *db.Tx, roomID, userID string, now time.Time) error {
	_, err := tx.Exec(`INSERT INTO chat_members (user_id, room_id, read_seq, joined_at)
		VALUES ($1, $2, 0, $3) ON CONFLICT (user_id, room_id) DO NOTHING`,
		userID, roomID, db.Micros(now))
	return err
}

// membershipOf reports false if the user has never joined the room.
func membershipOf(tx *db.Tx, roomID, userID string) (ms membership, ok bool, err error) {
	err = tx.QueryRow(`SELECT read_seq FROM chat_members WHERE user_id = $1 AND room_id = $2`, userID, roomID).Scan(&ms.readSeq)
	if errors.Is(err, sql.ErrNoRows) {
		return membership{}, false, nil
	}
	if err == nil {
		ms.unread, err = unread(tx, roomID, userID, ms.readSeq)
	}
	return ms, err == nil, err
}

func joinedBefore(tx *db.Tx, roomID, userID string) (bool, error) {
	var one int
	err := tx.QueryRow(`SELECT 1 FROM chat_members WHERE user_id = $1 AND room_id = $2`, userID, roomID).Scan(&one)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

// maxUnread is how many messages are looked at for how many are unread.
const maxUnread = 1000

// unread counts the messages of others behind a seq, among the newest maxUnread.
func unread(tx *db.Tx, roomID, userID string, readSeq int64) (n int64, err error) {
	err = tx.QueryRow(`SELECT count(*) FROM (
			SELECT user_id, deleted_at FROM chat_messages WHERE room_id = $1 AND seq > $2 ORDER BY seq DESC LIMIT $4
		) newest WHERE user_id <> $3 AND deleted_at IS NULL`, roomID, readSeq, userID, maxUnread).Scan(&n)
	return n, err
}

// markRead moves a user's read mark, never back, and reports whether it moved.
func markRead(tx *db.Tx, roomID, userID string, seq int64) (moved bool, err error) {
	n, err := tx.Exec(`UPDATE chat_members SET read_seq = $3 WHERE user_id = $1 AND room_id = $2 AND read_seq < $3`, userID, roomID, seq)
	return n > 0, err
}

// joinedRoom is a room that a user has joined before.
type joinedRoom struct {
	roomID  string
	lastSeq int64
	membership
	last *Message // nil: there is none
}

const maxRooms = 200 // in one answer

// joinedRooms returns a user's rooms, those where something happened last first,
// and whether there are more than it returns. keep says which ones count.
func joinedRooms(tx *db.Tx, userID string, keep func(roomID string) bool) (list []joinedRoom, more bool, err error) {
	rows, err := tx.Query(`SELECT b.room_id, b.read_seq, COALESCE(r.last_seq, 0) FROM chat_members b LEFT JOIN chat_rooms r ON r.id = b.room_id
		WHERE b.user_id = $1 ORDER BY COALESCE(r.updated_at, b.joined_at) DESC, b.room_id`, userID)
	if err != nil {
		return nil, false, err
	}
	defer rows.Close()
	for rows.Next() {
		var r joinedRoom
		if err := rows.Scan(&r.roomID, &r.readSeq, &r.lastSeq); err != nil {
			return nil, false, err
		}
		if !keep(r.roomID) {
			continue
		}
		if more = len(list) == maxRooms; more {
			break
		}
		list = append(list, r)
	}
	if err := rows.Err(); err != nil {
		return nil, false, err
	}
	rows.Close() // one query at a time
	for i := range list {
		r := &list[i]
		if r.readSeq < r.lastSeq {
			if r.unread, err = unread(tx, r.roomID, userID, r.readSeq); err != nil {
				return nil, false, err
			}
		}
		newest, _, err := history(tx, r.roomID, page{after: -1, limit: 1})
		if err != nil {
			return nil, false, err
		}
		if len(newest) > 0 {
			r.last = newest[0]
		}
	}
	return list, more, nil
}
