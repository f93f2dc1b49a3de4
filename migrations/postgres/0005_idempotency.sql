-- +goose Up
CREATE TABLE idempotency_keys (
    caller     TEXT COLLATE "C" NOT NULL, -- a user's id, or something made from an API key
    route      TEXT COLLATE "C" NOT NULL,
    key        TEXT COLLATE "C" NOT NULL,
    request    BYTEA NOT NULL, -- SHA-256 of what was asked
    answer     BYTEA NOT NULL, -- JSON
    created_at BIGINT NOT NULL,
    PRIMARY KEY (caller, route, key)
);
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);

-- +goose Down
DROP TABLE idempotency_keys;
