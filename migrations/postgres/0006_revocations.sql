-- +goose Up
-- Owned by presence: tokens of a user that were issued before a time are refused.
CREATE TABLE revocations (
    user_id       TEXT COLLATE "C" PRIMARY KEY,
    issued_before BIGINT NOT NULL -- microseconds since 1970
);

-- +goose Down
DROP TABLE revocations;
