-- What was blocked and alerted. What many events share is kept once; what changes with every decision is
-- apart from what is searched, so that a repeat touches two small indexes only.

-- +goose Up
CREATE TABLE event_spools (
    node_id     TEXT   NOT NULL,
    spool       TEXT   NOT NULL,
    through     BIGINT NOT NULL, -- number of the last record that is counted
    update_time BIGINT NOT NULL,
    PRIMARY KEY (node_id, spool)
);

CREATE TABLE event_nodes (
    node_id   TEXT NOT NULL PRIMARY KEY,
    name      TEXT NOT NULL,
    cluster   TEXT NOT NULL,
    addresses TEXT NOT NULL -- JSON
);
CREATE TABLE event_node_addresses (
    address TEXT NOT NULL,
    node_id TEXT NOT NULL,
    PRIMARY KEY (address, node_id)
);

CREATE TABLE event_images (
    id       BYTEA  NOT NULL PRIMARY KEY, -- hash of name and image_id
    name     TEXT   NOT NULL,
    folded   TEXT   NOT NULL,             -- name in lower case
    image_id TEXT   NOT NULL,
    registry TEXT   NOT NULL,
    use_time BIGINT NOT NULL              -- of the last use, up to a day late
);
CREATE INDEX event_images_image_id ON event_images (image_id);

CREATE TABLE event_evidence (
    id       BYTEA  NOT NULL PRIMARY KEY, -- hash of detail
    detail   BYTEA  NOT NULL,             -- portcullis.v1.Event: what decisions on one image have in common
    use_time BIGINT NOT NULL
);
CREATE TABLE event_findings (
    finding  TEXT  NOT NULL, -- in lower case
    evidence BYTEA NOT NULL,
    PRIMARY KEY (finding, evidence)
);
CREATE INDEX event_findings_evidence ON event_findings (evidence);

CREATE TABLE events (
    id          BIGINT   NOT NULL PRIMARY KEY,
    key         BYTEA    NOT NULL UNIQUE, -- hash of what makes two decisions one event
    action      SMALLINT NOT NULL,
    severity    SMALLINT NOT NULL,
    template    TEXT     NOT NULL,
    policy      TEXT     NOT NULL,
    node_id     TEXT     NOT NULL,
    namespace   TEXT     NOT NULL,
    pod         TEXT     NOT NULL,
    pod_uid     TEXT     NOT NULL,
    pod_address TEXT     NOT NULL,
    container   TEXT     NOT NULL,
    image       BYTEA    NOT NULL,
    evidence    BYTEA    NOT NULL
);
CREATE INDEX events_action ON events (action);
CREATE INDEX events_severity ON events (severity);
CREATE INDEX events_template ON events (template, action);
CREATE INDEX events_policy ON events (policy);
CREATE INDEX events_node ON events (node_id);
CREATE INDEX events_namespace ON events (namespace, policy);
CREATE INDEX events_pod_address ON events (pod_address);
CREATE INDEX events_image ON events (image);
CREATE INDEX events_evidence ON events (evidence);

CREATE TABLE event_counts (
    event      BIGINT NOT NULL PRIMARY KEY,
    count      BIGINT NOT NULL,
    first_time BIGINT NOT NULL,
    last_time  BIGINT NOT NULL,
    operation  TEXT   NOT NULL,
    revision   TEXT   NOT NULL
);
CREATE INDEX event_counts_last ON event_counts (last_time, event);
CREATE INDEX event_counts_count ON event_counts (count, event);

CREATE TABLE event_trend (
    bucket BIGINT   NOT NULL, -- quarters of an hour since 1970: midnight of every time zone begins one
    action SMALLINT NOT NULL,
    count  BIGINT   NOT NULL,
    PRIMARY KEY (bucket, action)
);
CREATE TABLE event_policy_hits (
    policy TEXT     NOT NULL,
    hour   BIGINT   NOT NULL, -- since 1970
    action SMALLINT NOT NULL,
    count  BIGINT   NOT NULL,
    PRIMARY KEY (policy, hour, action)
);
CREATE INDEX event_policy_hits_hour ON event_policy_hits (hour);

-- +goose Down
DROP TABLE event_policy_hits;
DROP TABLE event_trend;
DROP TABLE event_counts;
DROP TABLE events;
DROP TABLE event_findings;
DROP TABLE event_evidence;
DROP TABLE event_images;
DROP TABLE event_node_addresses;
DROP TABLE event_nodes;
DROP TABLE event_spools;
