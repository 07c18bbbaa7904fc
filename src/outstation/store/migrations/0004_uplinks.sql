-- Who the numbers of summaries are of, the newest last: a random word for each file, and for each that was restored or
-- went back. The first one is made with the file.
CREATE TABLE epochs (
    id    INTEGER PRIMARY KEY,
    epoch TEXT    NOT NULL
) STRICT;

INSERT INTO epochs (epoch) VALUES (lower(hex(randomblob(8))));

-- What each uplink has had. See outbox.py.
CREATE TABLE uplinks (
    name    TEXT    PRIMARY KEY,
    cursor  INTEGER NOT NULL,             -- all summaries of five minutes up to this number
    token   TEXT    NOT NULL DEFAULT '',  -- of the last receipt
    lost    INTEGER NOT NULL DEFAULT 0,   -- summaries that went unsent
    traffic TEXT    NOT NULL DEFAULT ''   -- JSON: what it has cost so far
) STRICT, WITHOUT ROWID;

-- Summaries that stand outside the order of numbers: refused ones, and those that are to be sent all the same.
CREATE TABLE aside (
    uplink TEXT    NOT NULL,
    sensor INTEGER NOT NULL,
    width  INTEGER NOT NULL,
    start  INTEGER NOT NULL,
    reason TEXT,     -- why the other side refused it; NULL: it is to be sent
    at     INTEGER,  -- when, UTC, ms
    body   BLOB,     -- as it was then: what is stored of that window now counts more
    PRIMARY KEY (uplink, sensor, width, start)
) STRICT, WITHOUT ROWID;

-- Only those of five minutes travel.
CREATE INDEX summaries_by_number ON summaries (number) WHERE tier = 1;
CREATE INDEX packs_by_number ON packs (number) WHERE tier = 1;
