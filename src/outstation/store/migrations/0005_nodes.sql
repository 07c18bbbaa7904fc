-- Nodes that may report here, and how far each has got: see core/reporting.py for the body.
CREATE TABLE nodes (
    name  TEXT    PRIMARY KEY,
    key   TEXT    NOT NULL,    -- the id of its key
    added INTEGER NOT NULL,    -- UTC, ms
    body  TEXT    NOT NULL     -- JSON
) STRICT, WITHOUT ROWID;

-- Sensors of which others send summaries: here there are no readings to make these from.
CREATE TABLE reported (
    sensor INTEGER PRIMARY KEY,
    every  INTEGER NOT NULL,   -- between two batches, ms
    unit   TEXT    NOT NULL,
    label  TEXT    NOT NULL
) STRICT;

-- Hours of reported sensors that came as hours: the parts that are here may be a few of theirs.
CREATE TABLE whole_hours (
    sensor INTEGER NOT NULL,
    start  INTEGER NOT NULL,   -- UTC, ms
    PRIMARY KEY (sensor, start)
) STRICT, WITHOUT ROWID;

-- Which alert here is which alert of a node, and whether people were told of it.
CREATE TABLE told (
    node      TEXT    NOT NULL,
    id        INTEGER NOT NULL, -- as the node counts
    raised_at INTEGER NOT NULL, -- UTC, ms
    alert     INTEGER NOT NULL, -- row of `alerts`
    is_told   INTEGER NOT NULL,
    PRIMARY KEY (node, id, raised_at)
) STRICT, WITHOUT ROWID;
