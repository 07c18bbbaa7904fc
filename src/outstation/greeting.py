"""What a person sees at a start: where to look, with which key, and what to do next."""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import shlex
import shutil
import sys
import threading
from pathlib import Path
from typing import TextIO

from outstation.config.values import PLACEHOLDERS
from outstation.errors import StoreError
from outstation.ops.service import installed_program
from outstation.store.keys import SCOPES, Keys

log = logging.getLogger("outstation")

_SHORT = 16


async def first_key(keys: Keys, *, always: bool) -> str | None:
    """Return a new key with every scope, when the node has none and somebody is there to read it.

    OUTSTATION_API_KEY gives a fixed one instead, which is not shown.
    """
    fixed = _fixed_key()
    if fixed and not (fixed.isascii() and fixed.isprintable()):
        say("warning: OUTSTATION_API_KEY will never match; use letters, digits, - and _.", sys.stderr)
    if fixed:
        keys.fix("environment", fixed)
        if len(fixed) < _SHORT or any(word in fixed.upper() for word in PLACEHOLDERS):
            say("warning: OUTSTATION_API_KEY is easy to guess; use 16 characters or more, drawn by chance.", sys.stderr)
        return None
    if not (always or (sys.stdout is not None and sys.stdout.isatty())):
        return None
    try:
        return None if keys.list() else (await keys.create("first", SCOPES))[1]
    except StoreError as error:
        say(f"warning: no key was made: {error}", sys.stderr)
        return None


def greet(urls: list[str], key: str | None, output: str | None, data: Path, notes: list[str]) -> None:
    """Print the addresses to open, the key if there is a new one, and the next step."""
    lines = [f"Outstation is running: {urls[0]}", *(f"          from elsewhere: {url}" for url in urls[1:])]
    lines += notes
    if key is None:
        known = "the one in OUTSTATION_API_KEY, or " if _fixed_key() else ""
        make = f"{program()} keys create NAME --scope control --data {shlex.quote(str(data))}"
        lines.append(f"To move outputs you need a key: {known}a new one from\n  {make}")
    else:
        lines += [f"Your key, shown this once: {key}"]
        lines += [f"Try it:\n  {_example(urls[0], output, key)}"] if output else []
    say("\n".join(lines))


def say(text: str, stream: TextIO | None = None) -> None:
    """Print soon, on stdout unless told otherwise. Whether a node runs is not for who listens to decide.

    A stream can be absent (closed by who started the program), broken, or a pipe that nobody empties, a terminal
    after Ctrl-S: what is said waits in a thread of its own, one word after the other.
    """
    stream = stream or sys.stdout
    if stream is None:
        return
    _said.put((stream.fileno(), f"{text}\n".encode(stream.encoding, "replace")))
    if not _speaker.is_alive():
        with contextlib.suppress(RuntimeError):  # the machine has no thread left: then nothing is said
            _speaker.start()


def _speak() -> None:
    while True:
        descriptor, words = _said.get()
        try:
            # Past Python's own buffer: at the exit that one is waited for, and tried again.
            while words:
                words = words[os.write(descriptor, words) :]
        except OSError as error:
            log.warning("nothing could be printed: %s", error)


_said: queue.SimpleQueue[tuple[int, bytes]] = queue.SimpleQueue()
_speaker = threading.Thread(target=_speak, name="greeting", daemon=True)


def program() -> str:
    """Return how a shell calls this program: by its name where that finds it, else by where it is."""
    installed = installed_program()
    return "outstation" if shutil.which("outstation") == installed[0] else shlex.join(installed)


def _fixed_key() -> str:
    return os.environ.get("OUTSTATION_API_KEY", "").strip()  # as a header arrives


def _example(url: str, output: str, key: str) -> str:
    header = shlex.quote(f"X-API-Key: {key}")
    return f"curl -X POST {url}api/{output} -H 'Content-Type: application/json' -H {header} -d '{{\"action\": \"on\"}}'"
