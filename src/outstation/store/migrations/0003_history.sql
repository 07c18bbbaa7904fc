-- Sealed readings: one row a sensor and span, packed and in the order of time. See blocks.py and sealing/.
CREATE TABLE blocks (
    id     INTEGER PRIMARY KEY,
    sensor INTEGER NOT NULL,
    boot   INTEGER NOT NULL,  -- the row of `boots` whose boot time its times are in; 0: they are UTC
    start  INTEGER NOT NULL,  -- its first and its last time, ms
    end    INTEGER NOT NULL,
    count  INTEGER NOT NULL,
    body   BLOB    NOT NULL
) STRICT;

CREATE INDEX blocks_of_sensor ON blocks (sensor, boot, end, start);
CREATE INDEX blocks_by_end ON blocks (boot, end);

-- Up to which row of the log a sensor's readings are in blocks already: while a part of the log is being sealed.
CREATE TABLE sealed (
    sensor INTEGER PRIMARY KEY,
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

-- One row: the last number that was given to a summary.
CREATE TABLE sequence (
    id     INTEGER PRIMARY KEY CHECK (id = 1),
    number INTEGER NOT NULL
) STRICT;

INSERT INTO sequence (id, number) VALUES (1, 0);

-- Windows of five minutes whose summary is out of date, because a reading came late or was stamped anew.
CREATE TABLE unmade (
    sensor INTEGER NOT NULL,
    start  INTEGER NOT NULL,
    PRIMARY KEY (sensor, start)
) STRICT, WITHOUT ROWID;

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
