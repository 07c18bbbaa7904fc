-- Page size, auto-vacuum and application id belong to this version as well; they must be set
-- before the first table and cannot be changed later: see file.py.

-- One row for each boot, and for each step of a clock that was trusted. Our own readings are kept
-- in boot time: UTC is boot time + offset, so setting the clock changes one row.
CREATE TABLE boots (
    id     INTEGER PRIMARY KEY,
    kernel TEXT    NOT NULL,  -- /proc/sys/kernel/random/boot_id
    offset INTEGER NOT NULL,  -- UTC minus boot time, ms
    trust  INTEGER NOT NULL,  -- 0 unset, 1 restored, 2 synchronised
    bound  INTEGER            -- no own reading before this row is newer, UTC ms
) STRICT;

CREATE TABLE sensors (
    id   INTEGER PRIMARY KEY,
    name TEXT    NOT NULL UNIQUE
) STRICT;

-- Readings in order of arrival, one packed row a commit: see rows.py for the body.
CREATE TABLE log (
    id    INTEGER PRIMARY KEY,
    boot  INTEGER NOT NULL,
    count INTEGER NOT NULL,   -- new readings in the body; corrections are not counted
    body  BLOB    NOT NULL
) STRICT;

-- One row for each closed chunk of the log. Rows of the log past the last of these are the open tail.
CREATE TABLE log_index (
    last_id    INTEGER PRIMARY KEY,
    first_id   INTEGER NOT NULL,
    boot       INTEGER NOT NULL,
    count      INTEGER NOT NULL,
    own_min    INTEGER,       -- boot time, ms; NULL: none of our own
    own_max    INTEGER,
    own_bound  INTEGER,       -- the newest of this chunk and of all before it in this boot
    sent_min   INTEGER,       -- UTC, ms, as the senders gave it; NULL: none
    sent_max   INTEGER,
    sent_bound INTEGER,       -- the newest of this chunk and of all before it
    sensors    BLOB    NOT NULL  -- one bit for each sensor id, little-endian
) STRICT;

-- One row: the readings in all closed chunks, so that nobody has to add them up.
CREATE TABLE closed (
    id       INTEGER PRIMARY KEY CHECK (id = 1),
    readings INTEGER NOT NULL
) STRICT;

INSERT INTO closed (id, readings) VALUES (1, 0);

-- One row: the newest of each sensor as of log row `log_id`, so that a start reads little. See newest.py.
CREATE TABLE newest (
    id     INTEGER PRIMARY KEY CHECK (id = 1),
    log_id INTEGER NOT NULL,
    body   BLOB    NOT NULL
) STRICT;

CREATE TABLE journal (
    id      INTEGER PRIMARY KEY,
    boot    INTEGER NOT NULL,
    since   INTEGER NOT NULL, -- boot time, ms
    kind    TEXT    NOT NULL,
    subject TEXT    NOT NULL,
    text    TEXT    NOT NULL
) STRICT;

CREATE TABLE keys (
    id      TEXT    PRIMARY KEY,
    digest  BLOB    NOT NULL, -- SHA-256 of the secret
    name    TEXT    NOT NULL,
    scopes  TEXT    NOT NULL, -- words, separated by spaces
    device  TEXT,             -- a write key bound to this device
    last4   TEXT    NOT NULL,
    created INTEGER NOT NULL, -- UTC, ms
    revoked INTEGER           -- UTC, ms; NULL: valid
) STRICT;

-- What the ThingSpeak dialect must not forget of a channel.
CREATE TABLE channels (
    id            INTEGER PRIMARY KEY,  -- the number that boards know
    last_entry_id INTEGER NOT NULL,
    texts         TEXT    NOT NULL      -- JSON: each field by number, "1" to "8", as it was last sent
) STRICT;
