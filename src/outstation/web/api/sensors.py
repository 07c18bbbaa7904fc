"""POST /api/sensors/rename and DELETE /api/sensors/{name}: a sensor with all of its history.

The law of this file: what the config names is the config's, and stays until that has changed.
"""

from __future__ import annotations

import asyncio

import msgspec

from outstation.engine.site import Site
from outstation.errors import RefusedError
from outstation.http import Answer, Later, Request, json
from outstation.store import renaming


class Renaming(msgspec.Struct, forbid_unknown_fields=True, rename={"old": "from", "new": "to"}):
    """The body: two names in full, such as porch/temperature."""

    old: str
    new: str


_decoder = msgspec.json.Decoder(Renaming)


class Sensors:
    """Renames and deletes the sensors of one node."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def rename(self, request: Request) -> Answer:
        """Handle POST /api/sensors/rename: 200 when that is on disk, 404 no history, 422 not allowed."""
        asked = _decoder.decode(request.body)
        old, new = asked.old, asked.new
        self._refuse_configured(old, f"rename {old} {new}")
        self._refuse_configured(new, f"rename {old} {new}")
        if self._site.node.looks_at(old):
            raise RefusedError(
                f'A rule or a derived sensor looks at "{old}".',
                cure="Change that in the config, start the node, try again.",
            )
        return Later(asyncio.ensure_future(self._rename(old, new)), lambda _: json({"renamed": old, "to": new}))

    def delete(self, request: Request) -> Answer:
        """Handle DELETE /api/sensors/{name}: 200 when all of it is gone, 404 no history, 422 not allowed."""
        name = _name(request)
        self._refuse_configured(name, f"delete {name}")
        return Later(
            asyncio.ensure_future(self._delete(name)), lambda readings: json({"deleted": name, "readings": readings})
        )

    async def _rename(self, old: str, new: str) -> None:
        await renaming.rename(self._site.store, old, new)
        node = self._site.node
        if old in node.sensors and new not in node.sensors:
            node.rename(old, new)
        else:
            node.forget(old)

    async def _delete(self, name: str) -> int:
        readings = await renaming.delete(self._site.store, name)
        self._site.node.forget(name)
        return readings

    def _refuse_configured(self, name: str, command: str) -> None:
        config, board = self._site.config, self._site.boards.by_name(name.rpartition("/")[0])
        if board is not None and not board.configured and name in board.sensors:
            cure = f"Let the board go first: outstation devices remove {board.name}"
            raise RefusedError(f'"{name}" is a field of a board that reports here.', cure=cure)
        boards = board.sensors if board else ()
        settings = (one.name for one in config.settings)
        if name in {*(one.name for one in (*config.sensors, *config.actuators)), *settings, *boards}:
            raise RefusedError(
                f'"{name}" is in the config.',
                cure=f"Stop the node, then: outstation sensors {command}. Change the config, and start the node.",
            )


def _name(request: Request) -> str:
    params = request.params
    return f"{params['device']}/{params['name']}" if "device" in params else params["name"]
