"""Sessions: a browser signs in by key once and sends a cookie from then on.

The law of this file: a session is worth what its key is worth, and nothing once that is revoked; and what the cookie
says is kept nowhere, only its SHA-256.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import secrets
from collections import Counter

import apsw
import msgspec

from outstation import clock
from outstation.core.readings import Millis
from outstation.errors import StoreError
from outstation.store.database import Store
from outstation.store.keys import Key, Keys

LASTS: Millis = 90 * 86_400_000
"""A phone signs in again each season. While this computer's clock is not set, no session is too old."""

MOST = 200
"""Sessions at once: past these, of the key that has the most the one that began first ends: no key ends another's."""

_TOKEN_BYTES = 32

_AGAIN_S = 10.0
"""Seconds after which a disk that was full is asked again."""


class _Session(msgspec.Struct, frozen=True):
    key: str
    started: Millis


class Sessions:
    """The sessions of one store, and the table by which every cookie is checked."""

    def __init__(self, store: Store, keys: Keys, setting: clock.Setting = "auto") -> None:
        self._store, self._keys, self._setting = store, keys, setting
        self._open: dict[bytes, _Session] = {}
        self._ended: set[bytes] = set()  # and still to be on disk
        self._later: asyncio.Task[None] | None = None
        self._unread = True
        self._read()

    def check(self, text: str) -> Key | None:
        """Return the key that a session was signed in by, or None. In memory, in some microseconds."""
        if self._unread:
            self._read()
        found = self._open.get(_digest(text))
        return None if found is None or self._is_over(found) else self._keys.valid(found.key)

    async def start(self, key: Key) -> str:
        """Begin a session; return what its cookie says, which is shown this once.

        One that was signed in by the owner's fixed key lasts as long as this program runs: so does that key. So does
        one that cannot be written down: a full disk keeps nobody from switching a pump off.
        """
        text = secrets.token_urlsafe(_TOKEN_BYTES)
        digest, session = _digest(text), _Session(key.id, clock.at())
        ended = self._surplus()
        if not self._keys.is_fixed(key):
            with contextlib.suppress(StoreError):
                await self._store.write(lambda connection: _insert(connection, digest, session, ended))
        for each in ended:
            self._open.pop(each, None)
        self._open[digest] = session
        return text

    async def end(self, text: str) -> None:
        """End a session, if there is one: refused from the next request on, whatever the disk is like.

        One that cannot take it now does later; only a program that ends before would know the session again.
        """
        digest = _digest(text)
        if self._open.pop(digest, None) is None:
            return
        self._ended.add(digest)
        if not await self._is_written_down() and (self._later is None or self._later.done()):
            self._later = asyncio.create_task(self._write_down_later())

    async def _write_down_later(self) -> None:
        while self._ended:
            await asyncio.sleep(_AGAIN_S)
            await self._is_written_down()

    async def _is_written_down(self) -> bool:
        """Tell whether those that were ended are now ended on disk, too."""
        ended = list(self._ended)
        try:
            await self._store.write(lambda connection: _delete(connection, ended))
        except StoreError:
            return False
        self._ended.difference_update(ended)
        return True

    def _surplus(self) -> list[bytes]:
        """Return those that end for a new one."""
        if len(self._open) < MOST:
            return []
        most = Counter(each.key for each in self._open.values()).most_common(1)[0][0]
        theirs = [digest for digest, each in self._open.items() if each.key == most]
        return sorted(theirs, key=lambda digest: self._open[digest].started)[: len(self._open) - MOST + 1]

    def _is_over(self, session: _Session) -> bool:
        """Tell whether it began too long ago, or as long ahead: then the clock was wrong when it did."""
        return abs(clock.at() - session.started) > LASTS and clock.trust(self._setting) is not clock.Trust.UNSET

    def _read(self) -> None:
        """Fill the table; while there is no data file it stays as it is."""
        with contextlib.suppress(StoreError), self._store.read() as connection:
            rows = connection.execute("SELECT digest, key, started FROM sessions")
            self._open |= {digest: _Session(key, started) for digest, key, started in rows}
            self._unread = False


def end_all(connection: apsw.Connection) -> None:
    """End every session of a file that nobody uses yet."""
    connection.execute("DELETE FROM sessions")


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "replace")).digest()


def _insert(connection: apsw.Connection, digest: bytes, session: _Session, ended: list[bytes]) -> None:
    _delete(connection, ended)
    connection.execute(
        "INSERT INTO sessions (digest, key, started) VALUES (?, ?, ?)", (digest, session.key, session.started)
    )


def _delete(connection: apsw.Connection, ended: list[bytes]) -> None:
    connection.executemany("DELETE FROM sessions WHERE digest = ?", [(each,) for each in ended])
