"""How long the supervisor waits, for what. In seconds; OUTSTATION_SUPERVISION overrides them, for tests."""

from __future__ import annotations

import os


class Times:
    """The times of one supervisor: "silent=8 healthy=60 again=60,300,900,3600"."""

    silent = 8.0
    """Without a beat for as long, the server is frozen."""

    start = 30.0
    """What a server has until its first beat: a Pi Zero reads its programs from a card for many seconds."""

    stop = 8.0
    """What a server has to stop: its outputs are safe after 2 s at most, its readings on disk within 5."""

    healthy = 60.0
    """After as long without a crash, all earlier ones are forgotten."""

    crashes = 5
    """As many, and never `healthy` seconds without one: the reduced node takes over."""

    first_pause, longest_pause = 0.1, 5.0
    """Before the next server starts: doubled with each crash."""

    def __init__(self, text: str) -> None:
        self.again = [60.0, 300.0, 900.0, 3600.0]
        for word in text.split():
            name, _, value = word.partition("=")
            if name == "again":
                self.again = [float(each) for each in value.split(",")]
            else:
                setattr(self, name, float(value))

    def pause(self, crashes: int) -> float:
        """Return the pause after so many crashes."""
        return min(self.first_pause * float(2 ** (crashes - 1)), self.longest_pause)


def from_environment() -> Times:
    """Return the times that the environment gives."""
    return Times(os.environ.get("OUTSTATION_SUPERVISION", ""))
