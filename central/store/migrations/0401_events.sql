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

-- What events of pods that are alike have in common. There are few of these, so that they may have many indexes.
CREATE TABLE event_kinds (
    id        BYTEA    NOT NULL PRIMARY KEY, -- hash of the rest
    action    SMALLINT NOT NULL,
    severity  SMALLINT NOT NULL,
    template  TEXT     NOT NULL,
    policy    TEXT     NOT NULL,
    namespace TEXT     NOT NULL,
    workload  TEXT     NOT NULL, -- the pods' names without what was generated, in lower case
    container TEXT     NOT NULL,
    image     BYTEA    NOT NULL,
    evidence  BYTEA    NOT NULL,
    use_time  BIGINT   NOT NULL
);
CREATE INDEX event_kinds_template ON event_kinds (template, action);
CREATE INDEX event_kinds_policy ON event_kinds (policy);
CREATE INDEX event_kinds_namespace ON event_kinds (namespace, policy);
CREATE INDEX event_kinds_image ON event_kinds (image);
CREATE INDEX event_kinds_evidence ON event_kinds (evidence);

-- Every index here costs each new event. All but the one of addresses are written in few places at a time: a node
-- uploads what is close together in the second.
--
-- The type of id is INTEGER for SQLite, where a table is kept in the order of such a key and all its indexes lead to it,
-- and BIGINT for PostgreSQL, where alone comments nest.
CREATE TABLE events (
    id          /* /* */ INTEGER -- */ BIGINT
                       NOT NULL PRIMARY KEY,
    node_id     TEXT   NOT NULL,
    key         BYTEA  NOT NULL, -- hash of what makes two decisions of a node one event
    kind        BYTEA  NOT NULL,
    pod         TEXT   NOT NULL,
    pod_uid     TEXT   NOT NULL,
    pod_address TEXT   NOT NULL
);
CREATE UNIQUE INDEX events_key ON events (node_id, key);
CREATE INDEX events_kind ON events (kind);
CREATE INDEX events_pod_address ON events (pod_address);

CREATE TABLE event_counts (
    event      /* /* */ INTEGER -- */ BIGINT
                      NOT NULL PRIMARY KEY,
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
DROP TABLE event_kinds;
DROP TABLE event_findings;
DROP TABLE event_evidence;
DROP TABLE event_images;
DROP TABLE event_node_addresses;
DROP TABLE event_nodes;
DROP TABLE event_spools;
