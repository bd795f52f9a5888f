-- Users, sessions, tokens, the audit log, and keys that all replicas share.

-- +goose Up
CREATE TABLE users (
    name                 TEXT    NOT NULL PRIMARY KEY, -- in lower case
    role                 TEXT    NOT NULL,             -- viewer, editor, admin
    password_hash        TEXT    NOT NULL,             -- PHC string; empty for OIDC
    external             BOOLEAN NOT NULL,
    subject              TEXT    UNIQUE,               -- issuer and subject of OIDC, once known
    disabled             BOOLEAN NOT NULL,
    must_change_password BOOLEAN NOT NULL,
    create_time          BIGINT  NOT NULL,
    last_login_time      BIGINT  NOT NULL
);

CREATE TABLE sessions (
    hash          BYTEA  NOT NULL PRIMARY KEY, -- SHA-256 of the secret
    user_name     TEXT   NOT NULL REFERENCES users (name) ON DELETE CASCADE,
    create_time   BIGINT NOT NULL,
    last_use_time BIGINT NOT NULL,
    expire_time   BIGINT NOT NULL
);
CREATE INDEX sessions_user ON sessions (user_name);
CREATE INDEX sessions_expire ON sessions (expire_time);

CREATE TABLE tokens (
    id            TEXT   NOT NULL PRIMARY KEY,
    hash          BYTEA  NOT NULL UNIQUE, -- SHA-256 of the secret
    description   TEXT   NOT NULL,
    user_name     TEXT   NOT NULL REFERENCES users (name) ON DELETE CASCADE,
    role          TEXT   NOT NULL,
    create_time   BIGINT NOT NULL,
    expire_time   BIGINT NOT NULL,
    last_use_time BIGINT NOT NULL
);
CREATE INDEX tokens_user ON tokens (user_name);

CREATE TABLE audit (
    id      TEXT   NOT NULL PRIMARY KEY, -- sorts by time
    time    BIGINT NOT NULL,
    actor   TEXT   NOT NULL,
    address TEXT   NOT NULL,
    method  TEXT   NOT NULL,
    kind    TEXT   NOT NULL,
    name    TEXT   NOT NULL,
    before  TEXT   NOT NULL, -- JSON; empty for what was created
    after   TEXT   NOT NULL  -- JSON; empty for what was deleted
);
CREATE INDEX audit_actor ON audit (actor, id);
CREATE INDEX audit_object ON audit (kind, name, id);
CREATE INDEX audit_time ON audit (time);

CREATE TABLE keys (
    name  TEXT  NOT NULL PRIMARY KEY, -- such as ca
    value BYTEA NOT NULL
);

-- +goose Down
DROP TABLE keys;
DROP TABLE audit;
DROP TABLE tokens;
DROP TABLE sessions;
DROP TABLE users;
