"""The keys, the boards and the history of a node that does not run: its file is opened here, under its lock.

The answers are the documents that the running node gives.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from outstation import clock
from outstation.cli.control import NotRunningError
from outstation.config import Config, find, load
from outstation.engine.boards import Boards
from outstation.errors import RefusedError
from outstation.owner import Owner
from outstation.store import file, renaming
from outstation.store.database import Boot, Store
from outstation.store.keys import Keys
from outstation.web.api.devices import DevicesApi, NewBoard
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


def config_of(named: Path | None) -> Config:
    """Return the config of a node that does not run; where there is none, what a node without one has."""
    file = find(named)
    return load(file, strangers=False) if file else Config()


def list_devices(data: Path, config: Config) -> dict[str, Any]:
    """Return what GET /api/devices would. Raises OwnedError, StoreError."""

    async def work(devices: DevicesApi) -> dict[str, Any]:
        return devices.list()

    return _with_devices(data, config, work)


def show_device(data: Path, config: Config, name: str) -> dict[str, Any]:
    """Return what GET /api/devices/{name} would. Raises OwnedError, StoreError, UnknownNameError."""

    async def work(devices: DevicesApi) -> dict[str, Any]:
        return devices.show(name)

    return _with_devices(data, config, work)


def add_devices(data: Path, config: Config, asked: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return what POST /api/devices would. Raises OwnedError, StoreError, RefusedError."""
    try:
        boards = msgspec.convert(list(asked), list[NewBoard])
    except msgspec.ValidationError as error:
        raise RefusedError(f"{error}.") from error
    return _with_devices(data, config, lambda devices: devices.create(boards))


def remove_device(data: Path, config: Config, name: str) -> dict[str, Any]:
    """Return what DELETE /api/devices/{name} would. Raises OwnedError, StoreError, RefusedError."""
    return _with_devices(data, config, lambda devices: devices.delete(name))


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
    return _with_store(data, lambda store: work(NodesApi(store, Keys(store), boards=Boards((), store))))


def _with_devices(
    data: Path, config: Config, work: Callable[[DevicesApi], Awaitable[dict[str, Any]]]
) -> dict[str, Any]:
    return _with_store(data, lambda store: work(DevicesApi(Boards(config.devices, store), store)))


def _with_data(data: Path, work: Callable[[Store], Awaitable[T]]) -> T:
    """Begin no file where there is none."""
    if not (data / file.NAME).exists():
        raise NotRunningError(data)
    return _with_store(data, work)


def _with_store(data: Path, work: Callable[[Store], Awaitable[T]]) -> T:
    async def main() -> T:
        with Owner(data), Store(data, boot=boot()) as store:
            return await work(store)

    return asyncio.run(main())


def boot() -> Boot:
    """Return which boot this is, as the file of a node that does not run is told."""
    moment = clock.moment()
    return Boot(clock.boot_id(), moment.at - moment.now, clock.trust())
