"""One process owns a data folder; and who it is that has what another one wants.

The lock is flock(2) on a file that is never removed: the kernel lets go of it when the process
ends, however it ends. What is written in the file is only for the message.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from outstation.errors import OutstationError, OwnedError

_SHOWN_AT_MOST = 120


class Owner:
    """The ownership of a data folder, from `with` to its end. Raises OwnedError that names who has it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock: int | None = None

    def __enter__(self) -> Self:
        lock = self._opened()
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = _holder_of(lock)
            os.close(lock)
            raise self._refusal(error, holder) from error
        self._lock = lock
        with contextlib.suppress(OSError):  # a full disk: the lock holds, only the message of others is poorer
            os.truncate(lock, 0)
            os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def fileno(self) -> int:
        """Return the descriptor of the lock: whoever inherits it owns the folder too, until all have closed it."""
        assert self._lock is not None
        return self._lock

    def close(self) -> None:
        """Let go. May be called twice."""
        lock, self._lock = self._lock, None
        if lock is not None:
            os.close(lock)

    def _opened(self) -> int:
        try:
            # No link: what root writes here must not land elsewhere because the node's user has said so.
            return os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o640)
        except FileNotFoundError as error:
            raise OutstationError(
                f"There are no data in {self.folder}.",
                cure="`outstation run` makes them; another folder is named with --data.",
            ) from error
        except OSError as error:
            raise OutstationError(
                f"The data in {self.folder} cannot be used: {_reason(error)}.",
                cure=f"{_way_in(error)}, or name another folder with --data.",
            ) from error

    def _refusal(self, error: OSError, holder: str) -> OutstationError:
        if isinstance(error, BlockingIOError):
            return OwnedError(
                f"The data in {self.folder} belong to {holder}.",
                cure="Stop that, or name another folder with --data.",
            )
        return OutstationError(
            f"The data in {self.folder} cannot be locked: {_reason(error)}.",
            cure="Name a folder on a local disk with --data.",
        )


def holder_of_port(port: int) -> str:
    """Return who listens on a TCP port, for a message: `process 812 (python3 app.py)`."""
    import psutil  # noqa: PLC0415  needed only when something is wrong

    try:
        connections = psutil.net_connections(kind="tcp")
    except (psutil.Error, OSError):
        return "another process"
    listening = [found for found in connections if found.status == psutil.CONN_LISTEN]
    holders = [found for found in listening if getattr(found.laddr, "port", None) == port]
    known = next((found.pid for found in holders if found.pid is not None), None)
    if known is not None:
        return process(_keeper_of_port(known, port))
    return f"another user's process (`sudo ss -ltnp sport = :{port}` names it)" if holders else "another process"


def ports_of_owner(folder: Path) -> frozenset[int] | None:
    """Return the TCP ports on which the process listens that has the data in a folder; None: who asks may not know."""
    import psutil  # noqa: PLC0415

    try:
        held = psutil.Process(int((folder / "lock").read_text())).net_connections("tcp")
    except (psutil.Error, OSError, ValueError):
        return None
    return frozenset(found.laddr.port for found in held if found.status == psutil.CONN_LISTEN)


def _keeper_of_port(holder: int, port: int) -> int:
    """Return the eldest process that shares the port: who ended only its child would meet the next one."""
    import psutil  # noqa: PLC0415

    try:
        parent = psutil.Process(holder).parent()
        held = parent.net_connections("tcp") if parent else []
    except (psutil.Error, OSError):  # it has just ended, or is another user's
        return holder
    shared = any(found.status == psutil.CONN_LISTEN and found.laddr.port == port for found in held)
    return _keeper_of_port(parent.pid, port) if parent and shared else holder


def process(pid: int) -> str:
    """Return a process as a message names it: `process 812 (python3 app.py)`."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        words = []
    line = " ".join(word for word in words if word)
    printable = "".join(character if character.isprintable() else "?" for character in line)
    return f"process {pid} ({printable[:_SHOWN_AT_MOST]})" if printable else f"process {pid}"


def _holder_of(lock: int) -> str:
    written = os.pread(lock, 32, 0).decode(errors="replace").strip()
    return process(int(written)) if written.isdecimal() else "another process"


def _way_in(error: OSError) -> str:
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return "Make room on its disk"
    return "Run as the user that they belong to"


def _reason(error: OSError) -> str:
    return os.strerror(error.errno or 0).lower()
