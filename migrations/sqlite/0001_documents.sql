-- +goose Up

-- The identity that every node of a cluster shows to clients, for ever.
CREATE TABLE cluster (
    id         INTEGER PRIMARY KEY CHECK (id = 1),
    sender_id  TEXT NOT NULL,
    storage_id TEXT NOT NULL
);

-- Owned by presence. Times are microseconds since 1970.
CREATE TABLE users (
    id        TEXT PRIMARY KEY,
    name      TEXT NOT NULL,
    avatar    TEXT NOT NULL,
    last_seen BIGINT NOT NULL
);

-- Owned by collab. version is that of the newest row in document_changes.
CREATE TABLE documents (
    id         TEXT PRIMARY KEY,
    version    BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

-- The log: rows are appended and never altered. A document's rows lie together,
-- in log order, so that opening it is one range read.
CREATE TABLE document_changes (
    document_id TEXT NOT NULL,
    version     BIGINT NOT NULL,
    chunks      BLOB NOT NULL,
    user_id     TEXT NOT NULL,
    created_at  BIGINT NOT NULL,
    PRIMARY KEY (document_id, version)
) WITHOUT ROWID;

-- +goose Down
DROP TABLE document_changes;
DROP TABLE documents;
DROP TABLE users;
DROP TABLE cluster;
