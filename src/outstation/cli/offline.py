"""The keys and the history of a node that does not run: its file is opened here, under its lock.

The answers are the documents that the running node gives.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from pathlib import Path
from typing import Any, TypeVar

from outstation import clock
from outstation.cli.control import NotRunningError
from outstation.config import Config
from outstation.owner import Owner
from outstation.store import file, renaming
from outstation.store.database import Boot, Store
from outstation.store.keys import Keys
from outstation.web.api.keys import key_document
from outstation.web.api.nodes import NodesApi

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


def list_nodes(data: Path) -> dict[str, Any]:
    """Return what GET /api/nodes would. Raises OwnedError, StoreError."""
    return _with_nodes(data, NodesApi.list)


def add_node(data: Path, name: str) -> dict[str, Any]:
    """Return what POST /api/nodes would. Raises OwnedError, StoreError, RefusedError."""
    return _with_nodes(data, lambda nodes: nodes.create(name))


def renew_node(data: Path, name: str) -> dict[str, Any]:
    """Return what POST /api/nodes/{name}/renew would. Raises OwnedError, StoreError, UnknownNameError."""
    return _with_nodes(data, lambda nodes: nodes.replace(name))


def remove_node(data: Path, name: str) -> dict[str, Any]:
    """Return what DELETE /api/nodes/{name} would. Raises OwnedError, StoreError, UnknownNameError."""
    return _with_nodes(data, lambda nodes: nodes.delete(name))


def rename_sensor(data: Path, old: str, new: str) -> dict[str, Any]:
    """Return what POST /api/sensors/rename would. Raises NotRunningError, OwnedError, RefusedError."""

    async def work(store: Store) -> dict[str, Any]:
        await renaming.rename(store, old, new)
        return {"renamed": old, "to": new}

    return _with_data(data, work)


def delete_sensor(data: Path, name: str) -> dict[str, Any]:
    """Return what DELETE /api/sensors/{name} would. Raises NotRunningError, UnknownNameError."""

    async def work(store: Store) -> dict[str, Any]:
        return {"deleted": name, "readings": await renaming.delete(store, name)}

    return _with_data(data, work)


def retention(data: Path, config: Config, *, now: bool, dry_run: bool) -> dict[str, Any]:
    """Return what GET or POST /api/retention would. Raises NotRunningError, OwnedError, StoreError."""
    from outstation.engine import retaining

    path = data / file.NAME
    if not path.exists():
        raise NotRunningError(data)
    if dry_run or not now:
        return retaining.of_stopped(path, config, asked=now)
    return _with_store(data, lambda store: retaining.Retaining(store, config).run())


def _with_keys(data: Path, work: Callable[[Keys], Awaitable[T]]) -> T:
    return _with_store(data, lambda store: work(Keys(store)))


def _with_nodes(data: Path, work: Callable[[NodesApi], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
    return _with_store(data, lambda store: work(NodesApi(store, Keys(store))))


def _with_data(data: Path, work: Callable[[Store], Awaitable[T]]) -> T:
    """Begin no file where there is none."""
    if not (data / file.NAME).exists():
        raise NotRunningError(data)
    return _with_store(data, work)


def _with_store(data: Path, work: Callable[[Store], Awaitable[T]]) -> T:
    async def main() -> T:
        moment = clock.moment()
        boot = Boot(clock.boot_id(), moment.at - moment.now, clock.trust())
        with Owner(data), Store(data, boot=boot) as store:
            return await work(store)

    return asyncio.run(main())
