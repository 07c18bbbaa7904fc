"""The data of a node that is upgraded: copied before, put back after an upgrade that failed, and nothing of it lost.

The law of this file: no data file is written over or removed; what cannot be read as one is copied byte by byte. Root
opens nothing in the folders of the service's user.
"""

from __future__ import annotations

import datetime
import os
import shutil
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec

from outstation.errors import DamagedFileError, DiskFullError, OutstationError, StoreError
from outstation.ops import service
from outstation.ops.as_node import as_node
from outstation.ops.places import Places, give_to_node
from outstation.ops.site import Site, waited
from outstation.owner import Owner
from outstation.store import backup, file, sound
from outstation.store.copying import sync_folder

_LOOKED_AT_S = 3_600.0
"""For damage, once the node could not copy its data: a gigabyte on a slow card takes minutes."""

_TAKEN_OUT_WITHIN_S = 1_800.0

_EARLIER = datetime.timedelta(days=1)
"""Readings are taken along from so long before: a board that was cut off sends what it kept, with its own times."""


class Kept(msgspec.Struct, frozen=True):
    """A copy of the data. path: None where there are no data. damaged: byte by byte, of a file that is damaged."""

    path: Path | None = None
    damaged: bool = False


def keep(site: Site, stopping: Callable[[], None]) -> Kept:
    """Copy the data to where the newest copy before a change is. Raises OutstationError, OSError.

    stopping: called before the node is stopped for it.
    """
    places = site.places
    if not (places.data / file.NAME).exists():
        return Kept()
    folder = places.at(service.BACKUPS)
    folder.mkdir(mode=0o750, parents=True, exist_ok=True)
    give_to_node(folder, places)
    target = folder / "before-upgrade.db"
    as_node(places, partial(_make_way, target, places.data / file.NAME))
    site.say(f"Copying the data to {target} ...")
    if site.systemd.is_active():
        if not (why := _ask_for_copy(site, target)):
            return Kept(target)
        site.say(f"{why} It is stopped, to copy them then.")
        stopping()
        site.systemd.stop()
    raw = target.with_name(f"damaged-{_timestamp()}.db")
    if damage := as_node(places, partial(_copy_stopped, places.data, target, raw)):
        site.say(f"{damage} It was copied as it is: {raw}. A node that finds the damage sets its file aside.")
        return Kept(raw, damaged=True)
    return Kept(target)


def data_version(places: Places) -> int:
    """Return which version of our form the data file has; 0: there is none that can be read."""
    return int(as_node(places, lambda: str(_version(places.data / file.NAME))))


def put_aside(places: Places) -> list[Path]:
    """Return the data files that others were put in the place of, the oldest first."""
    found = places.data.glob(f"{file.NAME}.before-restore-*")
    return sorted(each for each in found if each.is_file() and not each.name.endswith(("-wal", "-shm")))


def kept_by_programs(data: Path) -> dict[str, int]:
    """Return the files that programs have kept before they changed them, with what is another one for another file."""
    return {path.name: path.lstat().st_ino for path in data.glob(f"{file.NAME}.before-version-*")}


def restore(places: Places, copy: Path, version: int, *, older: dict[str, int], damaged: bool) -> None:
    """Put the old file back; what the new program made of it is put aside. Raises OutstationError, OSError.

    It is that which the new program kept before it changed it, where that is whole; else the copy from before.
    older: what programs had kept before.
    """
    as_node(places, partial(_restore, places.data, copy, version, older=older, damaged=damaged))


def _restore(data: Path, copy: Path, version: int, *, older: dict[str, int], damaged: bool) -> str:
    kept = [data / name for name, inode in kept_by_programs(data).items() if older.get(name) != inode]
    source = next((path for path in kept if _version(path) == version), copy)
    with Owner(data):
        if damaged and source == copy:
            _put_bytes_back(copy, data)
        else:
            _put_back(source, data)
    return ""


def _put_back(source: Path, data: Path) -> None:
    try:
        backup.restore(source, data)
    except DiskFullError:
        if source.parent != data:
            raise
        file.link_aside(data / file.NAME)
        source.replace(data / file.NAME)  # a name takes no room
        sync_folder(data)


def rescue(places: Places, new: str, aside: Path, begun: str) -> str:
    """Take out of a file what the new program took in; return in words where it is, and how it comes in again."""
    target = places.at(service.BACKUPS) / f"readings-of-{new}-{_timestamp()}.csv.gz"
    words = f"What came in while {new} ran is in {aside}, and no longer among the data"
    try:
        program = places.program / "versions" / new
        as_node(places, partial(_export, places.data, program, aside, begun, target))
    except (OutstationError, OSError) as error:
        return f"{words}. Its readings could not be taken out: {error} Keep that file: {new} and later can read it."
    return (
        f"{words}: readings, alerts, settings.\n"
        f"To have the readings of boards back: sudo outstation import --skip-bad {target}\n"
        "It leaves out those of the node's own sensors and outputs, which nobody can send: they stay there."
    )


def _make_way(target: Path, source: Path) -> str:
    """Call a copy of a newer form otherwise: no program replaces one that it does not know."""
    if _version(target) > max(_version(source), 0):
        target.rename(target.with_name(f"before-upgrade-{_timestamp()}.db"))
    return ""


def _ask_for_copy(site: Site, target: Path) -> str:
    """Have the node copy its data; return "", or why they are to be copied without it. Raises OutstationError."""
    refusal = OutstationError("")
    for _ in range(2):
        try:
            site.node.back_up(target)
        except OutstationError as error:
            refusal = error
        else:
            return ""
        if trouble := waited(site):  # it may only have begun: then its next word counts
            # It may be what the new version is to cure: a server that ends again and again copies nothing.
            return f"The node does not copy them: {refusal} And it is not well: {trouble}"
    path = site.places.data / file.NAME
    if damage := as_node(site.places, lambda: sound.look(path, _LOOKED_AT_S, old=True).damage or ""):
        return f"The data file is damaged: {damage}."
    raise refusal


def _copy_stopped(data: Path, target: Path, raw: Path) -> str:
    """Copy the data of a node that is stopped; return "", or the damage because of which it was done byte by byte."""
    with Owner(data):
        try:
            backup.back_up_stopped(data, target, replace=True)
        except DamagedFileError as error:
            _copy_bytes(data / file.NAME, raw)
            return error.message
    return ""


def _version(path: Path) -> int:
    try:
        return file.version(path)
    except (OSError, StoreError):
        return 0


def _put_bytes_back(copy: Path, data: Path) -> None:
    path, beside = data / file.NAME, data / ".put-back.db"
    _copy_bytes(copy, beside)
    file.link_aside(path)
    path.unlink(missing_ok=True)  # first: what the copy has for a log is none of that file's
    for part, to in reversed(list(zip(_both(beside), _both(path), strict=True))):
        if part.exists():
            part.rename(to)
    sync_folder(data)


def _copy_bytes(source: Path, target: Path) -> None:
    """Copy a data file and what its log has."""
    for part, to in zip(_both(source), _both(target), strict=True):
        if part.exists():
            shutil.copyfile(part, to)
            to.chmod(0o600)
            with to.open("rb") as copied:
                os.fsync(copied.fileno())


def _both(path: Path) -> tuple[Path, Path]:
    return path, path.with_name(f"{path.name}-wal")


def _export(data: Path, program: Path, aside: Path, begun: str, target: Path) -> str:
    """Have the new program read what it wrote: the old one does not know the form."""
    since = datetime.datetime.fromisoformat(begun) - _EARLIER
    folder = data / ".rescue"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    try:
        for part, link in zip(_both(aside), _both(folder / file.NAME), strict=True):
            if part.exists():
                link.hardlink_to(part)
        words = ["-I", "-m", "outstation", "export", "--long", "--start", since.isoformat(), "--data", str(folder)]
        command = [str(program / "bin" / "python"), *words, str(target)]
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, errors="replace", cwd="/", timeout=_TAKEN_OUT_WITHIN_S
        )
    except subprocess.TimeoutExpired:
        raise OutstationError(f"it took more than {_TAKEN_OUT_WITHIN_S / 60:g} minutes.") from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if done.returncode:
        raise OutstationError(" ".join(done.stderr.split()[-40:]))
    return ""


def _timestamp() -> str:
    return datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%SZ")
