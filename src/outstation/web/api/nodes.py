"""GET, POST and DELETE /api/nodes, and /api/nodes/{name}/renew: who may report here, and how each does.

The law of this file: a node has one key, for its own sensors alone; who loses it or has it copied gets another, and the
old one is refused from the next request on.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Container, Sequence

import msgspec

from outstation import clock
from outstation.config.values import DEVICE_NAME
from outstation.core.readings import Millis
from outstation.core.reporting import silent_after
from outstation.errors import RefusedError, UnknownNameError
from outstation.http import Answer, Later, Request, json
from outstation.store.database import Store
from outstation.store.keys import Keys
from outstation.store.nodes import Known, Nodes


class NewNode(msgspec.Struct, forbid_unknown_fields=True):
    """The body: the name that the node gets here."""

    name: str


class Empty(msgspec.Struct, forbid_unknown_fields=True):
    """The body: none, or an empty object."""


_new, _empty = msgspec.json.Decoder(NewNode), msgspec.json.Decoder(Empty)


class NodesApi:
    """Answers for the nodes of one hub."""

    def __init__(self, store: Store, keys: Keys, urls: Sequence[str] = (), boards: Container[str] = ()) -> None:
        """urls: by which others reach this node, the likeliest first. boards: names that boards have."""
        self._nodes, self._keys, self._urls, self._boards = Nodes(store), keys, list(urls), boards
        self._changing = asyncio.Lock()

    def get(self, _: Request) -> Answer:
        """Handle GET /api/nodes."""
        return Later(asyncio.ensure_future(self.list()), json)

    def add(self, request: Request) -> Answer:
        """Handle POST /api/nodes: 200 with the key, 422 when there is one of that name."""
        name = _new.decode(request.body).name
        return Later(asyncio.ensure_future(self.create(name)), json)

    def renew(self, request: Request) -> Answer:
        """Handle POST /api/nodes/{name}/renew: 200 with the key, 404 no such node."""
        _empty.decode(request.body or b"{}")
        return Later(asyncio.ensure_future(self.replace(request.params["name"])), json)

    def remove(self, request: Request) -> Answer:
        """Handle DELETE /api/nodes/{name}: 200, 404 no such node."""
        return Later(asyncio.ensure_future(self.delete(request.params["name"])), json)

    async def list(self) -> dict[str, object]:
        """Return how all nodes do. Raises StoreError."""
        return await asyncio.to_thread(self._documents)

    def _documents(self) -> dict[str, object]:
        known, at = self._nodes.all(), clock.at()
        return {"count": len(known), "nodes": [node_document(one, at) for one in known]}

    async def create(self, name: str) -> dict[str, object]:
        """Let a node report here; return its key. Raises RefusedError, StoreError."""
        async with self._changing:
            await asyncio.to_thread(self._refuse, name)
            return await self._with_key(name)

    def _refuse(self, name: str) -> None:
        """Raise RefusedError for a name that no new node can have."""
        if re.fullmatch(DEVICE_NAME, name) is None:
            raise RefusedError("A node is named in small letters, digits, - and _.")
        if name in self._boards:
            raise RefusedError(f'"{name}" is a board that reports here.', cure="Choose another name for the node.")
        if any(one.name == name for one in self._nodes.all()):
            cure = f"A new key for it: outstation nodes renew {name}"
            raise RefusedError(f'A node "{name}" may report here already.', cure=cure)
        if any(key.device == name and key.revoked is None for key in self._keys.list()):
            cure = "Choose another name for the node, or revoke that key: outstation keys list."
            raise RefusedError(f'A device "{name}" has a key here, and is heard as it.', cure=cure)

    async def replace(self, name: str) -> dict[str, object]:
        """Give a node a new key, and follow it from its beginning. Raises UnknownNameError, StoreError."""
        async with self._changing:
            known = await asyncio.to_thread(self._nodes.one, name)
            await self._revoke(known.key)  # first: else the other one with it is the first that is heard anew
            return await self._with_key(name)

    async def delete(self, name: str) -> dict[str, object]:
        """Let a node report here no more. Raises UnknownNameError, StoreError."""
        async with self._changing:
            known = await asyncio.to_thread(self._nodes.one, name)
            await self._revoke(known.key)
            await self._nodes.remove(name)
        return {"removed": name}

    async def _with_key(self, name: str) -> dict[str, object]:
        key, text = await self._keys.create(f"node {name}", ["write"], device=name)
        await self._nodes.put(name, key.id)
        return {"name": name, "key": text, "urls": self._urls}

    async def _revoke(self, key: str) -> None:
        try:
            await self._keys.revoke(key)
        except UnknownNameError:  # by hand, before
            return


def node_document(known: Known, at: Millis) -> dict[str, object]:
    """Return one node as people and programs read it; spans of time in seconds. at: now, UTC."""
    report = known.report
    age = None if report.at is None else max(0, at - report.at)
    return {
        "name": known.name,
        "added": clock.iso(known.added),
        "last_seen": None if report.at is None else clock.iso(report.at),
        "age": None if age is None else age / 1000,
        "silent": age is not None and age > silent_after(report.every),
        "summaries_until": None if report.until is None else clock.iso(report.until),
        "every": report.every / 1000,
        "lag": None if report.at is None else report.lag / 1000,
        "clock": report.clock or None,
        "version": report.program or None,
        "waiting": report.waiting,
        "parked": report.parked,
        "lost": report.lost,
        "cloned": None if report.standing.cloned is None else clock.iso(report.standing.cloned),
    }
