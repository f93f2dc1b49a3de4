-- +goose Up

-- Owned by notify. last_seq is that of the newest row in notifications; version
-- counts all that happens to the inbox, readings too. Times are microseconds
-- since 1970.
CREATE TABLE inboxes (
    user_id  TEXT COLLATE "C" PRIMARY KEY,
    last_seq BIGINT NOT NULL,
    unread   BIGINT NOT NULL,
    version  BIGINT NOT NULL
);

-- seq counts up by one for each user, without gaps. A user's rows lie together.
CREATE TABLE notifications (
    user_id    TEXT COLLATE "C" NOT NULL,
    seq        BIGINT NOT NULL,
    id         TEXT COLLATE "C" NOT NULL UNIQUE,
    kind       TEXT NOT NULL,
    title      TEXT NOT NULL,
    body       TEXT NOT NULL,
    data       TEXT NOT NULL, -- JSON
    created_at BIGINT NOT NULL,
    read_at    BIGINT, -- null: unread
    PRIMARY KEY (user_id, seq)
);
CREATE INDEX notifications_unread ON notifications (user_id, seq) WHERE read_at IS NULL;

-- +goose Down
DROP TABLE notifications;
DROP TABLE inboxes;
