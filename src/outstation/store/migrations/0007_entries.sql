-- What boards wrote in the ThingSpeak dialect. Fresh entries, one packed row a commit: see entry_log.py.
CREATE TABLE entry_log (
    id   INTEGER PRIMARY KEY,   -- never given twice
    body BLOB    NOT NULL
) STRICT;

-- Sealed ones: see entry_blocks.py. Blocks of a channel may overlap in time.
CREATE TABLE entry_blocks (
    id      INTEGER PRIMARY KEY,
    channel INTEGER NOT NULL,
    start   INTEGER NOT NULL,   -- UTC of the first and the last, ms
    end     INTEGER NOT NULL,
    first   INTEGER NOT NULL,   -- the lowest and the highest number
    last    INTEGER NOT NULL,
    count   INTEGER NOT NULL,
    texts   INTEGER NOT NULL,   -- bits: which fields have a text in any of them, field 1 is 1
    body    BLOB    NOT NULL
) STRICT;

CREATE INDEX entry_blocks_of ON entry_blocks (channel, end);
CREATE INDEX entry_blocks_by_age ON entry_blocks (end);

-- Numbers are in the entries: last_entry_id is that of the sealed ones. sealed: up to this row of the log.
ALTER TABLE channels DROP COLUMN texts;
ALTER TABLE channels ADD COLUMN sealed INTEGER NOT NULL DEFAULT 0;
