package db

import (
	"database/sql"
	"fmt"
	"strings"
)

// maxIn is how many keys one query asks for.
const maxIn = 512

// EachIn runs a query for many keys, some hundreds at a time, and calls scan for
// every row. The query has IN (%s) where the keys belong, and no other arguments.
func (tx *Tx) EachIn(query string, keys []string, scan func(rows *sql.Rows) error) error {
	for len(keys) > 0 {
		n := min(len(keys), maxIn)
		if err := tx.in(query, keys[:n], scan); err != nil {
			return err
		}
		keys = keys[n:]
	}
	return nil
}

func (tx *Tx) in(query string, keys []string, scan func(rows *sql.Rows) error) error {
	places := 1
	for places < len(keys) { // or there would be a statement for each number
		places *= 2
	}
	args := make([]any, places)
	var list strings.Builder
	for i := range args {
		args[i] = keys[min(i, len(keys)-1)]
		if i > 0 {
			list.WriteString(", ")
		}
		fmt.Fprintf(&list, "$%d", i+1)
	}
	rows, err := tx.Query(fmt.Sprintf(query, list.String()), args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}
