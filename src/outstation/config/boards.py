"""What one value of a board may be: its keys, its address, the times at which it is expected.

The law of this file: what a board has burnt in is taken as it is; what is written anew is drawn by chance.
"""

from __future__ import annotations

import re
import secrets
import string
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator

from outstation.config.values import PLACEHOLDERS, resolve
from outstation.core import conditions
from outstation.core.conditions import ConditionError

KEY_LENGTH = 16
"""The length of a ThingSpeak key, which boards have room for."""


def built_in_key(key: str) -> str:
    """Return a key that firmware brings along. Raises ValueError."""
    if not re.fullmatch(r"[0-9A-Za-z]{6,64}", key, re.ASCII):
        raise ValueError("expected the 6 to 64 letters and digits that the board has built in")
    return key


def plain_mac(text: str) -> str:
    """Return a board's address as `6c:ef:7f:3b:9d:e8`, however it is written. Raises ValueError."""
    digits = re.sub(r"[:.-]", "", text.lower())
    if not re.fullmatch("[0-9a-f]{12}", digits):
        raise ValueError('expected an address such as "6c:ef:7f:3b:9d:e8"')
    return ":".join(re.findall("..", digits))


def times_alone(text: str) -> str:
    """Return a condition that asks for days and times of day and nothing else. Raises ValueError."""
    try:
        condition = conditions.parse(text)
    except ConditionError as error:
        raise ValueError(error.mistakes[0].sentence.rstrip(".")) from error
    if conditions.sensors(condition) or conditions.asks_for_the_sun(condition):
        raise ValueError('expected days and times alone, such as "weekday and between 08:00 and 16:00"')
    return text


def _board_key(key: str) -> str:
    plain = re.fullmatch(rf"[0-9A-Za-z]{{{KEY_LENGTH},64}}", key, re.ASCII)
    if plain and len(set(key)) > KEY_LENGTH // 3 and not any(word in key.upper() for word in PLACEHOLDERS):
        return key
    raise ValueError(
        f'expected {KEY_LENGTH} to 64 letters and digits drawn by chance, such as "{fresh_key()}" (new, yours)'
    )


def fresh_key() -> str:
    """Return a key of the kind that boards know, drawn by chance."""
    return "".join(secrets.choice(string.ascii_uppercase + string.digits) for _ in range(KEY_LENGTH))


BoardKey = Annotated[str, BeforeValidator(resolve), AfterValidator(_board_key)]
StationKey = Annotated[str, BeforeValidator(resolve), AfterValidator(built_in_key)]
Mac = Annotated[str, AfterValidator(plain_mac)]
TimesAlone = Annotated[str, AfterValidator(times_alone)]
