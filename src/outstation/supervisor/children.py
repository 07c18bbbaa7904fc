"""Starts the processes below the supervisor, each with the descriptors that it is meant to have and no others."""

from __future__ import annotations

import os
import signal
import sys

HERE = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 - pathlib would be half a megabyte more


def start(command: list[str], environment: dict[str, str], inherited: list[int], stderr: int) -> int:
    """Return the pid of a program; `stderr` becomes its standard error. Raises OSError."""
    pid = os.fork()
    if pid:
        return pid
    try:
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        for descriptor in inherited:
            os.set_inheritable(descriptor, True)
        os.dup2(stderr, 2)
        os.execve(command[0], command, environment)  # noqa: S606 - there is no shell, which is the point
    except OSError as error:
        os.write(2, f"ERROR outstation.supervisor: {command[0]} cannot be started: {error.strerror}\n".encode())
    finally:
        os._exit(127)


def script(name: str, *arguments: str) -> list[str]:
    """Return the words that run a script of this folder with this Python and the standard library alone."""
    return [sys.executable, "-I", "-S", f"{HERE}/{name}", *arguments]


def end(pid: int) -> None:
    """Kill a child: at once, whatever it is doing."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def how_it_ended(code: int) -> str:
    """Return in words what the exit status of a child says; below 0 it is a signal."""
    if code >= 0:
        return f"ended with exit status {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"was ended by {name}"
