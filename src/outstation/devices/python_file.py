"""A sensor in a Python file of the owner's: `file = "sensors/co2.py"` with a function `read()`.

The file runs in this process with all its rights: whoever may write it may do what the node may.
"""

from __future__ import annotations

import traceback
import types
from collections.abc import Callable
from pathlib import Path

from outstation.core.readings import Value
from outstation.errors import DeviceError, MissingDeviceError, to_install
from outstation.plugins import DriverOptions, Place, SensorDriver, checked


class PythonOptions(DriverOptions):
    """The file, from the config's folder."""

    file: str


class PythonSensor(SensorDriver):
    """Calls read() of a file; and close(), if it has one. A changed file counts when the sensor is opened again."""

    Options = PythonOptions
    options: PythonOptions

    def __init__(self, name: str, options: PythonOptions, place: Place) -> None:
        super().__init__(name, options, place)
        self._path = place.base / options.file
        self._module: types.ModuleType | None = None

    def open(self) -> None:
        """Run the file."""
        self.close()
        source = self._source()
        module = types.ModuleType(self._path.stem)
        module.__file__ = str(self._path)

        def run() -> None:
            exec(compile(source, str(self._path), "exec"), module.__dict__)  # noqa: S102 - that is what it is for

        self._call(run)
        if not callable(getattr(module, "read", None)):
            raise DeviceError(f"{self._path} has no function read().", cure="Add one that returns the value.")
        self._module = module

    def read(self) -> Value:
        """Return what the file says."""
        if self._module is None:
            raise DeviceError(f"{self._path} is not open.")
        value = self._call(self._module.read)
        try:
            return checked(value)
        except DeviceError as error:
            raise DeviceError(f"{self._path}, read(): {error}") from error

    def close(self) -> None:
        """Let the file tidy up, where it wants to."""
        module, self._module = self._module, None
        close = getattr(module, "close", None)
        if callable(close):
            self._call(close)

    def _source(self) -> bytes:
        try:
            return self._path.read_bytes()
        except FileNotFoundError as error:
            cure = "Set `file`; it starts at the config's folder."
            raise MissingDeviceError(f"There is no file {self._path}.", cure=cure) from error
        except OSError as error:
            raise MissingDeviceError(f"{self._path} cannot be read: {error.strerror}.") from error

    def _call(self, function: Callable[[], object]) -> object:
        try:
            return function()
        except (Exception, SystemExit) as error:  # the owner's code may raise anything
            words = f"{self._path}{_line(error, self._path)}: {_reason(error)}"
            raise DeviceError(words, cure=_cure(error)) from error


def _line(error: BaseException, path: Path) -> str:
    """Return where in the file it happened: the innermost line of it, or where it cannot be parsed."""
    if isinstance(error, SyntaxError) and error.filename == str(path):
        return f", line {error.lineno}"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return f", line {lines[-1]}" if lines else ""


def _reason(error: BaseException) -> str:
    if isinstance(error, DeviceError):
        return str(error)
    if isinstance(error, SyntaxError):
        return f"SyntaxError: {error.msg}."
    return f"{type(error).__name__}: {error}."


def _cure(error: BaseException) -> str:
    if isinstance(error, DeviceError):
        return ""
    if isinstance(error, ModuleNotFoundError) and error.name:
        return to_install(error.name.partition(".")[0])
    return "Mend it there: a changed file counts at the next attempt."
