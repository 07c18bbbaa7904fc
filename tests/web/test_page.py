"""The first page, read as a browser reads it."""

from __future__ import annotations

import asyncio
import re
import time
import tomllib
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from outstation import clock
from outstation.__main__ import root
from outstation.config import Config
from outstation.core.actuation import ActuatorSpec, ActuatorState
from outstation.core.filters import Limits
from outstation.core.node import Node
from outstation.core.readings import Command, Failed, Note, Reading, Switched, Value
from outstation.core.sensors import SensorSpec
from outstation.engine.boards import Boards
from outstation.engine.feed import Feed
from outstation.engine.outputs import Outputs
from outstation.engine.retaining import Retaining
from outstation.engine.runner import Runner
from outstation.engine.site import Site
from outstation.errors import UnknownNameError
from outstation.http import NOBODY, Later, Peer, Request, Response
from outstation.store.database import Boot, Store
from outstation.store.history import History
from outstation.store.journal import Journal
from outstation.store.keys import Keys
from outstation.store.sessions import Sessions
from outstation.web.dashboard.files import Files
from outstation.web.dashboard.groups import SHOWN
from outstation.web.dashboard.page import Page

SCRIPT = "<img src=x onerror=alert(1)>"


class Seen(HTMLParser):
    """A page as it was understood: its elements in order, and the text of each card."""

    _VOID = frozenset({"meta", "link", "br", "input"})

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(page.decode())
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self._VOID:
            self.open.append(tag)
        if tag in ("li", "h1", "h2", "h3", "p", "ul"):
            self.text += "\n"

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


class Greenhouse:
    """A site with a real store behind it, and what happens there."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.tables: dict[str, Any] = {}
        self.node = Node()
        self.simulated: frozenset[str] = frozenset()
        self.remark = ""
        self.happened: list[Note] = []

    def sensor(self, name: str, value: Value | None = None, *, age: float = 3, **spec: Any) -> None:
        moment, millis = clock.moment(), round(age * 1000)
        self.node.learn(SensorSpec(name, **{"every": 10_000, **spec}))
        if value is not None:
            at = moment.at - millis
            self.node.handle(Reading(name, value, at, moment.now - millis, at))

    def output(self, name: str, level: bool | None, **spec: Any) -> None:
        self.node.actuators[name] = ActuatorState(ActuatorSpec(name, **spec))
        self.node.handle(Switched(name, level, *clock.moment()))

    def site(self) -> Site:
        return Site(
            config=Config.model_validate(self.tables),
            name="greenhouse",
            node=self.node,
            runner=Runner(self.node, self.store, Outputs({}), Feed()),
            store=self.store,
            history=History(self.store),
            keys=(keys := Keys(self.store)),
            sessions=Sessions(self.store, keys),
            feed=Feed(),
            started=clock.now(),
            simulated=lambda: self.simulated,
            troubles=list,
            simulate=lambda *_: None,
            retaining=Retaining(self.store, Config()),
            boards=Boards((), self.store),
            remark=self.remark,
        )

    def answer(self, query: bytes = b"") -> Response:
        return asyncio.run(self._answer(query))

    async def _answer(self, query: bytes) -> Response:
        await Journal(self.store).add(self.happened)
        request = Request("GET", "/", query, [], Peer("127.0.0.1"))
        request.principal = NOBODY
        later = Page(self.site(), Files()).get(request)
        assert isinstance(later, Later)
        return later.finish(await later.future)

    def seen(self, query: bytes = b"") -> Seen:
        return Seen(self.answer(query).body)

    def text(self, query: bytes = b"") -> str:
        return self.seen(query).text


@pytest.fixture
def greenhouse(tmp_path: Path) -> Iterator[Greenhouse]:
    moment = clock.moment()
    with Store(tmp_path, boot=Boot(clock.boot_id(), moment.at - moment.now, clock.trust())) as store:
        yield Greenhouse(store)


def test_a_sensor_is_shown_with_label_value_unit_age_and_local_time(greenhouse: Greenhouse) -> None:
    greenhouse.tables = {"node": {"timezone": "Asia/Tokyo"}}
    greenhouse.sensor("air_temperature", 21.537, label="Air", unit="°C")
    newest = greenhouse.node.sensors["air_temperature"].newest
    assert newest is not None
    seen = greenhouse.seen()
    in_tokyo = time.strftime("%H:%M:%S", time.gmtime(newest.at // 1000 + 9 * 3600))
    assert "\nAir\n21.5 °C\n3 s ago · " in seen.text
    assert in_tokyo in seen.text
    assert {"datetime": clock.iso(newest.at)} in seen.named("time")
    assert "Asia/Tokyo" in seen.text
    assert "All is well" in seen.text


def test_temperatures_follow_the_units_that_were_asked_for(greenhouse: Greenhouse) -> None:
    greenhouse.sensor("air_temperature", 100.0, unit="°C")
    greenhouse.sensor("humidity", 100.0, unit="%")
    assert "100.0 °C" in greenhouse.text()
    fahrenheit = greenhouse.text(b"units=f")
    assert "212.0 °F" in fahrenheit
    assert "100.0 %" in fahrenheit
    assert "100.0 °C" in greenhouse.text(b"units=furlong&units=%ff")
    assert _leads_to(greenhouse.seen(), "/?units=f&pressure=hpa")
    assert _leads_to(greenhouse.seen(b"units=F"), "/?units=c&pressure=hpa")
    greenhouse.tables = {"display": {"units": "f"}}
    assert "212.0 °F" in greenhouse.text()
    assert "100.0 °C" in greenhouse.text(b"units=c")


def test_without_a_temperature_there_is_no_choice_of_units(greenhouse: Greenhouse) -> None:
    greenhouse.sensor("humidity", 48.0, unit="%")
    assert greenhouse.seen().named("nav") == []


def test_the_pressure_of_the_air_has_a_choice_of_its_own(greenhouse: Greenhouse) -> None:
    greenhouse.sensor("air_pressure", 1013.25, unit="hPa")
    assert "1013.2 hPa" in greenhouse.text()
    assert "29.92 inHg" in greenhouse.text(b"pressure=inhg")
    assert _leads_to(greenhouse.seen(b"units=f"), "/?units=f&pressure=inhg")
    greenhouse.tables = {"display": {"pressure": "inhg"}}
    assert "29.92 inHg" in greenhouse.text()


def test_states_are_words(greenhouse: Greenhouse) -> None:
    greenhouse.sensor("button", False)
    greenhouse.sensor("door", True)
    assert "\nButton\nnot pressed" in greenhouse.text()
    assert "\nDoor\nopen" in greenhouse.text()


def test_below_zero_has_a_true_minus_sign_and_a_plain_value_for_programs(greenhouse: Greenhouse) -> None:
    greenhouse.sensor("air_temperature", -5.23, unit="°C")
    seen = greenhouse.seen()
    assert "\u22125.2 °C" in seen.text
    assert seen.named("data") == [{"value": "-5.2"}]


def test_simulated_stale_failed_and_doubtful_sensors_say_so_in_words(greenhouse: Greenhouse) -> None:
    greenhouse.sensor("cpu_temp", 47.0)
    greenhouse.sensor("humidity", 48.3, age=400)
    greenhouse.sensor("soil", 185.0, limits=Limits(high=60))
    greenhouse.sensor("co2")
    greenhouse.node.handle(Failed("co2", "/dev/i2c-1 is busy.\nTraceback: not for people", *clock.moment()))
    greenhouse.simulated = frozenset({"cpu_temp"})
    shown = greenhouse.text()
    assert shown.count("simulated") == 1
    assert "6 min ago" in shown
    assert shown.count("old since") == 1
    assert "out of range" in shown
    assert "\nCo2\n\u2013\nno reading yet\n\nfailed\n/dev/i2c-1 is busy." in shown
    assert "Traceback" not in shown
    assert "2 problems" in shown
    assert "humidity has said nothing for 400 s." in shown


def test_an_output_says_its_state_who_wants_it_and_until_when(greenhouse: Greenhouse) -> None:
    greenhouse.output("vent", None, label="Vent")
    greenhouse.output("heater", False)
    moment = clock.moment()
    greenhouse.node.handle(Command("vent", "on", "anna <b>", moment.at, moment.now, duration=60_000))
    greenhouse.node.handle(Switched("vent", True, moment.at, moment.now))
    greenhouse.simulated = frozenset({"heater"})
    seen = greenhouse.seen()
    assert "\nVent\non\nuntil " in seen.text
    assert "by anna <b>" in seen.text
    assert {"datetime": clock.iso(moment.at + 60_000)} in seen.named("time")
    assert "\nHeater\noff\nsince " in seen.text


def test_an_output_that_does_not_obey_is_unknown_and_says_why(greenhouse: Greenhouse) -> None:
    greenhouse.output("heater", False)
    greenhouse.node.handle(Switched("heater", None, *clock.moment(), "GPIO18 is busy."))
    shown = greenhouse.text()
    assert "\nHeater\nunknown\n" in shown
    assert "\nfailed\nGPIO18 is busy." in shown
    assert "1 problem\n" in shown


def test_sensors_are_grouped_by_device_and_outputs_follow_the_nodes_own(greenhouse: Greenhouse) -> None:
    greenhouse.sensor("porch/humidity", 50.0)
    greenhouse.sensor("air", 20.0)
    greenhouse.sensor("shed/humidity", 60.0)
    greenhouse.output("led", True)
    greenhouse.sensor("porch/temperature", 5.0)
    headings = [line for line in greenhouse.text().splitlines() if line in ("Sensors", "Outputs", "porch", "shed")]
    assert headings == ["Sensors", "Outputs", "porch", "shed"]


def test_whatever_came_in_is_text(greenhouse: Greenhouse) -> None:
    greenhouse.tables = {"node": {"timezone": "UTC"}}
    greenhouse.remark = SCRIPT
    greenhouse.output("led", True, label=SCRIPT)
    greenhouse.sensor("air", 1.0, label=SCRIPT, unit=SCRIPT)
    greenhouse.sensor("status", f"'\"{SCRIPT}\u202e")
    greenhouse.sensor("co2")
    greenhouse.node.handle(Failed("co2", f"{SCRIPT}\ud800", *clock.moment()))
    seen = greenhouse.seen(b"units=%22%3E%3Cimg%3E&refresh=%22%3E%3Cimg%3E")
    assert seen.named("img") == []
    assert seen.text.count(SCRIPT) == 7
    assert seen.open == []


def test_nothing_on_the_page_needs_what_the_policy_forbids(greenhouse: Greenhouse) -> None:
    greenhouse.sensor("air", 1.0, unit="°C")
    answer = greenhouse.answer()
    headers = dict(answer.headers)
    assert b"unsafe" not in headers[b"Content-Security-Policy"]
    assert b"default-src 'none'" in headers[b"Content-Security-Policy"]
    assert b"frame-ancestors 'none'" in headers[b"Content-Security-Policy"]
    assert headers[b"X-Content-Type-Options"] == b"nosniff"
    assert headers[b"Cache-Control"] == b"no-store"
    for tag, attributes in Seen(answer.body).elements:
        assert tag not in ("style", "iframe")
        assert not any(name == "style" or name.startswith("on") for name in attributes)
        assert (attributes.get("href") or attributes.get("src") or "/").startswith("/")
    assert re.findall(rb"<script[^>]*>[^<]", answer.body) == []


def test_it_refreshes_by_itself_with_the_choices_kept_until_told_to_stand_still(greenhouse: Greenhouse) -> None:
    greenhouse.sensor("air", 1.0, unit="°C")
    refresh = {"http-equiv": "refresh", "content": "5"}
    assert refresh in greenhouse.seen(b"units=f").named("meta")
    assert _leads_to(greenhouse.seen(b"units=f"), "/?units=f&pressure=hpa&refresh=off")
    still = greenhouse.seen(b"units=f&refresh=off")
    assert refresh not in still.named("meta")
    assert still.named("script") == []
    assert _leads_to(still, "/?units=c&pressure=hpa&refresh=off")
    assert _leads_to(still, "/?units=f&pressure=hpa")


def test_an_empty_node_says_what_to_do_next(greenhouse: Greenhouse) -> None:
    greenhouse.tables = {"web": {"port": 8080}}
    shown = greenhouse.text()
    assert "Nothing here yet" in shown
    assert "[[sensors]]" in shown
    assert "http://localhost:8080/api/readings" in shown


def test_what_it_tells_an_empty_node_to_do_is_a_config_that_loads(greenhouse: Greenhouse) -> None:
    shown = greenhouse.text()
    example = shown[shown.index("[[sensors]]") : shown.index("What is wrong")]
    Config.model_validate(tomllib.loads(example))
    commands = re.findall(r"\boutstation ([a-z]+) ", shown)
    assert len(commands) > 3
    assert set(commands) <= set(root.commands)


def test_a_normal_page_is_small_and_five_hundred_sensors_work(greenhouse: Greenhouse) -> None:
    for number in range(20):
        greenhouse.sensor(f"sensor_{number}", number / 7, unit="°C")
    assert len(greenhouse.answer().body) < 25_000
    for number in range(SHOWN):
        greenhouse.sensor(f"board-{number // 50}/value_{number % 50}", float(number))
    seen = greenhouse.seen()
    assert _cards(seen) == SHOWN
    assert "and 20 more sensors: /api/sensors" in seen.text
    assert _cards(greenhouse.seen(b"group=board-9")) == 50


def test_many_problems_are_told_in_short(greenhouse: Greenhouse) -> None:
    for number in range(100):
        greenhouse.sensor(f"sensor_{number}", 1.0, age=1000)
    shown = greenhouse.text()
    assert "100 problems" in shown
    assert shown.count("has said nothing") == 12
    assert "and 88 more: /api/health" in shown


def test_a_group_is_chosen_by_its_address(greenhouse: Greenhouse) -> None:
    assert greenhouse.seen().named("nav") == []
    greenhouse.sensor("porch/humidity", 50.0)
    greenhouse.sensor("air", 20.0)
    greenhouse.output("led", True)
    everything = greenhouse.seen()
    assert _leads_to(everything, "/?units=c&pressure=hpa&group=porch")
    assert "50.0" in everything.text
    porch, here = greenhouse.text(b"group=porch"), greenhouse.text(b"group=-")
    assert "50.0" in porch
    assert "\nLed\n" not in porch
    assert "\nLed\n" in here
    assert "\nAir\n" in here


def test_the_files_addresses_change_with_their_content_and_may_be_kept(greenhouse: Greenhouse) -> None:
    files, addresses = Files(), [link["href"] or "" for link in greenhouse.seen().named("link")]
    for address in [*addresses[:1], *addresses[2:]]:
        served = _served(files, *address.split("/")[2:])
        assert address == files.address(address.rpartition("/")[2])
        assert b"immutable" in dict(served.headers)[b"Cache-Control"]
        assert b"script-src 'self'" in dict(served.headers)[b"Content-Security-Policy"]
    assert b"no-cache" in dict(_served(files, "before", "page.css").headers)[b"Cache-Control"]
    with pytest.raises(UnknownNameError):
        _served(files, files.edition, "page.py")
    icon = files.icon(Request("GET", "/favicon.ico", b"", [], Peer("")))
    assert isinstance(icon, Response)
    assert icon.body.startswith(b"<svg")


def test_health_says_what_is_kept_and_what_happened(greenhouse: Greenhouse) -> None:
    greenhouse.sensor("air", 20.0)
    note = Note("rule fires", "ventilate", f"air > {SCRIPT}", clock.at())
    greenhouse.happened.append(note)
    shown = greenhouse.text()
    assert "Its clock is " in shown
    assert f"ventilate rule fires: air > {SCRIPT}" in shown


def _cards(page: Seen) -> int:
    return sum("card" in (item.get("class") or "").split() for item in page.named("li"))


def _leads_to(page: Seen, address: str) -> bool:
    return any(link["href"] == address for link in page.named("a"))


def _served(files: Files, edition: str, name: str) -> Response:
    request = Request("GET", f"/ui/{edition}/{name}", b"", [], Peer(""))
    request.params = {"edition": edition, "file": name}
    served = files.get(request)
    assert isinstance(served, Response)
    return served
