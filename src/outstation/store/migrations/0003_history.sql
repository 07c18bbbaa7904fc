-- Sealed readings: one row a sensor and span, packed and in the order of time. See blocks.py and sealing/.
CREATE TABLE blocks (
    id     INTEGER PRIMARY KEY,
    sensor INTEGER NOT NULL,
    boot   INTEGER NOT NULL,  -- 0: their senders gave the times, in UTC; else the row of `boots` whose boot time they are in
    start  INTEGER NOT NULL,  -- its first and its last time, ms
    end    INTEGER NOT NULL,
    count  INTEGER NOT NULL,
    body   BLOB    NOT NULL
) STRICT;

CREATE INDEX blocks_of_sensor ON blocks (sensor, boot, end, start, count);
CREATE INDEX blocks_by_end ON blocks (boot, end, start, sensor, count);

-- One row, while a part of the log is being sealed: of sensors up to this one, what is in rows of the log up to this one
-- is in blocks already.
CREATE TABLE sealed (
    sensor INTEGER NOT NULL,
    log_id INTEGER NOT NULL
) STRICT;

-- What a sensor said in each window: see core/summaries.py for the body.
CREATE TABLE summaries (
    sensor INTEGER NOT NULL,
    tier   INTEGER NOT NULL,  -- 1: five minutes, 2: an hour, 3: a day
    start  INTEGER NOT NULL,  -- UTC, ms
    width  INTEGER NOT NULL,  -- ms; a day may have 23 or 25 hours
    number INTEGER NOT NULL,  -- from `sequence`: each revision has a higher one than all before it
    body   BLOB    NOT NULL,
    PRIMARY KEY (sensor, tier, start)
) STRICT, WITHOUT ROWID;

-- Summaries that are settled, packed: one row a sensor, tier and span. See packs.py and sealing/summing.py. A row of
-- `summaries` counts more.
CREATE TABLE packs (
    id     INTEGER PRIMARY KEY,
    sensor INTEGER NOT NULL,
    tier   INTEGER NOT NULL,
    start  INTEGER NOT NULL,  -- where its first and its last window begin, UTC, ms
    last   INTEGER NOT NULL,
    number INTEGER NOT NULL,  -- the highest of those in it
    body   BLOB    NOT NULL
) STRICT;

CREATE INDEX packs_of_sensor ON packs (sensor, tier, start, last, number);

-- Rows of `blocks` and `packs` that could not be unpacked, as they were. See damaged.py.
CREATE TABLE damaged (
    id     INTEGER PRIMARY KEY,
    source TEXT    NOT NULL,  -- the table that it was in
    sensor INTEGER NOT NULL,
    tier   INTEGER NOT NULL,  -- 0: it was of readings
    start  INTEGER NOT NULL,  -- UTC, ms
    end    INTEGER NOT NULL,
    count  INTEGER NOT NULL,  -- of readings
    body   BLOB    NOT NULL,
    at     INTEGER NOT NULL   -- when it was found, UTC, ms
) STRICT;

-- One row: the last number that was given to a summary.
CREATE TABLE sequence (
    id     INTEGER PRIMARY KEY CHECK (id = 1),
    number INTEGER NOT NULL
) STRICT;

INSERT INTO sequence (id, number) VALUES (1, 0);

-- Windows whose summary is out of date, because a reading came late or was stamped anew, or a part of them changed.
CREATE TABLE unmade (
    sensor INTEGER NOT NULL,
    width  INTEGER NOT NULL,
    start  INTEGER NOT NULL,
    PRIMARY KEY (sensor, width, start)
) STRICT, WITHOUT ROWID;

-- Sensors that have readings from before there were summaries: of windows that begin before `until` nobody knows yet
-- whether they are to be made. See backlog.py.
CREATE TABLE backlog (
    sensor INTEGER PRIMARY KEY,
    until  INTEGER NOT NULL
) STRICT;

INSERT INTO backlog (sensor, until) SELECT id, 1 << 62 FROM sensors;

-- One row: the time zone in which days are cut. NULL: some may be cut in another. See days.py.
CREATE TABLE zone (
    id   INTEGER PRIMARY KEY CHECK (id = 1),
    mark INTEGER
) STRICT;

INSERT INTO zone (id) VALUES (1);

-- Until when the readings (tier 0) or summaries of a sensor were deleted, UTC, ms.
CREATE TABLE forgotten (
    sensor INTEGER NOT NULL,
    tier   INTEGER NOT NULL,
    until  INTEGER NOT NULL,
    PRIMARY KEY (sensor, tier)
) STRICT, WITHOUT ROWID;

-- Numbers of sensors that were deleted: the log may still hold readings of theirs, so no other sensor gets them.
CREATE TABLE gone (
    id INTEGER PRIMARY KEY
) STRICT;

-- One row: when the last run began that deleted by age, UTC, ms: each may take a tenth of all, so there is one a day.
CREATE TABLE aged (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    at INTEGER NOT NULL
) STRICT;
