package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/google/uuid"
)

// Identity is what a cluster calls itself towards automerge-repo clients. They
// keep their sync state under StorageID, so it outlives restarts and is the
// same on every node.
type Identity struct {
	SenderID, StorageID string
}

// Identity returns the cluster's identity, made on first use.
func (db *DB) Identity(ctx context.Context) (Identity, error) {
	var id Identity
	err := db.Write(ctx, func(tx *Tx) error {
		const find = `SELECT sender_id, storage_id FROM cluster WHERE id = 1`
		err := tx.QueryRow(find).Scan(&id.SenderID, &id.StorageID)
		if !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		_, err = tx.Exec(`INSERT INTO cluster (id, sender_id, storage_id) VALUES (1, $1, $2) ON CONFLICT (id) DO NOTHING`,
			"atrium-"+uuid.NewString(), uuid.NewString())
		if err != nil {
			return err
		}
		return tx.QueryRow(find).Scan(&id.SenderID, &id.StorageID)
	})
	if err != nil {
		return Identity{}, fmt.Errorf("read cluster identity: %w", err)
	}
	return id, nil
}
