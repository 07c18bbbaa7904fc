"""GET / in a crowd: a page is made one after the other, and once for all who see the same."""

from __future__ import annotations

import asyncio
from pathlib import Path

from outstation import clock
from outstation.http import NOBODY, Later, Peer, Principal, Request
from outstation.store.database import Boot, Store
from outstation.web.dashboard.files import Files
from outstation.web.dashboard.page import Page
from tests.web.test_page import Greenhouse

OWNER = Principal("owner", frozenset({"read", "control"}))


def test_who_looks_at_the_same_time_and_sees_the_same_shares_one_page(tmp_path: Path) -> None:
    """A hundred pages of 500 sensors that were all begun at once kept rules and orders waiting for seconds."""
    moment = clock.moment()
    with Store(tmp_path, boot=Boot(clock.boot_id(), moment.at - moment.now, clock.trust())) as store:
        greenhouse = Greenhouse(store)
        greenhouse.sensor("air_temperature", 21.5, unit="°C")
        greenhouse.output("pump", level=False)
        nobodys, owners, again, fahrenheit, group, *_ = bodies = asyncio.run(_looked(Page(greenhouse.site(), Files())))
    assert again is nobodys
    assert len({id(body) for body in bodies}) == len({nobodys, owners, fahrenheit, group}) == 4
    assert b"Switch on" in owners
    assert b"Switch on" not in nobodys


async def _looked(page: Page) -> list[bytes]:
    asked = [(b"", NOBODY), (b"", OWNER), (b"x=1", NOBODY), (b"units=f", NOBODY), (b"group=-", NOBODY)] * 20
    laters = [page.get(_looking(*each)) for each in asked]
    return [(await later.future).body for later in laters if isinstance(later, Later)]


def _looking(query: bytes, reader: Principal) -> Request:
    request = Request("GET", "/", query, [], Peer("127.0.0.1"))
    request.principal = reader
    return request
