"""GET, POST and DELETE /api/devices: the boards that report here, how each does, and who was refused.

The law of this file: the secrets of a board are shown where one board is asked for or has just been let in, and in no
list. Of many boards that are let in together, all are or none is.
"""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import Callable, Sequence
from typing import Annotated

import msgspec

from outstation import clock
from outstation.config.boards import built_in_key, fresh_key, plain_mac, times_alone
from outstation.config.values import DEVICE_NAME, NAME, known_unit
from outstation.core.readings import Millis
from outstation.engine.boards import Board, Boards, Refusals
from outstation.errors import RefusedError, StoreError, UnknownNameError
from outstation.http import Answer, Later, Request, json
from outstation.store.database import Store
from outstation.store.nodes import Nodes

_AT_MOST = 1_000
"""Boards that are let in together: more is no class, it is a mistake."""

_LAST_CHANNEL = 2**31 - 1

Field = Annotated[str, msgspec.Meta(pattern=f"^{NAME}$")]


class NewBoard(msgspec.Struct, forbid_unknown_fields=True):
    """The body: one board, or a list of them. What is left out is given to it: a number, keys."""

    name: Annotated[str, msgspec.Meta(pattern=f"^{DEVICE_NAME}$")]
    fields: Annotated[list[Field], msgspec.Meta(min_length=1, max_length=8)]
    channel: Annotated[int, msgspec.Meta(ge=1, le=_LAST_CHANNEL)] | None = None
    write_key: str = ""
    read_key: str = ""
    key: str = ""
    mac: str = ""
    public: bool = False
    expected: bool = False
    expected_when: str = ""
    group: str = ""
    units: list[str] = []


_decoder = msgspec.json.Decoder(NewBoard | list[NewBoard])


class DevicesApi:
    """Answers for the boards of one node."""

    def __init__(
        self,
        boards: Boards,
        store: Store,
        urls: Sequence[str] = (),
        admit: Callable[[Sequence[str]], None] = lambda _: None,
        forget: Callable[[Sequence[str]], None] = lambda _: None,
    ) -> None:
        """urls: by which boards reach this node, the likeliest first. admit, forget: for the names of sensors."""
        self._boards, self._nodes, self._urls = boards, Nodes(store), list(urls)
        self._admit, self._forget = admit, forget

    def get(self, _: Request) -> Answer:
        """Handle GET /api/devices."""
        return json(self.list())

    def one(self, request: Request) -> Answer:
        """Handle GET /api/devices/{name}: 404 no such board."""
        return json(self.show(request.params["name"]))

    def add(self, request: Request) -> Answer:
        """Handle POST /api/devices: 200 with the keys, 422 when another has a name, a number or a key of theirs."""
        asked = _decoder.decode(request.body)
        return Later(asyncio.ensure_future(self.create(asked if isinstance(asked, list) else [asked])), json)

    def remove(self, request: Request) -> Answer:
        """Handle DELETE /api/devices/{name}: 200, 404 no such board, 422 it is in the config."""
        return Later(asyncio.ensure_future(self.delete(request.params["name"])), json)

    def list(self) -> dict[str, object]:
        """Return how all boards do, and who was refused in the last hour."""
        moment = clock.moment()
        boards = [board_document(board, self._boards, moment) for board in self._boards]
        refusals = [one for one in self._boards.refusals.values() if one.count(moment.now)]
        return {
            "count": len(boards),
            "devices": boards,
            "refusals": [self._refusal(one, moment) for one in reversed(refusals)],
        }

    def show(self, name: str) -> dict[str, object]:
        """Return a board with its keys. Raises UnknownNameError."""
        board = self._boards.by_name(name)
        if board is None:
            raise UnknownNameError(f'There is no board "{name[:80]}".', cure="`outstation devices list` shows them.")
        return board_document(board, self._boards, clock.moment()) | _secrets(board) | {"urls": self._urls}

    async def create(self, asked: Sequence[NewBoard]) -> dict[str, object]:
        """Let boards in; return them with their keys. Raises RefusedError, StoreError."""
        if len(asked) > _AT_MOST:
            raise RefusedError(f"At most {_AT_MOST} boards are let in at once.")
        taken = {one.name for one in await asyncio.to_thread(self._nodes.all)}
        stored = await asyncio.to_thread(self._boards.last_channel)
        last = max(stored, *(board.channel for board in self._boards), 0)  # others may have been let in meanwhile
        brought = [one.channel for one in asked if one.channel]
        free = itertools.count(max(last, *brought, 0) + 1)
        boards = [_board(one, one.channel or next(free), taken) for one in asked]
        if any(board.channel > _LAST_CHANNEL for board in boards):
            raise RefusedError("The highest number of a channel is taken.", cure="Name one that is free: --channel N.")
        self._admit([name for board in boards for name in board.sensors])
        try:
            await self._boards.add(boards)
        except (RefusedError, StoreError):
            self._forget([name for board in boards if board.name not in self._boards for name in board.sensors])
            raise
        moment = clock.moment()
        documents = [board_document(board, self._boards, moment) | _secrets(board) for board in boards]
        return {"count": len(boards), "devices": documents, "urls": self._urls}

    async def delete(self, name: str) -> dict[str, object]:
        """Let a board report here no more; its history stays. Raises UnknownNameError, RefusedError, StoreError."""
        board = self._boards.by_name(name)
        await self._boards.remove(name)
        if board is not None:
            self._forget(board.sensors)
        return {"removed": name}

    def _refusal(self, refusals: Refusals, moment: clock.Moment) -> dict[str, object]:
        """Return one sender that was refused, and which boards it may be: the silent ones."""
        silent = [board.name for board in self._boards if is_silent(board, self._boards, moment) is not False]
        return {
            "sent": refusals.what,
            "address": refusals.address,
            "count": refusals.count(moment.now),
            "last": clock.iso(refusals.at),
            "device": refusals.board or None,
            "perhaps": [] if refusals.board else silent,
        }


def board_document(board: Board, boards: Boards, moment: clock.Moment) -> dict[str, object]:
    """Return one board as people and programs read it, without its secrets; spans of time in seconds."""
    seen = boards.seen(board)
    kept, every = seen.kept, seen.every
    refused = [one.count(moment.now) for one in boards.refusals.values() if one.board == board.name]
    return {
        "name": board.name,
        "channel": board.channel,
        "fields": board.fields,
        "units": [board.unit(field) for field in board.fields],
        "mac": board.mac or None,
        "public": board.public,
        "expected": board.expected,
        "expected_when": board.expected_when or None,
        "group": board.group or None,
        "configured": board.configured,
        "last_heard": clock.iso(kept.at) if kept else None,
        "address": kept.address if kept else None,
        "every": None if every is None else every / 1000,
        "silent": is_silent(board, boards, moment),
        "refused": sum(refused),
    }


def is_silent(board: Board, boards: Boards, moment: clock.Moment) -> bool | None:
    """Tell whether a board should have spoken again by now; None: it never has."""
    seen = boards.seen(board)
    if seen.kept is None:
        return None
    silence: Millis = moment.at - seen.kept.at if seen.heard is None else moment.now - seen.heard
    return silence > seen.silent_after


def _secrets(board: Board) -> dict[str, object]:
    return {"write_key": board.write_key, "read_key": board.read_key or None, "key": board.key or None}


def _board(new: NewBoard, channel: int, taken: set[str]) -> Board:
    """Return the board that is asked for. Raises RefusedError that names it."""
    if new.name in taken:
        raise RefusedError(f'"{new.name}" is a node that reports here.', cure="Choose another name for the board.")
    if len(set(new.fields)) < len(new.fields):
        raise RefusedError(f"{new.name}: each field has a name of its own.")
    if len(new.units) > len(new.fields):
        raise RefusedError(f"{new.name}: there are more units than fields.")
    return Board(
        new.name,
        channel,
        write_key=_checked(new.name, "write_key", built_in_key, new.write_key) or fresh_key(),
        read_key=_checked(new.name, "read_key", built_in_key, new.read_key) or fresh_key(),
        key=_checked(new.name, "key", built_in_key, new.key),
        public=new.public,
        fields=tuple(new.fields),
        mac=_checked(new.name, "mac", plain_mac, new.mac),
        expected=new.expected,
        expected_when=_checked(new.name, "expected_when", times_alone, new.expected_when),
        group=_checked(new.name, "group", _group, new.group),
        units=tuple(_checked(new.name, "units", known_unit, unit) for unit in new.units),
    )


def _checked(name: str, key: str, check: Callable[[str], str], text: str) -> str:
    try:
        return check(text) if text else ""
    except ValueError as error:
        raise RefusedError(f"{name}: {key}: {error}.") from error


def _group(text: str) -> str:
    if re.fullmatch(DEVICE_NAME, text) is None:
        raise ValueError('expected a name such as "class-a": small letters, digits, - and _')
    return text
