"""Where the supervisor begins: `outstation run` has loaded the config and become this, in the same process.

Arguments: the numbers of the socket pair's end, of the lock, of the listening socket, of the log pipe's two ends, of
the outputs in memory, of the servers' notebook and of the reduced node's terms in memory; the first server's pid; the
data folder; a folder to remove at the end, or nothing; the number of the boards' listening socket, or nothing; that of
a pidfd of another process to end then, or nothing; the command for the next server.
"""

from __future__ import annotations

import os
import sys
import time

if __name__ == "__main__":
    # Without site-packages nobody else says where this package lies.
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))  # noqa: PTH100, PTH120

import select
import signal
import socket

from outstation.supervisor.loop import Again, Server, Supervisor
from outstation.supervisor.passage import Passage
from outstation.supervisor.pins import Pins
from outstation.supervisor.times import from_environment
from outstation.wire import outputs

_OBEYS_MS = 5_000


def main(arguments: list[str]) -> int:
    """Supervise; return the exit status."""
    given = [int(number) for number in arguments[:8]]
    server, folder, temporary, boards, beside, *command = arguments[8:]
    for descriptor in (*given, *map(int, filter(None, [boards, beside]))):
        os.set_inheritable(descriptor, False)
    channel, lock, port, log, stderr, known, notebook, terms = given
    with open(known, encoding="utf-8") as file:  # noqa: PTH123 - a descriptor
        file.seek(0)
        pins = Pins(outputs.parsed(file.read()))
    first = Server(int(server), socket.socket(fileno=channel), time.monotonic())
    supervisor = Supervisor(
        first,
        pins=pins,
        passage=Passage(log),
        times=from_environment(),
        again=Again(
            command,
            folder,
            ports=[port, *map(int, filter(None, [boards]))],
            lock=lock,
            stderr=stderr,
            notebook=notebook,
            terms=terms,
        ),
    )
    try:
        return supervisor.run()
    finally:
        if beside:
            _end(int(beside))
        if temporary:
            import shutil  # noqa: PLC0415 - a megabyte that only a demonstration needs, at its end

            shutil.rmtree(temporary, ignore_errors=True)


def _end(beside: int) -> None:
    """End another process: it is asked first, and killed when it does not obey."""
    poll = select.poll()
    poll.register(beside, select.POLLIN)  # readable when it has ended (pidfd_open(2))
    for signum in (signal.SIGTERM, signal.SIGKILL):
        try:
            signal.pidfd_send_signal(beside, signum)
        except ProcessLookupError:
            return
        if poll.poll(_OBEYS_MS):
            os.waitid(os.P_PIDFD, beside, os.WEXITED)
            return


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
