-- Browsers that signed in by key: see store/sessions.py.
CREATE TABLE sessions (
    digest  BLOB    PRIMARY KEY,  -- SHA-256 of what the cookie says
    key     TEXT    NOT NULL,     -- the id of the key that it was signed in by
    started INTEGER NOT NULL      -- UTC, ms
) STRICT, WITHOUT ROWID;
