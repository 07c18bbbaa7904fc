"""What the limits of outputs may not say: contradictions that are refused before the node starts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from outstation.core.claims import ActuatorSpec
from outstation.core.interlock import partners
from outstation.core.standing import duration_words


class Contradiction(msgspec.Struct, frozen=True):
    """What is wrong with one key of one output, and what to do about it."""

    actuator: str
    key: str
    text: str


def contradictions(specs: Sequence[ActuatorSpec]) -> list[Contradiction]:
    """Return all that cannot be meant, in the order of the outputs."""
    return [
        Contradiction(spec.name, key, text) for spec in specs for key, text in (*_of_times(spec), *_of_tie(spec, specs))
    ]


def _of_times(spec: ActuatorSpec) -> Iterator[tuple[str, str]]:
    if spec.max_on is None:
        return
    if spec.min_on > spec.max_on:
        longer, shorter = duration_words(spec.min_on), duration_words(spec.max_on)
        yield "min_on", f"it cannot stay on for {longer} and go off after {shorter}: make max_on the longer one."
    if spec.default and not spec.min_off:
        yield "max_on", 'with default = "on" it would come on again at once: give min_off, the time that it rests.'


def _of_tie(spec: ActuatorSpec, specs: Sequence[ActuatorSpec]) -> Iterator[tuple[str, str]]:
    others = [other for other in specs if other.name != spec.name]
    known = {other.name for other in others} | {word for other in others for word in other.interlock}
    for word in spec.interlock:
        if word == spec.name:
            yield "interlock", "an output cannot exclude itself: name the others."
        elif word not in known:
            yield "interlock", f'there is no actuator "{word}", and no other actuator has this word in its interlock.'
    for name in partners(spec, specs) if spec.default else ():
        if any(other.default for other in others if other.name == name):
            yield "default", f'it is interlocked with {name}: only one of the two can be "on" by default.'
    for name in partners(spec, specs) if spec.safe else ():
        if any(other.safe for other in others if other.name == name):
            yield "safe", f'it is interlocked with {name}: only one of the two can be "on" when the program dies.'
