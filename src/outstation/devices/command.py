"""What a program prints: `command = ["vcgencmd", "measure_temp"]`.

The law of this file: no shell; and when the time is up or the output too long, the whole group of processes is
killed, so that nothing of it is left behind.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import selectors
import signal
import subprocess
import time
import zlib
from pathlib import Path
from typing import Annotated

from pydantic import Field

from outstation.config.values import Duration
from outstation.core.readings import Value
from outstation.devices import value_in_text
from outstation.devices.joint import Joint, shared
from outstation.devices.value_in_text import TextOptions
from outstation.errors import DeviceError, MissingDeviceError
from outstation.plugins import Place, SensorDriver

OUTPUT_BYTES = 65_536
"""Who prints more than this prints no reading."""


class CommandOptions(TextOptions):
    """command: the program and its words, each by itself. timeout: then it is killed."""

    command: Annotated[tuple[str, ...], Field(min_length=1)]
    timeout: Duration = 10_000


class CommandSensor(SensorDriver):
    """Runs the program in the config's folder and takes the value from what it prints."""

    Options = CommandOptions
    options: CommandOptions

    def __init__(self, name: str, options: CommandOptions, place: Place) -> None:
        super().__init__(name, options, place)
        # By the program's name, since messages name a bus, and the words may be secret.
        self.bus = f"command:{self._program} {zlib.crc32(repr(options.command).encode()):08x}"
        self.answers_within = options.timeout / 1000
        self._joint: Joint[str] | None = None

    def open(self) -> None:
        """Sensors with the same command run it once for all."""
        self._joint = shared((self.place.base, self.options.command, self.options.timeout))

    def read(self) -> Value:
        if self._joint is None:
            raise DeviceError("The program is not open.")
        text = self._joint.answer(self.name, self._output)
        if (found := value_in_text.find(text.strip(), self.options)) is None:
            sought = value_in_text.sought(self.options)
            raise DeviceError(f"There is no {sought} in what {self._program} printed: {value_in_text.shown(text)}.")
        return value_in_text.value(found, self.options)

    def close(self) -> None:
        self._joint = None

    @property
    def _program(self) -> str:
        return Path(self.options.command[0]).name

    def _output(self) -> str:
        try:
            running = subprocess.Popen(
                self.options.command,
                cwd=self.place.base,
                env={name: value for name, value in os.environ.items() if not name.startswith("OUTSTATION_")},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                process_group=0,
            )
        except OSError as error:
            raise _not_started(self.options.command[0], error) from error
        _RUNNING.add(running)
        try:
            with running:
                try:
                    return self._printed(running)
                except DeviceError:
                    _kill(running)
                    raise
        finally:
            _RUNNING.discard(running)

    def _printed(self, running: subprocess.Popen[bytes]) -> str:
        """Return what it printed. Raises DeviceError: it takes too long, prints too much, or fails."""
        until = time.monotonic() + self.options.timeout / 1000
        out, complaint = self._heard(running, until)
        try:
            status = running.wait(max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            raise self._too_slow() from None
        if status:
            why = f": {value_in_text.shown(complaint.strip())}" if complaint.strip() else ""
            ended = f"was ended by {signal.Signals(-status).name}" if status < 0 else f"failed with status {status}"
            raise DeviceError(f"{self._program} {ended}{why}.", cure="Try it by hand, as the user of the node.")
        return out

    def _heard(self, running: subprocess.Popen[bytes], until: float) -> list[str]:
        """Return what came on both its outputs until all who hold them have let go. Raises DeviceError."""
        heard = {pipe: bytearray() for pipe in (running.stdout, running.stderr) if pipe is not None}
        with selectors.DefaultSelector() as waiting:
            for pipe, text in heard.items():
                waiting.register(pipe, selectors.EVENT_READ, text)
            while waiting.get_map():
                ready = waiting.select(max(0.0, until - time.monotonic()))
                if not ready:
                    raise self._too_slow()
                for key, _ in ready:
                    if not (part := os.read(key.fd, OUTPUT_BYTES)):
                        waiting.unregister(key.fileobj)
                    key.data.extend(part)
                    if len(key.data) > OUTPUT_BYTES:
                        raise DeviceError(f"{self._program} prints more than {OUTPUT_BYTES} bytes: it was killed.")
        return [text.decode(errors="replace") for text in heard.values()]

    def _too_slow(self) -> DeviceError:
        seconds = self.options.timeout / 1000
        return DeviceError(
            f"{self._program} did not end in {seconds:g} s: it was killed.", cure="It may need a longer `timeout`."
        )


_RUNNING: set[subprocess.Popen[bytes]] = set()


@atexit.register
def _kill_all() -> None:
    """Leave none behind when the node ends: nobody would hear what it prints, nor end it."""
    for running in _RUNNING.copy():
        with contextlib.suppress(ProcessLookupError):
            _kill(running)


def _kill(running: subprocess.Popen[bytes]) -> None:
    """End the program and all that it started, unless its end was heard: then the number may be another's.

    One that has ended unheard keeps its number: what it has started may still run, and hold its output.
    """
    if running.returncode is None:
        os.killpg(running.pid, signal.SIGKILL)


def _not_started(program: str, error: OSError) -> DeviceError:
    reason = os.strerror(error.errno or 0).lower()
    cure = "Name it by its whole path; a service has a short PATH."
    return MissingDeviceError(f"{program} cannot be started: {reason}.", cure=cure)
