"""A request every so often, while all is well: whoever does not hear it any more knows that the node is gone."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from outstation.config.values import WebhookUrl
from outstation.plugins import DriverOptions, Outcome, Parcel, Request, Uplink
from outstation.protocols.answers import weighed


class HeartbeatOptions(DriverOptions):
    """url: of a service that raises an alarm when it is not asked for a while."""

    url: Annotated[WebhookUrl, Field(repr=False)]


class HeartbeatUplink(Uplink):
    """Asks for its URL while rules are decided and nothing is unhealthy; it carries neither summaries nor alerts."""

    Options = HeartbeatOptions
    batch = 0
    alerts = "none"
    idle = True
    only_well = True

    async def send(self, parcel: Parcel) -> Outcome:
        return Outcome(weighed(await self.exchange(Request(self.options.url, method="GET"))))
