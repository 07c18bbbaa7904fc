"""MCP3008, a converter with eight inputs: Microchip's data sheet DS21295D, chapter 5 and figure 6-1."""

from __future__ import annotations

from typing import ClassVar

from outstation.devices.models.converter import Inputs
from outstation.devices.models.model import SpiModel

_REFERENCE = 3.3


class Mcp3008(Inputs, SpiModel):
    """Hears a start bit, one or two ended, and three bits of the input; says a zero and ten bits, two clocks later."""

    quantities: ClassVar = {f"ch{number}": 0.4 * number + 0.25 for number in range(8)}

    def exchange(self, data: bytes) -> bytes:
        bits = "".join(f"{byte:08b}" for byte in data)
        start = bits.find("1")
        if start < 0 or len(bits) < start + 5:
            return b"\xff" * len(data)
        code = self._converted(bits[start + 1] == "1", int(bits[start + 2 : start + 5], 2))
        # One clock to sample in, in which nobody drives the line.
        answer = ("1" * (start + 6) + "0" + f"{code:010b}").ljust(len(bits), "0")[: len(bits)]
        return int(answer, 2).to_bytes(len(data))

    def _converted(self, alone: bool, number: int) -> int:
        """Return 1024 times the share of the reference; of a pair, the even input is first where the number is even."""
        volts = self.values[f"ch{number}"] - (0 if alone else self.values[f"ch{number ^ 1}"])
        return min(max(int(volts / _REFERENCE * 1_024), 0), 1_023)
