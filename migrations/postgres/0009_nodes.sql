-- +goose Up

-- What a node that has missed something looks for: the versions of an inbox at
-- which a notification came and was read, and when a metric's value was stored.
ALTER TABLE notifications ADD COLUMN version BIGINT NOT NULL DEFAULT 0;
ALTER TABLE notifications ADD COLUMN read_version BIGINT; -- null: unread, or read before there were nodes
CREATE INDEX notifications_by_version ON notifications (user_id, version);
CREATE INDEX notifications_by_reading ON notifications (user_id, read_version) WHERE read_version IS NOT NULL;
ALTER TABLE metrics ADD COLUMN stored_at BIGINT NOT NULL DEFAULT 0;
CREATE INDEX metrics_by_age ON metrics (stored_at);

-- +goose Down
DROP INDEX metrics_by_age;
ALTER TABLE metrics DROP COLUMN stored_at;
DROP INDEX notifications_by_reading;
DROP INDEX notifications_by_version;
ALTER TABLE notifications DROP COLUMN read_version;
ALTER TABLE notifications DROP COLUMN version;
