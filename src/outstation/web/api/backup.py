"""POST /api/backup: a backup to a file on this machine, for whoever sits at it.

The law of this file: a path is taken through the control socket alone. A key of the network, whatever its scopes,
writes no file that it has named.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec

from outstation.engine.site import Site
from outstation.errors import RefusedError
from outstation.http import Answer, Later, Request, json


class Target(msgspec.Struct, forbid_unknown_fields=True):
    """The body. file: a whole path. replace: a backup that is there already."""

    file: str
    replace: bool = False


_decoder = msgspec.json.Decoder(Target)


class Backups:
    """Has backups made of one node."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def post(self, request: Request) -> Answer:
        """Handle POST /api/backup: 200 when it is made and looked through, 422, 503, 507."""
        if not request.peer.is_control_socket or self._site.backups is None:
            raise RefusedError("Backups are made from the machine itself.", cure="There: outstation backup FILE.")
        target = _decoder.decode(request.body)
        if not target.file.startswith("/") or "\0" in target.file:
            raise RefusedError("The file is no whole path.", cure="Name it from / on.")
        making = self._site.backups.make(Path(target.file), replace=target.replace)
        return Later(asyncio.ensure_future(making), lambda made: json(msgspec.to_builtins(made)))
