-- Policies and exemptions, their history, and the bundles that nodes get.

-- +goose Up
CREATE TABLE documents (
    kind            TEXT    NOT NULL, -- ImagePolicy or Exemption
    name            TEXT    NOT NULL,
    text            TEXT    NOT NULL, -- YAML, in its canonical form
    content         TEXT    NOT NULL, -- the same as JSON
    enforced        TEXT    NOT NULL, -- text with what central adds for nodes; empty where that is nothing
    search          TEXT    NOT NULL, -- what is searched, in lower case
    template        TEXT    NOT NULL, -- of a policy
    enabled         BOOLEAN NOT NULL, -- of a policy
    observing_since BIGINT  NOT NULL, -- of a policy; 0 where it does not observe
    enforce_at      BIGINT  NOT NULL, -- of a policy; 0 where it does not observe
    expire_time     BIGINT  NOT NULL, -- of an exemption
    revision        BIGINT  NOT NULL,
    create_time     BIGINT  NOT NULL,
    update_time     BIGINT  NOT NULL,
    updated_by      TEXT    NOT NULL,
    PRIMARY KEY (kind, name)
);

CREATE TABLE document_revisions (
    kind     TEXT   NOT NULL,
    name     TEXT   NOT NULL,
    revision BIGINT NOT NULL,
    text     TEXT   NOT NULL, -- empty where it was deleted
    time     BIGINT NOT NULL,
    author   TEXT   NOT NULL,
    PRIMARY KEY (kind, name, revision)
);

CREATE TABLE bundles (
    number      BIGINT NOT NULL PRIMARY KEY,
    documents   BYTEA  NOT NULL, -- YAML, gzip
    create_time BIGINT NOT NULL
);

-- +goose Down
DROP TABLE bundles;
DROP TABLE document_revisions;
DROP TABLE documents;
