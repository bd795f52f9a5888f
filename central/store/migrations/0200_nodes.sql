-- Join tokens, nodes, who holds their streams, and the starts that they let pass.

-- +goose Up
CREATE TABLE join_tokens (
    id          TEXT   NOT NULL PRIMARY KEY,
    hash        BYTEA  NOT NULL, -- SHA-256 of the secret
    description TEXT   NOT NULL,
    uses_left   BIGINT NOT NULL,
    created_by  TEXT   NOT NULL,
    create_time BIGINT NOT NULL,
    expire_time BIGINT NOT NULL
);

CREATE TABLE nodes (
    id                TEXT   NOT NULL PRIMARY KEY, -- in its certificate
    name              TEXT   NOT NULL,
    cluster           TEXT   NOT NULL,
    addresses         TEXT   NOT NULL, -- JSON
    search            TEXT   NOT NULL, -- name and addresses in lower case
    version           TEXT   NOT NULL,
    runtime_version   TEXT   NOT NULL,
    kernel_version    TEXT   NOT NULL,
    platform          TEXT   NOT NULL,
    bundle            BIGINT NOT NULL,
    rejected_bundle   BIGINT NOT NULL,
    rejection         TEXT   NOT NULL,
    clock_skew        BIGINT NOT NULL, -- microseconds
    join_time         BIGINT NOT NULL,
    last_contact_time BIGINT NOT NULL,
    expire_time       BIGINT NOT NULL, -- of its newest certificate
    replica           TEXT   NOT NULL, -- that held its stream last; empty when that has ended
    UNIQUE (cluster, name)
);
CREATE INDEX nodes_name ON nodes (name, id);

CREATE TABLE replicas (
    id         TEXT   NOT NULL PRIMARY KEY, -- of one process
    alive_time BIGINT NOT NULL
);

CREATE TABLE starts (
    day       BIGINT NOT NULL, -- since 1970, UTC
    hash      TEXT   NOT NULL, -- of cluster, namespace, container, image ID and asks
    node_id   TEXT   NOT NULL, -- the last
    cluster   TEXT   NOT NULL,
    namespace TEXT   NOT NULL,
    pod       TEXT   NOT NULL,
    container TEXT   NOT NULL,
    image     TEXT   NOT NULL,
    image_id  TEXT   NOT NULL,
    asks      TEXT   NOT NULL, -- JSON
    count     BIGINT NOT NULL,
    last_time BIGINT NOT NULL,
    PRIMARY KEY (day, hash)
);

-- +goose Down
DROP TABLE starts;
DROP TABLE replicas;
DROP TABLE nodes;
DROP TABLE join_tokens;
