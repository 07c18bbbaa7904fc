"""The keys of a node that does not run: its file is opened here, under its lock.

The answers are the documents that the running node gives.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from pathlib import Path
from typing import Any, TypeVar

from outstation import clock
from outstation.owner import Owner
from outstation.store.database import Boot, Store
from outstation.store.keys import Keys
from outstation.web.api.keys import key_document

T = TypeVar("T")


def list_keys(data: Path) -> dict[str, Any]:
    """Return what GET /api/keys would. Raises OwnedError, StoreError."""

    async def work(keys: Keys) -> dict[str, Any]:
        return {"keys": [key_document(key) for key in keys.list()]}

    return _with_keys(data, work)


def create_key(data: Path, name: str, scopes: Collection[str], device: str | None) -> dict[str, Any]:
    """Return what POST /api/keys would. Raises OwnedError, StoreError, RefusedError."""

    async def work(keys: Keys) -> dict[str, Any]:
        key, text = await keys.create(name, scopes, device=device)
        return key_document(key) | {"key": text}

    return _with_keys(data, work)


def revoke_key(data: Path, number: str) -> dict[str, Any]:
    """Return what DELETE /api/keys/{id} would. Raises OwnedError, StoreError, UnknownNameError."""

    async def work(keys: Keys) -> dict[str, Any]:
        await keys.revoke(number)
        return {"revoked": number}

    return _with_keys(data, work)


def _with_keys(data: Path, work: Callable[[Keys], Awaitable[T]]) -> T:
    async def main() -> T:
        moment = clock.moment()
        boot = Boot(clock.boot_id(), moment.at - moment.now, clock.trust())
        with Owner(data), Store(data, boot=boot) as store:
            return await work(Keys(store))

    return asyncio.run(main())
