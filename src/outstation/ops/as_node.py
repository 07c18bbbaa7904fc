"""Work in the folders of the service's user, done as that user: root would follow the links that it has put there.

The law of this file: what comes back is text, and whatever a link leads to is opened with the rights of the node.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import traceback
from collections.abc import Callable
from typing import NoReturn

import msgspec

from outstation.errors import OutstationError
from outstation.ops.places import Places

_USER = "outstation"
_MOST = 64 * 1024


class _Done(msgspec.Struct):
    """What became of it. error: "": it was done."""

    text: str = ""
    error: str = ""
    cure: str = ""


def as_node(places: Places, work: Callable[[], str]) -> str:
    """Do something in a process of the node's user; return what it returns. Raises OutstationError where it does."""
    if not places.is_here or os.geteuid() != 0:
        return work()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _do(work, writing)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read(_MOST)
    os.waitpid(child, 0)
    try:
        done = msgspec.json.decode(said, type=_Done)
    except msgspec.DecodeError:
        raise OutstationError("What was done as the user outstation came to no end.", cure="Try again.") from None
    if done.error:
        raise OutstationError(done.error, cure=done.cure)
    return done.text


def _do(work: Callable[[], str], writing: int) -> NoReturn:
    try:
        _become(_USER)
        done = _Done(work())
    except OutstationError as error:
        done = _Done(error=error.message, cure=error.cure)
    except OSError as error:
        done = _Done(error=f"{error.filename or 'A file'}: {os.strerror(error.errno or 0).lower()}.")
    except BaseException as error:  # noqa: BLE001 - nothing of the parent's may be run here
        traceback.print_exc()
        done = _Done(error=f"{type(error).__name__}: {error}")
    with contextlib.suppress(OSError):
        os.write(writing, msgspec.json.encode(done)[:_MOST])
    os._exit(0)


def _become(name: str) -> None:
    user = pwd.getpwnam(name)
    os.initgroups(name, user.pw_gid)
    os.setgid(user.pw_gid)
    os.setuid(user.pw_uid)
    os.umask(0o077)
