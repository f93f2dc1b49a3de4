-- +goose Up

-- Owned by collab. changes and bytes are those of the whole log, as of the newest
-- version; deleted_at is null while the document is there, and its log goes when
-- it is set.
ALTER TABLE documents ADD COLUMN changes BIGINT NOT NULL DEFAULT 0;
ALTER TABLE documents ADD COLUMN bytes BIGINT NOT NULL DEFAULT 0;
ALTER TABLE documents ADD COLUMN deleted_at BIGINT;

-- Sealed runs of the log, which take the place of rows in document_changes:
-- versions first_version to last_version, changes from first_position on.
CREATE TABLE document_packs (
    document_id    TEXT COLLATE "C" NOT NULL,
    first_version  BIGINT NOT NULL,
    last_version   BIGINT NOT NULL,
    first_position BIGINT NOT NULL,
    changes        BIGINT NOT NULL,
    data           BYTEA NOT NULL, -- see collab/pack
    PRIMARY KEY (document_id, first_version)
);

-- It is compressed already.
ALTER TABLE document_packs ALTER COLUMN data SET STORAGE EXTERNAL;

-- Derived: the first changes of a log as a document chunk. Rows may be deleted at
-- any time.
CREATE TABLE document_snapshots (
    document_id TEXT COLLATE "C" PRIMARY KEY,
    changes     BIGINT NOT NULL,
    data        BYTEA NOT NULL
);
ALTER TABLE document_snapshots ALTER COLUMN data SET STORAGE EXTERNAL;

-- +goose Down
DROP TABLE document_snapshots;
DROP TABLE document_packs;
ALTER TABLE documents DROP COLUMN deleted_at;
ALTER TABLE documents DROP COLUMN bytes;
ALTER TABLE documents DROP COLUMN changes;
