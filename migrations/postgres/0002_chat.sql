-- +goose Up

-- Owned by chat. last_seq is that of the newest row in chat_messages or
-- chat_changes. Times are microseconds since 1970.
CREATE TABLE chat_rooms (
    id         TEXT COLLATE "C" PRIMARY KEY,
    last_seq   BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

-- A room's rows lie together. Content is as it was last edited, and empty once
-- the message is deleted.
CREATE TABLE chat_messages (
    room_id    TEXT COLLATE "C" NOT NULL,
    seq        BIGINT NOT NULL,
    id         TEXT COLLATE "C" NOT NULL UNIQUE,
    user_id    TEXT COLLATE "C" NOT NULL, -- empty: nobody's, a backend's
    content    TEXT NOT NULL,
    client_id  TEXT COLLATE "C", -- null: none
    reply_to   TEXT COLLATE "C", -- a message's id; null: none
    created_at BIGINT NOT NULL,
    edited_at  BIGINT, -- null: never
    deleted_at BIGINT, -- null: not
    PRIMARY KEY (room_id, seq)
);
CREATE UNIQUE INDEX chat_messages_by_client ON chat_messages (room_id, user_id, client_id) WHERE client_id IS NOT NULL;

-- Edits and deletions take their place among the messages: a room's seq counts up
-- by one over both.
CREATE TABLE chat_changes (
    room_id     TEXT COLLATE "C" NOT NULL,
    seq         BIGINT NOT NULL,
    message_seq BIGINT NOT NULL,
    kind        INTEGER NOT NULL, -- 1: edited, 2: deleted
    user_id     TEXT COLLATE "C" NOT NULL, -- who did it
    created_at  BIGINT NOT NULL,
    PRIMARY KEY (room_id, seq)
);

-- Who has joined a room, ever, and how far they have read.
CREATE TABLE chat_members (
    user_id   TEXT COLLATE "C" NOT NULL,
    room_id   TEXT COLLATE "C" NOT NULL,
    read_seq  BIGINT NOT NULL,
    joined_at BIGINT NOT NULL,
    PRIMARY KEY (user_id, room_id)
);

-- +goose Down
DROP TABLE chat_members;
DROP TABLE chat_changes;
DROP TABLE chat_messages;
DROP TABLE chat_rooms;
