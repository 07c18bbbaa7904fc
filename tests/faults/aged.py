"""A data file as the program before this one left it, with readings in it: what a migration begins with."""

from __future__ import annotations

import asyncio
import importlib.resources
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import apsw

from outstation.store import file
from tests.faults.ledger import Seal, Step
from tests.faults.life import live


def lived_before(folder: Path, steps: Sequence[Step]) -> None:
    """Let steps be lived, and leave them in a file of the version before. Without sealing: it knew none."""
    asyncio.run(live(folder, [step for step in steps if not isinstance(step, Seal)]))
    path = folder / file.NAME
    scripts = sorted(
        (importlib.resources.files("outstation.store") / "migrations").iterdir(), key=lambda path: path.name
    )
    older = [script.read_text("utf-8") for script in scripts if script.name.endswith(".sql")][:-1]
    with closing(apsw.Connection(str(path.with_name("older")))) as connection:
        for key in ("page_size", "auto_vacuum", "application_id"):
            connection.pragma(key, _pragma(path, key))
        connection.pragma("journal_mode", "wal")
        for script in older:
            connection.execute(script)
        connection.pragma("user_version", len(older))
        connection.execute("ATTACH ? AS newer", (str(path),))
        for (table,) in connection.execute("SELECT name FROM main.sqlite_schema WHERE type = 'table'").fetchall():
            names = ", ".join(row[1] for row in connection.execute(f"PRAGMA main.table_info({table})"))
            copied = f"INSERT INTO main.{table} ({names}) SELECT {names} FROM newer.{table}"
            connection.execute(f"DELETE FROM main.{table}; {copied}")
        connection.execute("DETACH newer")
    path.with_name("older").rename(path)


def _pragma(path: Path, key: str) -> int:
    with closing(apsw.Connection(str(path))) as connection:
        found: int = connection.pragma(key)
    return found
