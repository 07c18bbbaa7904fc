-- What must outlive a restart: one row for each rule, output, setting and alert that has something to remember.
-- JSON; its times are in boot time of the boot in `stamp`. See kept.py.
CREATE TABLE kept (
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (kind, name)
) STRICT, WITHOUT ROWID;

-- One row: the latest moment at which `kept` was known to be right.
CREATE TABLE stamp (
    id      INTEGER PRIMARY KEY CHECK (id = 1),
    kernel  TEXT    NOT NULL,  -- /proc/sys/kernel/random/boot_id
    now     INTEGER NOT NULL,  -- boot time, ms
    at      INTEGER NOT NULL,  -- UTC, ms
    trusted INTEGER NOT NULL   -- 1: UTC was right
) STRICT;

-- Alerts, one row a spell; the newest 20,000.
CREATE TABLE alerts (
    id     INTEGER PRIMARY KEY,
    state  TEXT    NOT NULL,   -- raised, acknowledged, cleared
    body   TEXT    NOT NULL    -- JSON, as GET /api/alerts shows it
) STRICT;

-- What receivers of alerts have not confirmed yet. See deliveries.py.
CREATE TABLE deliveries (
    id       INTEGER PRIMARY KEY,
    key      TEXT    NOT NULL, -- random, the same at every try: the receiver knows a double by it
    receiver TEXT    NOT NULL, -- its name in the config
    alert    INTEGER NOT NULL,
    urgency  INTEGER NOT NULL, -- 0 info, 1 warning, 2 critical
    made     INTEGER NOT NULL, -- UTC, ms
    body     TEXT    NOT NULL  -- JSON, as it is sent
) STRICT;

CREATE INDEX deliveries_of ON deliveries (receiver);
