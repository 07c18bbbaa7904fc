"""A disk made of what a program told it: each write, sync and rename of a run, as strace(1) saw them.

The law of this file: it promises no more than POSIX does. What was written and not synced since may be on the disk
or not, sector by sector, in any order; a name that was made, removed or changed may be so or not until its folder was
synced. That is harder than any one file system: so what holds here does not hang on which one it is.
"""

from __future__ import annotations

import random
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.faults.verdict import Told, told

ROOT = Path(__file__).absolute().parents[2]

SECTOR = 512
"""Bytes that a disk writes whole or not at all."""

needs_strace = pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed: apt install strace")


class Call(NamedTuple):
    """What the program asked of the kernel. name: of the file, in its folder; "": of the folder. data: also a new name.

    number: an offset, or a size.
    """

    kind: str
    name: str
    data: bytes = b""
    number: int = 0


class Run(NamedTuple):
    """A run that was recorded: its calls in order, those to its standard output as kind "said".

    before: the files as they were. first: the number of its first step.
    """

    calls: list[Call]
    before: dict[str, bytes]
    first: int

    def told(self, until: int) -> Told:
        """Return how far the life had got before call `until`."""
        return told(b"".join(call.data for call in self.calls[:until] if call.kind == "said"), self.first)


def life(*words: object) -> list[str]:
    """Return the command of a life in a process of its own: its folder, seed, first and last step, and its breaches."""
    return [sys.executable, "-m", "tests.faults.life", *map(str, words)]


def recorded(folder: Path, data: Path, seed: int, first: int, last: int, *breaches: str) -> Run:
    """Let a part of a life be lived under strace; return what it did."""
    trace, said = folder / "trace", folder / "said"
    before = {path.name: path.read_bytes() for path in data.iterdir()}
    words = ["strace", "-f", "--seccomp-bpf", "-qq", "-y", "-xx", "-s", "10000000", "-e", f"trace={_CALLS}"]
    with said.open("wb") as output:
        command = [*words, "-o", str(trace), *life(data, seed, first, last, *breaches)]
        subprocess.run(command, cwd=ROOT, stdout=output, check=True)
    with trace.open() as lines:
        return Run(list(_calls(_whole(lines), str(data), str(said))), before, first)


class Disk:
    """The disk after some of the calls. names, kept: files by name, as programs see them and as last synced."""

    def __init__(self, before: Mapping[str, bytes]) -> None:
        self.names = {name: _File(content) for name, content in before.items()}
        self.kept = dict(self.names)

    def take(self, call: Call) -> None:
        """Let one call happen."""
        match call.kind:
            case "create":
                self.names.setdefault(call.name, _File())
            case "unlink":
                self.names.pop(call.name, None)
            case "rename":
                self.names[call.data.decode()] = self.names.pop(call.name)
            case "sync" if not call.name:
                self.kept = dict(self.names)
            case "sync":
                self.names[call.name].sync()
            case "write" | "truncate":
                self.names[call.name].waiting.append(call)

    def after_a_kill(self, folder: Path) -> None:
        """Write into a folder what a killed program leaves behind: all it wrote."""
        for name, file in self.names.items():
            (folder / name).write_bytes(file.content(1, random.Random()))

    def after_a_power_cut(self, folder: Path, share: float, chance: random.Random) -> None:
        """Write into a folder what a power cut leaves behind. share: of what was not synced, how much is there."""
        for name in sorted(self.names.keys() | self.kept.keys()):
            now, before = self.names.get(name), self.kept.get(name)
            file = now if chance.random() < share else before
            if file is not None:
                (folder / name).write_bytes(file.content(share, chance))


class _File:
    """The bytes that are on disk for certain, and what was asked for since."""

    def __init__(self, content: bytes = b"") -> None:
        self.synced = content
        self.waiting: list[Call] = []

    def sync(self) -> None:
        self.synced, self.waiting = self.content(1, random.Random()), []

    def content(self, share: float, chance: random.Random) -> bytes:
        found = bytearray(self.synced)
        for call in self.waiting:
            if call.kind == "truncate":
                if chance.random() < share:
                    del found[call.number :]
                    found.extend(bytes(call.number - len(found)))
                continue
            for at, piece in _sectors(call):
                if chance.random() < share:
                    found.extend(bytes(max(at + len(piece) - len(found), 0)))
                    found[at : at + len(piece)] = piece
        return bytes(found)


def _sectors(call: Call) -> Iterator[tuple[int, bytes]]:
    at, end = call.number, call.number + len(call.data)
    while at < end:
        until = min(end, at - at % SECTOR + SECTOR)
        yield at, call.data[at - call.number : until - call.number]
        at = until


_CALLS = "openat,pwrite64,write,fdatasync,fsync,ftruncate,unlink,rename"

_CALL = re.compile(
    r'(?P<call>\w+)\((?P<where>[^"]*?)(?:"(?P<data>[^"]*)"(?P<rest>[^"]*)(?:"(?P<new>[^"]*)")?)?\) += \d'
)
_WHERE = re.compile(r"\d+<((?:\\x[0-9a-f]{2})+)>(?:, (\d+))?")


def _whole(lines: Iterable[str]) -> Iterator[str]:
    """Return calls in the order of their ends: strace breaks the line of one when another thread calls meanwhile."""
    begun: dict[str, str] = {}
    for line in lines:
        process, text = line.split(maxsplit=1)
        if text.endswith("<unfinished ...>\n"):
            begun[process] = text.removesuffix("<unfinished ...>\n")
        elif text.startswith("<... "):
            yield begun.pop(process) + text.partition(" resumed>")[2]
        else:
            yield text


def _calls(lines: Iterable[str], folder: str, said: str) -> Iterator[Call]:
    for line in lines:
        found = _CALL.match(line)
        if found is None:  # it failed, or is the end of a process
            continue
        data, rest = _bytes(found["data"] or ""), found["rest"] or ""
        if found["call"] in ("unlink", "rename", "openat"):
            name = _inside(folder, data.decode())
            if name and (found["call"] != "openat" or "O_CREAT" in rest):
                kind = "create" if found["call"] == "openat" else found["call"]
                yield Call(kind, name, Path(_bytes(found["new"] or "").decode()).name.encode())
            continue
        where = _WHERE.match(found["where"])
        if where is None:  # no file: a pipe to another thread
            continue
        path = _bytes(where[1]).decode()
        if path == said:
            yield Call("said", "", data)
        elif (name := _inside(folder, path)) is not None:
            number = int(rest.rpartition(",")[2] or where[2] or 0)
            yield Call(_KINDS[found["call"]], name, data, number)


_KINDS = {"pwrite64": "write", "ftruncate": "truncate", "fdatasync": "sync", "fsync": "sync"}


def _inside(folder: str, path: str) -> str | None:
    """Return the name of a file in the folder, "" for the folder; None for any other, and for what no disk keeps."""
    if path == folder:
        return ""
    is_ours = path.startswith(folder) and not path.endswith("-shm")
    return Path(path).name if is_ours else None


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))
