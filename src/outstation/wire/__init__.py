"""What crosses to the kernel, to the simulated chip and between the server and its supervisor, as bytes.

The law of this package: the standard library alone, and little of it. It is loaded by a process that must
be small and must not fail, beside the server that uses it too.
"""

from __future__ import annotations


class RefusedError(Exception):
    """A line that cannot be had: `stage` is "chip", "pin" or "request"; an errno; and what goes with it.

    detail: for EBUSY the holder's name, for a pin beyond the last how many there are.
    """

    def __init__(self, stage: str, number: int, detail: str = "") -> None:
        super().__init__(stage, number, detail)
        self.stage, self.number, self.detail = stage, number, detail
