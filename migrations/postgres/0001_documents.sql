-- +goose Up

-- The identity that every node of a cluster shows to clients, for ever.
CREATE TABLE cluster (
    id         INTEGER PRIMARY KEY CHECK (id = 1),
    sender_id  TEXT NOT NULL,
    storage_id TEXT NOT NULL
);

-- Owned by presence. Times are microseconds since 1970.
CREATE TABLE users (
    id        TEXT COLLATE "C" PRIMARY KEY,
    name      TEXT NOT NULL,
    avatar    TEXT NOT NULL,
    last_seen BIGINT NOT NULL
);

-- Owned by collab. version is that of the newest row in document_changes.
CREATE TABLE documents (
    id         TEXT COLLATE "C" PRIMARY KEY,
    version    BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

-- The log: rows are appended and never altered.
CREATE TABLE document_changes (
    document_id TEXT COLLATE "C" NOT NULL,
    version     BIGINT NOT NULL,
    chunks      BYTEA NOT NULL,
    user_id     TEXT COLLATE "C" NOT NULL,
    created_at  BIGINT NOT NULL,
    PRIMARY KEY (document_id, version)
);
-- Changes hardly get smaller, and never one by one.
ALTER TABLE document_changes ALTER COLUMN chunks SET STORAGE EXTERNAL;

-- +goose Down
DROP TABLE document_changes;
DROP TABLE documents;
DROP TABLE users;
DROP TABLE cluster;
