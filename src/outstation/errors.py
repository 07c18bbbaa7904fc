"""The one tree of errors: the type says whose turn it is, the text says where and what to do."""

from __future__ import annotations

import sys


class OutstationError(Exception):
    """Something that a person may have to know: what happened, and the cure where one is known."""

    def __init__(self, message: str, *, cure: str = "") -> None:
        super().__init__(f"{message} {cure}".rstrip())
        self.message = message
        self.cure = cure


def to_install(what: str) -> str:
    """Return the cure for a library that is missing: by this Python's pip, for that of Debian's Python refuses."""
    return f"Install it with: {sys.executable} -m pip install {what}"


class ConfigError(OutstationError):
    """The configuration is wrong: its owner must mend it. Holds every mistake found, one line each."""

    def __init__(self, mistakes: list[str]) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = mistakes


class OwnedError(OutstationError):
    """Another process has what this one needs: the data folder, or the port."""


class DeviceError(OutstationError):
    """A sensor or an output did not answer as it should: tried again with back-off."""


class MissingDeviceError(DeviceError):
    """A library, a permission or a line is missing: tried again seldom, since a person must act first."""


class UnpluggedError(MissingDeviceError):
    """What people plug in and out is not there, and to look for it costs nothing: tried again every few seconds."""


class StoreError(OutstationError):
    """The data file could not be written or read just now: nothing was promised; try again."""


class DiskFullError(StoreError):
    """There is no space left for the data file."""


class DamagedFileError(StoreError):
    """What was read is not what was written: the data file, or a copy of it, cannot be trusted."""


class NewerFileError(StoreError):
    """The data file was written by a newer program: this one must not touch it."""


class RefusedError(OutstationError):
    """Understood, but not allowed: unknown name, value out of bounds, time in the future."""


class OutrankedError(RefusedError):
    """Allowed at another time: something that ranks higher decides over this output just now."""


class UnknownNameError(RefusedError):
    """There is no such sensor, actuator or key."""


class UnknownActionError(RefusedError):
    """There is no such action; `valid` lists those that there are."""

    def __init__(self, message: str, valid: list[str]) -> None:
        super().__init__(message, cure=f"Valid: {', '.join(valid)}.")
        self.valid = valid
