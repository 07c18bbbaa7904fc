"""A second node beside the first, in a process of its own: the hub that `outstation demo` reports to.

The law of this file: it ends with the process that it was forked from, in whichever way that one ends.
"""

from __future__ import annotations

import logging
import os
import select
import shutil
import signal
import socket
import sys
import threading
import time
from pathlib import Path

from outstation import app
from outstation.config import Config

log = logging.getLogger("outstation")

_STOPS_S = 10.0

_COMM = Path("/proc/self/comm")


def start(config: Config, *, data: Path, bound: socket.socket, remark: str) -> int:
    """Fork; return the pid of the node. It says nothing but warnings, and removes its data at the end."""
    parent = os.pidfd_open(os.getpid())
    child = os.fork()
    if child:
        os.close(parent)
        return child
    status = 1
    try:
        _prepare(parent)
        status = app.run(config, config_file=None, data=data, bound=bound, remark=remark)
    except Exception:
        # The top of this process: above it lies what its parent was about to do.
        log.exception("The second node ended.")
    finally:
        shutil.rmtree(data, ignore_errors=True)
        os._exit(status)


def _prepare(parent: int) -> None:
    _COMM.write_text("outstation-hub")  # as ps(1) shows it
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s hub %(name)s: %(message)s", stream=sys.stderr)
    for signum in (signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU):  # as its parent
        signal.signal(signum, signal.SIG_IGN)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    threading.Thread(target=_end_after, args=(parent,), name="parent", daemon=True).start()


def _end_after(parent: int) -> None:
    """Wait for the end of the parent; stop then, and surely."""
    poll = select.poll()
    poll.register(parent, select.POLLIN)  # readable when it has ended (pidfd_open(2))
    poll.poll()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_STOPS_S)
    os.kill(os.getpid(), signal.SIGKILL)
