"""Backups of the running node: when somebody asks for one, and by the clock, the oldest of these deleted.

The law of this file: only files of its own pattern are deleted, and only when a newer one is whole and the data are not
damaged. No folder is made: where a disk was pulled, nothing goes to the one below it.
"""

from __future__ import annotations

import asyncio
import datetime
import re
from pathlib import Path

from outstation import clock
from outstation.config.models import BackupTable
from outstation.core.readings import Millis
from outstation.errors import OutstationError, RefusedError, StoreError
from outstation.store import backup, file
from outstation.store.backup import Backup
from outstation.store.database import Store

LOOK_EVERY_S = 60.0

_AGAIN: Millis = 3_600_000
"""After one that failed: to fill a disk once more in a minute helps nobody."""

_TIME = "%Y%m%dT%H%M%SZ"


class Backups:
    """All backups of one node, one at a time. trouble: why there is none by the clock, in words."""

    def __init__(self, store: Store, table: BackupTable, name: str, setting: clock.Setting) -> None:
        """name: what the files are called, before the time."""
        self.trouble = ""
        self._store, self._table, self._name, self._setting = store, table, name, setting
        self._not_before: Millis = 0
        self._one = asyncio.Lock()

    async def make(self, target: Path, *, replace: bool = False) -> Backup:
        """Make one as asked for. Raises RefusedError, DiskFullError, StoreError."""
        if self._one.locked():
            raise RefusedError("A backup is being made just now.", cure="Ask again when it is done.")
        async with self._one:
            return await backup.back_up(self._store, target, replace=replace)

    def troubles(self) -> list[str]:
        """Return it for health."""
        return [self.trouble] if self.trouble else []

    async def look(self) -> None:
        """Make one by the clock, if the newest is too old. Raises StoreError."""
        if self._table.folder is None or clock.now() < self._not_before:
            return
        try:
            await self._keep_up(Path(self._table.folder))
        except OutstationError as error:
            self.trouble = f"No backup: {error}"
            raise
        self.trouble = ""

    async def _keep_up(self, folder: Path) -> None:
        if clock.trust(self._setting) is clock.Trust.UNSET:
            raise StoreError(
                "The clock was never set, and a backup bears its time.",
                cure='Set it, or believe it all the same: [node] clock = "trust".',
            )
        async with self._one:
            at, made = clock.at(), await asyncio.to_thread(self._made, folder)
            if any(at - self._table.every < one <= at for one in made.values()):
                return
            name = f"{self._name}-{datetime.datetime.fromtimestamp(at // 1000, datetime.UTC):{_TIME}}.db"
            self._not_before = clock.now() + min(_AGAIN, self._table.every)
            await backup.back_up(self._store, folder / name)
            self._not_before = 0
            if not self._store.lost and not await asyncio.to_thread(file.damaged, self._store.path):
                await asyncio.to_thread(self._delete_oldest, sorted(made))

    def _made(self, folder: Path) -> dict[Path, Millis]:
        """Return our backups in a folder, and what time each says; remove what is left of one that was cut short."""
        ours = re.compile(rf"(\.?){re.escape(self._name)}-(\d{{8}}T\d{{6}}Z)\.db(\.partial)?", re.ASCII)
        made: dict[Path, Millis] = {}
        try:
            for path in folder.iterdir():
                found = ours.fullmatch(path.name)
                if found and found[1] and found[3]:
                    path.unlink()
                elif found and not (found[1] or found[3]):
                    made[path] = _time(found[2])
        except OSError as error:
            raise StoreError(
                f"The folder {folder} cannot be used: {error.strerror}.",
                cure="Is its disk there, and mounted? Nothing is written to another one.",
            ) from error
        return made

    def _delete_oldest(self, older: list[Path]) -> None:
        """Delete the oldest of those that were there before the one that was just made."""
        for path in older[: max(0, len(older) + 1 - self._table.keep)]:
            path.unlink(missing_ok=True)


def _time(text: str) -> Millis:
    """Return UTC; 0 for what is no time."""
    try:
        return int(datetime.datetime.strptime(f"{text}+0000", f"{_TIME}%z").timestamp() * 1000)
    except ValueError:
        return 0
