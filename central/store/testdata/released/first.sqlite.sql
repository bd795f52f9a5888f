CREATE TABLE goose_db_version (
		id INTEGER PRIMARY KEY AUTOINCREMENT,
		version_id INTEGER NOT NULL,
		is_applied INTEGER NOT NULL,
		tstamp TIMESTAMP DEFAULT (datetime('now'))
	);

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

INSERT INTO goose_db_version VALUES (1, 0, 1, '2026-11-23 22:38:43');
INSERT INTO goose_db_version VALUES (2, 1, 1, '2026-11-23 22:38:43');
INSERT INTO goose_db_version VALUES (3, 101, 1, '2026-11-23 22:38:43');
INSERT INTO goose_db_version VALUES (4, 200, 1, '2026-11-23 22:38:43');
INSERT INTO goose_db_version VALUES (5, 300, 1, '2026-11-23 22:38:43');
INSERT INTO goose_db_version VALUES (6, 401, 1, '2026-11-23 22:38:43');
INSERT INTO goose_db_version VALUES (7, 501, 1, '2026-11-23 22:38:43');
INSERT INTO users VALUES ('ann', 'admin', '$argon2id$…', 0, 'https://issuer|1', 0, 0, 1795435200000000, 0);
INSERT INTO sessions VALUES (X'01', 'ann', 1795435200000000, 1795435200000000, 1795438800000000);
INSERT INTO tokens VALUES ('token', X'02', 'it''s; --', 'ann', 'viewer', 1795435200000000, 1795438800000000, 0);
INSERT INTO audit VALUES ('audit', 1795435200000000, 'user:ann', '', 'CreatePolicy', 'policy', 'p', '', '{"a":"ä''\n"}');
INSERT INTO keys VALUES ('ca', X'006E6F206B6579');
INSERT INTO documents VALUES ('ImagePolicy', 'p', 'a: |
  ''b''
', '{}', '', '', '', 1, 0, 0, 0, 1, 1795435200000000, 1795435200000000, '');
INSERT INTO document_revisions VALUES ('ImagePolicy', 'p', 1, 'a', 1795435200000000, 'user:ann');
INSERT INTO bundles VALUES (1, X'1F8B08000000000000FF4AC94F2ECD4DCD2B2906040000FFFF8872B0A209000000', 1795435200000000);
INSERT INTO join_tokens VALUES ('join', X'03', '', 2, '', 1795435200000000, 1795438800000000);
INSERT INTO nodes VALUES ('n', 'worker', 'east', '["10.0.0.1"]', 'worker
10.0.0.1', '', '', '', '', 0, 0, '', 0, 1795435200000000, 0, 0, '');
INSERT INTO replicas VALUES ('replica', 1795435200000000);
INSERT INTO starts VALUES (20780, 'c42bf7f4f1ce984b675fc66fbd202810e264f42196e2798831922d625f4cd336', 'n', '', '', '', 'c', '', 'sha256:1', 'null', 3, 1795435200000000);
INSERT INTO images VALUES ('sha256:1', 'linux/amd64', 'names', 'nginx', 0, '[]', 0, '', -1, 0, 0, 0, 1795435200000000);
INSERT INTO image_names VALUES ('sha256:1', 'names', 'tag', 'docker.io/library/nginx:1', 'key');
INSERT INTO node_images VALUES ('n', 'sha256:1', 'names');
INSERT INTO reports VALUES ('report', 'h', 'trivy', '', '{}', 1795435200000000, '[]', '', 1795435200000000, '', 5, X'00FF');
INSERT INTO report_keys VALUES ('key', 'report');
INSERT INTO verdict_changes VALUES (1, 'key');
INSERT INTO verdict_number VALUES (1, 1);
INSERT INTO event_spools VALUES ('n', 's', 2, 1795435200000000);
INSERT INTO event_nodes VALUES ('n', 'name-n', 'east', '10.0.0.1,fd00::1');
INSERT INTO event_node_addresses VALUES ('10.0.0.1', 'n');
INSERT INTO event_node_addresses VALUES ('fd00::1', 'n');
INSERT INTO event_images VALUES (X'6DE77B77BBB41E7785FF5669DE6B760D', 'docker.io/library/nginx:1', 'docker.io/library/nginx:1', 'sha256:1', 'docker.io', 1795435200000000);
INSERT INTO event_evidence VALUES (X'B61A975406CA82FF0405EDFDD690404D', X'65766964656E6365', 1795435200000000);
INSERT INTO event_findings VALUES ('cve-2021-44228', X'B61A975406CA82FF0405EDFDD690404D');
INSERT INTO event_kinds VALUES (X'8C489C791E3D6CB609F31BA97A080B08', 2, 6, 'RiskyImage', 'p', 'shop', 'a', 'c', X'6DE77B77BBB41E7785FF5669DE6B760D', X'B61A975406CA82FF0405EDFDD690404D', 1795435200000000);
INSERT INTO events VALUES (7530601041103334630, 'n', X'A3965686BF9A2E54127BD2FDE53D5644', X'8C489C791E3D6CB609F31BA97A080B08', 'a', 'uid-a', '');
INSERT INTO event_counts VALUES (7530601041103334630, 2, 1795435200000000, 1795435200000000, 'CreateContainer', '1');
INSERT INTO event_trend VALUES (1994928, 2, 2);
INSERT INTO event_policy_hits VALUES ('p', 498732, 2, 2);
INSERT INTO notification_channels VALUES ('ops', 1, 3, 0, '{}', 'secret', 1, 0, '', 0, 0, 0, 0, '');
INSERT INTO notification_outbox VALUES ('ops', 7530601041103334630, 0);
