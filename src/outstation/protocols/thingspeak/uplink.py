"""The means of some sensors for channels of ThingSpeak: an entry for each window, many in one bulk update.

Source: MathWorks, "Bulk-Write JSON Data": 960 entries a request for free accounts, 15 s from one to the next, a time
that no other entry of the channel has; 202 is the receipt.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated

import msgspec
from pydantic import AfterValidator, Field

from outstation import clock
from outstation.config.values import Secret, WebhookUrl
from outstation.core.delivery import Answer, Item
from outstation.core.summaries import Number
from outstation.plugins import DriverOptions, Outcome, Parcel, Request, Uplink
from outstation.protocols.answers import weighed
from outstation.protocols.thingspeak.wire import FIELDS

_RECEIPT = 202


def _one_each(fields: Mapping[str, int]) -> Mapping[str, int]:
    if len(set(fields.values())) < len(fields):
        raise ValueError("expected a field of its own for each sensor")
    return fields


class ThingSpeakOptions(DriverOptions):
    """key: the channel's write key. fields: which sensor's mean is which field; others are not sent."""

    url: Annotated[WebhookUrl, Field(repr=False)] = "https://api.thingspeak.com"
    channel: Annotated[int, Field(ge=1, le=2**31 - 1)]
    key: Annotated[Secret, Field(repr=False)]
    fields: Annotated[dict[str, Annotated[int, Field(ge=1, le=FIELDS)]], Field(min_length=1), AfterValidator(_one_each)]


class ThingSpeakUplink(Uplink):
    """Writes entries to one channel. An entry cannot be changed: a window that is revised later stays as it was."""

    Options = ThingSpeakOptions
    batch = 960
    alerts = "none"
    apart = 15_000

    async def send(self, parcel: Parcel) -> Outcome:
        updates = entries(parcel.items, self.options.fields)
        if not updates:
            return Outcome(Answer(200))
        body = msgspec.json.encode({"write_api_key": self.options.key, "updates": updates})
        url = f"{self.options.url.rstrip('/')}/channels/{self.options.channel}/bulk_update.json"
        return Outcome(weighed(await self.exchange(Request(url, body)), _RECEIPT))


def entries(items: Iterable[Item], fields: Mapping[str, int]) -> list[dict[str, Number | str]]:
    """Return an entry for each window of five minutes in which any of the sensors said a number, the oldest first."""
    found: dict[int, dict[str, Number | str]] = {}
    for item in items:
        numbers = item.summary.numbers
        if numbers is None or item.sensor not in fields:
            continue
        at = item.summary.start
        entry = found.setdefault(at, {"created_at": clock.iso(at)})
        entry[f"field{fields[item.sensor]}"] = numbers.mean
    return [found[at] for at in sorted(found)]
