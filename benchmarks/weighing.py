"""What a node of the benchmarks costs: memory and processor time of all its processes (proc(5), smaps_rollup)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
from servers import Server


@contextmanager
def weighed(server: Server) -> Iterator[list[float]]:
    """Look at the memory (PSS) of all processes of a node all the time; the list holds the most, in MB."""
    most, stop = [0.0], threading.Event()

    def look() -> None:
        while not stop.wait(0.1):
            most[0] = max(most[0], pss(server.pid))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield most
    finally:
        stop.set()
        thread.join()


def pss(pid: int) -> float:
    """Return the proportional set size of a process and all below it, in MB."""
    return _weighed(pid, "Pss:")


def pss_anon(pid: int) -> float:
    """Return the part of `pss` that is no file's, in MB.

    To see growth by: the part that is a file's goes up when another process that has mapped the same library ends.
    """
    return _weighed(pid, "Pss_Anon:")


def _weighed(pid: int, kind: str) -> float:
    """Add up one line of smaps_rollup, in MB (proc(5): kB are 1,024 bytes)."""
    total = 0.0
    for each in _family(pid):
        with suppress(OSError):
            lines = Path(f"/proc/{each.pid}/smaps_rollup").read_text().splitlines()
            total += next(int(line.split()[1]) for line in lines if line.startswith(kind)) * 1024 / 1e6
    return total


def cpu_time(pid: int) -> float:
    """Return the seconds of processor time that a process and all below it have had so far."""
    total = 0.0
    for each in _family(pid):
        with suppress(psutil.Error):
            times = each.cpu_times()
            total += times.user + times.system
    return total


def _family(pid: int) -> list[psutil.Process]:
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.Error:  # it has just ended
        return []
