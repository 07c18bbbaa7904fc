-- Boards that were let in by hand; those in the config are not here. See boards.py.
CREATE TABLE boards (
    name  TEXT    PRIMARY KEY,
    added INTEGER NOT NULL,    -- UTC, ms
    body  TEXT    NOT NULL     -- JSON, without secrets
) STRICT, WITHOUT ROWID;

-- READABLE SECRETS: each opens one board's door and nothing else, and people must be shown them again.
CREATE TABLE board_secrets (
    name      TEXT PRIMARY KEY,
    write_key TEXT NOT NULL,
    read_key  TEXT NOT NULL,   -- empty: none
    key       TEXT NOT NULL    -- what it sends as a weather station; empty: its write_key
) STRICT, WITHOUT ROWID;

-- When each board was last heard, those in the config too: a restart forgets it otherwise.
CREATE TABLE heard (
    name    TEXT    PRIMARY KEY,
    at      INTEGER NOT NULL,  -- UTC, ms
    address TEXT    NOT NULL,
    every   INTEGER            -- between two times, ms; NULL: not known yet
) STRICT, WITHOUT ROWID;
