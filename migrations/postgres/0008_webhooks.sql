-- +goose Up

-- Owned by webhook: documents of which the receiver is still to be told. sending
-- is being told, and stays as it is until that has succeeded or been given up;
-- what has happened since then gathers in the columns from kind on, as one event.
-- One of the two is there. Times are microseconds since 1970.
CREATE TABLE webhooks (
    document_id TEXT COLLATE "C" PRIMARY KEY,
    due_at      BIGINT NOT NULL, -- when there may be something to do
    sending_id  TEXT COLLATE "C", -- null: nothing is being sent
    sending     TEXT, -- JSON
    attempts    INTEGER NOT NULL DEFAULT 0, -- to send it that have failed
    failed_at   BIGINT, -- the first of them
    kind        TEXT, -- null: nothing has gathered
    heads       TEXT, -- of the newest change, in hex, with spaces between them
    user_ids    TEXT, -- each between newlines
    first_at    BIGINT,
    last_at     BIGINT
);
CREATE INDEX webhooks_by_due ON webhooks (due_at);

-- +goose Down
DROP TABLE webhooks;
