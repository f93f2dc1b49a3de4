-- +goose Up

-- Owned by dashboard: the newest value of each metric. version counts those that
-- there have been. Times are microseconds since 1970.
CREATE TABLE metrics (
    name      TEXT COLLATE "C" PRIMARY KEY,
    value     TEXT NOT NULL, -- JSON
    timestamp BIGINT NOT NULL,
    version   BIGINT NOT NULL
);

-- +goose Down
DROP TABLE metrics;
