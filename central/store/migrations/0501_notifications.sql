-- Who is told of new events, and what they have not been told yet.

-- +goose Up
CREATE TABLE notification_channels (
    name              TEXT     NOT NULL PRIMARY KEY,
    enabled           BOOLEAN  NOT NULL,
    actions           SMALLINT NOT NULL, -- bit 0 alert, bit 1 block
    min_severity      SMALLINT NOT NULL,
    settings          TEXT     NOT NULL, -- JSON of portcullis.v1.Channel, without the secret
    secret            TEXT     NOT NULL,
    revision          BIGINT   NOT NULL,
    last_success_time BIGINT   NOT NULL,
    last_error        TEXT     NOT NULL,
    failures          BIGINT   NOT NULL, -- since the last success
    failing_since     BIGINT   NOT NULL, -- 0 when there are none
    next_time         BIGINT   NOT NULL, -- nothing is sent before
    lease_time        BIGINT   NOT NULL, -- until then one replica is sending
    delivery          TEXT     NOT NULL  -- ID of what is being sent; empty when nothing is
);
CREATE TABLE notification_outbox (
    channel TEXT    NOT NULL REFERENCES notification_channels (name) ON DELETE CASCADE,
    event   BIGINT  NOT NULL,
    sending BOOLEAN NOT NULL, -- belongs to the channel's delivery
    PRIMARY KEY (channel, event)
);
CREATE INDEX notification_outbox_event ON notification_outbox (event);

-- +goose Down
DROP TABLE notification_outbox;
DROP TABLE notification_channels;
