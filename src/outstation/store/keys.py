"""API keys: `id.secret`, kept as the SHA-256 of the secret, scoped, revocable.

The law of this file: a secret leaves it once, when it is made; and a key that is revoked is
refused at the next request, since the table in memory changes with the one on disk.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import secrets
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

import apsw
import msgspec

from outstation import clock
from outstation.core.readings import Millis
from outstation.errors import RefusedError, StoreError, UnknownNameError
from outstation.store import file
from outstation.store.database import Store

SCOPES = ("read", "write", "control", "admin")

_ID_BYTES, _SECRET_BYTES = 6, 32
"""8 and 43 letters: the id only finds the row, the secret has 256 bits."""

_NOBODY = hashlib.sha256(b"").digest()
"""What an unknown id is compared with, so that it takes as long as a known one."""


class Key(msgspec.Struct, frozen=True):
    """A key without its secret. device: the only device it may send readings for. revoked: UTC, or None."""

    id: str
    name: str
    scopes: frozenset[str]
    device: str | None
    last4: str
    created: Millis
    revoked: Millis | None = None


class Keys:
    """The keys of one store, and the table by which every request is checked."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._fixed: tuple[bytes, Key] | None = None
        self._valid: dict[str, tuple[bytes, Key]] = {}
        self._unread = True
        self._read()

    def fix(self, name: str, text: str) -> None:
        """Take a key of the owner's own making, with every scope, for as long as this program runs."""
        key = Key(name, name, frozenset(SCOPES), None, text[-4:], clock.at())
        self._fixed = (hashlib.sha256(text.encode("utf-8", "replace")).digest(), key)

    def check(self, text: str) -> Key | None:
        """Return the key that `text` is, or None. In memory, in about a microsecond, whatever the text."""
        if self._fixed is not None:
            given = hashlib.sha256(text.encode("utf-8", "replace")).digest()
            if hmac.compare_digest(given, self._fixed[0]):
                return self._fixed[1]
        if self._unread:
            self._read()
        number, _, secret = text.partition(".")
        digest, key = self._valid.get(number, (_NOBODY, None))
        given = hashlib.sha256(secret.encode("utf-8", "replace")).digest()
        return key if hmac.compare_digest(given, digest) else None

    def valid(self, number: str) -> Key | None:
        """Return a key by its id, unless there is none, or it was revoked."""
        if self._fixed is not None and self._fixed[1].id == number:
            return self._fixed[1]
        return self._valid.get(number, (b"", None))[1]

    def is_fixed(self, key: Key) -> bool:
        """Tell whether this is the key of the owner's own making."""
        return self._fixed is not None and self._fixed[1] == key

    async def create(self, name: str, scopes: Collection[str], *, device: str | None = None) -> tuple[Key, str]:
        """Make a key; return it, and the text that is shown once. Raises RefusedError, StoreError."""
        if not scopes or not set(scopes) <= set(SCOPES):
            raise RefusedError(f"{sorted(scopes)} are not scopes.", cure=f"Valid: {', '.join(SCOPES)}.")
        number, secret = secrets.token_urlsafe(_ID_BYTES), secrets.token_urlsafe(_SECRET_BYTES)
        key = Key(number, name, frozenset(scopes), device, secret[-4:], clock.at())
        digest = hashlib.sha256(secret.encode()).digest()
        await self._store.write(lambda connection: _insert(connection, key, digest))
        self._valid[number] = (digest, key)
        return key, f"{number}.{secret}"

    async def revoke(self, number: str) -> Key:
        """Revoke a key. Raises UnknownNameError when there is no such valid key, StoreError."""
        known = self._valid.pop(number, None)  # first: whoever asked may be gone before the commit
        if known is None:
            raise UnknownNameError(f'There is no valid key "{number[:80]}".', cure="`outstation keys list` shows them.")
        at = clock.at()
        try:
            await self._store.write(lambda connection: _revoke(connection, number, at))
        except StoreError:
            self._valid[number] = known
            raise
        return msgspec.structs.replace(known[1], revoked=at)

    def list(self) -> Sequence[Key]:
        """Return all keys, the revoked ones too, the oldest first. Blocks."""
        return [key for key, _ in self._load()]

    def _read(self) -> None:
        """Fill the table; while there is no data file it stays empty, and is asked for again with the next key."""
        with contextlib.suppress(StoreError):
            self._valid = {key.id: (digest, key) for key, digest in self._load() if key.revoked is None}
            self._unread = False

    def _load(self) -> Iterable[tuple[Key, bytes]]:
        with self._store.read() as connection:
            return [
                (Key(number, name, frozenset(scopes.split()), *rest), digest)
                for number, name, scopes, *rest, digest in connection.execute(_KEYS)
            ]


def readers(path: Path) -> dict[str, str]:
    """Return the SHA-256 of the secrets, in hexadecimal digits, of keys that may read, by their ids.

    Of a file that cannot be read there are none; nor is there a fixed key: an owner's own words could be guessed.
    """
    with contextlib.suppress(StoreError, apsw.Error), contextlib.closing(file.open_for_reading(path)) as connection:
        rows = connection.execute("SELECT id, digest, scopes FROM keys WHERE revoked IS NULL")
        return {number: digest.hex() for number, digest, scopes in rows if "read" in scopes.split()}
    return {}


_KEYS = "SELECT id, name, scopes, device, last4, created, revoked, digest FROM keys ORDER BY rowid"


def _insert(connection: apsw.Connection, key: Key, digest: bytes) -> None:
    connection.execute(
        "INSERT INTO keys (id, digest, name, scopes, device, last4, created) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (key.id, digest, key.name, " ".join(sorted(key.scopes)), key.device, key.last4, key.created),
    )


def _revoke(connection: apsw.Connection, number: str, at: Millis) -> None:
    connection.execute("UPDATE keys SET revoked = ? WHERE id = ?", (at, number))
