-- +goose Up
CREATE TABLE idempotency_keys (
    caller     TEXT NOT NULL, -- a user's id, or something made from an API key
    route      TEXT NOT NULL,
    key        TEXT NOT NULL,
    request    BLOB NOT NULL, -- SHA-256 of what was asked
    answer     BLOB NOT NULL, -- JSON
    created_at INTEGER NOT NULL,
    PRIMARY KEY (caller, route, key)
) WITHOUT ROWID;
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);

-- +goose Down
DROP TABLE idempotency_keys;
