"""What people and boards cannot do without, of a data file that was damaged: how it is asked for, and how put."""

from __future__ import annotations

TAKEN_OVER = (
    (
        "SELECT id, digest, name, scopes, device, last4, created, revoked FROM keys ORDER BY rowid",
        "INSERT INTO keys (id, digest, name, scopes, device, last4, created, revoked) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
    ),
    ("SELECT name, added, body FROM boards", "INSERT INTO boards (name, added, body) VALUES (?, ?, ?)"),
    (
        "SELECT name, write_key, read_key, key FROM board_secrets",
        "INSERT INTO board_secrets (name, write_key, read_key, key) VALUES (?, ?, ?, ?)",
    ),
    (  # the log too: it has the numbers that were given last
        "SELECT id, last_entry_id, sealed FROM channels",
        "INSERT INTO channels (id, last_entry_id, sealed) VALUES (?, ?, ?)",
    ),
    ("SELECT id, body FROM entry_log", "INSERT INTO entry_log (id, body) VALUES (?, ?)"),
    ("SELECT kind, name, body FROM kept", "INSERT INTO kept (kind, name, body) VALUES (?, ?, ?)"),
    (
        "SELECT id, kernel, now, at, trusted FROM stamp",
        "INSERT INTO stamp (id, kernel, now, at, trusted) VALUES (?, ?, ?, ?, ?)",
    ),
    ("SELECT id, state, body FROM alerts", "INSERT INTO alerts (id, state, body) VALUES (?, ?, ?)"),
    (
        "SELECT key, receiver, alert, urgency, made, body FROM deliveries ORDER BY id",
        "INSERT INTO deliveries (key, receiver, alert, urgency, made, body) VALUES (?, ?, ?, ?, ?, ?)",
    ),
    (  # they begin anew with the numbers; by the token a hub knows the node
        "SELECT name, token, lost, traffic FROM uplinks",
        "INSERT INTO uplinks (name, cursor, token, lost, traffic) VALUES (?, 0, ?, ?, ?)",
    ),
    (  # without where they stand: each is asked for all that it has
        "SELECT name, key, added, json_remove(body, '$.standing', '$.until') FROM nodes",
        "INSERT INTO nodes (name, key, added, body) VALUES (?, ?, ?, ?)",
    ),
    (  # after `alerts`: none is told of twice
        "SELECT node, id, raised_at, alert, is_told FROM told",
        "INSERT INTO told (node, id, raised_at, alert, is_told) VALUES (?, ?, ?, ?, ?)",
    ),
)
