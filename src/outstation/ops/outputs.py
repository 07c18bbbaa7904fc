"""Makes outputs safe without a node: what a service's stop hook calls, when nothing else is left.

The law of this file: neither the config nor the data file is opened. DATA/outputs says all that is needed.
"""

from __future__ import annotations

import errno
import os
from typing import Literal

import msgspec

from outstation.wire import RefusedError, kernel, pwm, simulated
from outstation.wire.outputs import Output

Result = Literal["safe", "floating", "held", "failed", "absent", "driver"]

GOOD: frozenset[Result] = frozenset({"safe", "absent", "driver"})
"""What is no failure of this command."""


class Outcome(msgspec.Struct, frozen=True):
    """What became of one output, and in words what that means and what to do."""

    actuator: str
    safe: Literal["on", "off"]
    result: Result
    detail: str


def make_safe(output: Output) -> Outcome:
    """Drive an output to its safe level, let go of it, and look whether it stays."""
    try:
        result, detail = _made_safe(output)
    except RefusedError as refusal:
        result, detail = _refused(output, refusal)
    return Outcome(output.name, "on" if output.safe else "off", result, detail)


def _made_safe(output: Output) -> tuple[Result, str]:
    if output.kind == "driver":
        return "driver", f"no pin of this machine: its driver ({output.chip}) is made safe by the running node alone"
    if output.kind == "pwm":
        os.close(pwm.request(output.chip, output.pin, level=output.safe, active_low=output.active_low))
        return "safe", "the kernel keeps it so"
    stays = _driven_simulated(output) if output.kind == "simulated" else _driven(output)
    if stays:
        return "safe", "the chip keeps it so"
    level = "3.3 V" if output.safe != output.active_low else "ground"
    return "floating", (
        f"the chip lets go of a line that nobody holds: a resistor from the pin to {level} keeps it safe "
        "(on a Raspberry Pi also pinctrl_bcm2835.persist_gpio_outputs=y on the kernel's command line)"
    )


def _driven(output: Output) -> bool:
    """Drive a real line and let go; return whether the chip still drives it. Raises RefusedError."""
    chip = output.chip or kernel.header_chip(kernel.chips())
    os.close(
        kernel.request_output(
            chip, output.pin, level=output.safe, active_low=output.active_low, holder="outstation outputs"
        )
    )
    return kernel.keeps_output(chip, output.pin)


def _driven_simulated(output: Output) -> bool:
    simulated.request_output(
        output.chip, output.pin, level=output.safe, active_low=output.active_low, holder="outstation outputs"
    ).close()
    try:
        with simulated.reach(output.chip) as chip:
            _, driven, _ = simulated.ask(chip, "inspect", str(output.pin))
    except OSError as error:
        raise RefusedError("chip", error.errno or 0, output.chip) from None
    return driven == "1"


def _refused(output: Output, refusal: RefusedError) -> tuple[Result, str]:
    if refusal.number == errno.EBUSY:
        return "held", f'held by "{refusal.detail}": while a node runs, its supervisor keeps it safe; else end that'
    if output.kind == "simulated" and refusal.number in (errno.ENOENT, errno.ECONNREFUSED):
        return "absent", "its simulated chip does not run, so nothing drives it"
    return "failed", f"pin {output.pin} of {output.chip or 'the header'}: {os.strerror(refusal.number)}"
