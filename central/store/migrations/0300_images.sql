-- Images, which nodes have them, and the reports about them.

-- +goose Up
CREATE TABLE images (
    id              TEXT   NOT NULL PRIMARY KEY, -- sha256:…
    platform        TEXT   NOT NULL,
    names           TEXT   NOT NULL, -- those that count, of image_names
    search          TEXT   NOT NULL, -- ID and names in lower case
    scan_state      BIGINT NOT NULL, -- ScanState of the API
    scanned         TEXT   NOT NULL, -- JSON
    scan_time       BIGINT NOT NULL,
    scanner         TEXT   NOT NULL,
    worst           BIGINT NOT NULL, -- severity, -1 where nothing was found
    vulnerabilities BIGINT NOT NULL,
    malware         BIGINT NOT NULL,
    secrets         BIGINT NOT NULL,
    last_seen_time  BIGINT NOT NULL
);

-- All names that some node has for an image, together: nodes that say the same share them, and what a node
-- says of an image changes nothing of what others say.
CREATE TABLE image_names (
    image_id TEXT   NOT NULL REFERENCES images (id) ON DELETE CASCADE,
    names    TEXT   NOT NULL, -- hash of them all
    kind     TEXT   NOT NULL, -- id, tag, digest
    name     TEXT   NOT NULL,
    key      TEXT   NOT NULL, -- by which reports are found
    PRIMARY KEY (image_id, names, kind, name)
);
CREATE INDEX image_names_key ON image_names (key, image_id, names);

CREATE TABLE node_images (
    node_id  TEXT NOT NULL REFERENCES nodes (id) ON DELETE CASCADE,
    image_id TEXT NOT NULL REFERENCES images (id) ON DELETE CASCADE,
    names    TEXT NOT NULL, -- of image_names
    PRIMARY KEY (node_id, image_id)
);
CREATE INDEX node_images_image ON node_images (image_id, names, node_id);

CREATE TABLE reports (
    id          TEXT   NOT NULL PRIMARY KEY,
    hash        TEXT   NOT NULL UNIQUE, -- SHA-256 of what was uploaded
    format      TEXT   NOT NULL,
    scanner     TEXT   NOT NULL,
    about       TEXT   NOT NULL, -- JSON: how it names its image
    scan_time   BIGINT NOT NULL,
    scanned     TEXT   NOT NULL, -- JSON
    broken      TEXT   NOT NULL, -- why it is not all that there is
    upload_time BIGINT NOT NULL,
    uploaded_by TEXT   NOT NULL,
    size        BIGINT NOT NULL, -- as uploaded
    verdict     BYTEA  NOT NULL  -- what it found: JSON, gzip
);
CREATE INDEX reports_about ON reports (format, scanner, upload_time);

CREATE TABLE report_keys (
    key       TEXT NOT NULL,
    report_id TEXT NOT NULL REFERENCES reports (id) ON DELETE CASCADE,
    PRIMARY KEY (key, report_id)
);
CREATE INDEX report_keys_report ON report_keys (report_id);

-- Which keys' verdicts changed, by a number that grows.
CREATE TABLE verdict_changes (
    number BIGINT NOT NULL,
    key    TEXT   NOT NULL,
    PRIMARY KEY (number, key)
);

CREATE INDEX verdict_changes_key ON verdict_changes (key, number);

CREATE TABLE verdict_number (
    number BIGINT NOT NULL, -- of the last change
    oldest BIGINT NOT NULL  -- of the first in verdict_changes
);
INSERT INTO verdict_number (number, oldest) VALUES (0, 1);

-- +goose Down
DROP TABLE verdict_number;
DROP TABLE verdict_changes;
DROP TABLE report_keys;
DROP TABLE reports;
DROP TABLE node_images;
DROP TABLE image_names;
DROP TABLE images;
