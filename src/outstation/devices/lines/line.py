"""What a digital line is to a driver, whoever provides it."""

from __future__ import annotations

import abc
from typing import Literal

import msgspec

Pull = Literal["up", "down", "none"]

CONSUMER_BYTES = 31
"""What the kernel keeps of a holder's name (GPIO_MAX_NAME_SIZE in linux/gpio.h, less its zero)."""


class Wanted(msgspec.Struct, frozen=True):
    """One line as a driver wants it. Levels are logical: True is active, also where active is low.

    level: what an output starts at, in one step with the request; None for an input.
    pull: None leaves the resistor as it is. debounce in milliseconds.
    """

    pin: int
    holder: str
    level: bool | None = None
    active_low: bool = False
    pull: Pull | None = None
    debounce: int = 0


class Edge(msgspec.Struct, frozen=True):
    """A change of an input: its new level, and CLOCK_MONOTONIC in nanoseconds.

    number: counted from 1 since the request; a gap is what a slow reader has missed.
    """

    level: bool
    at_ns: int
    number: int


class Line(abc.ABC):
    """A line that is held. All methods raise DeviceError; several threads may call them."""

    @abc.abstractmethod
    def fileno(self) -> int:
        """Return the descriptor of the request: readable when there are edges; who shares it shares the line."""

    @abc.abstractmethod
    def get(self) -> bool:
        """Return the level."""

    @abc.abstractmethod
    def set(self, level: bool) -> None:
        """Drive an output."""

    @abc.abstractmethod
    def edges(self) -> list[Edge]:
        """Return the edges that wait, oldest first. To be asked when fileno() is readable."""

    @abc.abstractmethod
    def close(self) -> None:
        """Let go of this process's share. May be called twice."""
