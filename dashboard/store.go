package dashboard

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"atrium/internal/db"
	"atrium/internal/mux"
)

var errOlder = errors.New("there is a newer value")

// save keeps a value, and returns its version. If there is a newer one, the
// error is errOlder; of those with equal timestamps the last wins.
func save(tx *db.Tx, v Value) (version int64, err error) {
	data, err := json.Marshal(v.Value)
	if err != nil {
		return 0, err
	}
	err = tx.QueryRow(`INSERT INTO metrics (name, value, timestamp, version, stored_at) VALUES ($1, $2, $3, 1, $4)
		ON CONFLICT (name) DO UPDATE SET value = $2, timestamp = $3, version = metrics.version + 1, stored_at = $4 WHERE metrics.timestamp <= $3
		RETURNING version`, v.Metric, string(data), db.Micros(v.Timestamp), db.Micros(time.Now())).Scan(&version)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, errOlder
	}
	return version, err
}

// load returns the value of a metric; ok is false if there is none.
func load(tx *db.Tx, metric string) (v Value, ok bool, err error) {
	err = eachRow(tx, func(loaded Value) bool {
		v, ok = loaded, true
		return true
	}, `SELECT name, value, timestamp FROM metrics WHERE name = $1`, metric)
	return v, ok, err
}

// loadBelow calls yield for the metrics whose names begin with prefix, in the
// order of names, until it reports false.
func loadBelow(tx *db.Tx, prefix string, yield func(Value) bool) error {
	return eachRow(tx, yield, `SELECT name, value, timestamp FROM metrics WHERE name >= $1 AND name <= $2 ORDER BY name`,
		prefix, prefix+lastName)
}

// lastName sorts behind all that a name may go on with.
const lastName = "\U0010FFFF\U0010FFFF"

func eachRow(tx *db.Tx, yield func(Value) bool, query string, args ...any) error {
	rows, err := tx.Query(query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		v, err := scanValue(rows)
		if err != nil {
			return err
		}
		if !yield(v) {
			return nil
		}
	}
	return rows.Err()
}

// scanValue reads a row of name, value and timestamp, and perhaps more.
func scanValue(rows *sql.Rows, more ...any) (v Value, err error) {
	var data string
	var micros int64
	if err := rows.Scan(append([]any{&v.Metric, &data, &micros}, more...)...); err != nil {
		return v, err
	}
	v.Timestamp = time.UnixMicro(micros)
	if v.Value, err = mux.ValueOf(json.RawMessage(data)); err != nil {
		return v, fmt.Errorf("metric %s: %w", v.Metric, err)
	}
	return v, nil
}
