"""The first page, read as a browser reads it."""

from __future__ import annotations

import time
import tomllib
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from outstation import clock
from outstation.config import Config
from outstation.core.actuation import ActuatorSpec, ActuatorState
from outstation.core.filters import Limits
from outstation.core.node import Node
from outstation.core.readings import Command, Failed, Reading, Switched, Value
from outstation.core.sensors import SensorSpec
from outstation.engine.boards import Boards
from outstation.engine.feed import Feed
from outstation.engine.outputs import Outputs
from outstation.engine.retaining import Retaining
from outstation.engine.runner import Runner
from outstation.engine.site import Site
from outstation.http import Peer, Request, Response
from outstation.store.database import Boot, Store
from outstation.store.history import History
from outstation.store.keys import Keys
from outstation.store.sessions import Sessions
from outstation.web.dashboard.page import SHOWN, Page

SCRIPT = "<img src=x onerror=alert(1)>"


class Seen(HTMLParser):
    """A page as it was understood: its elements in order, and the text of each card."""

    _VOID = frozenset({"meta", "link", "br"})

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
        answer = Page(self.site()).get(Request("GET", "/", query, [], Peer("127.0.0.1")))
        assert isinstance(answer, Response)
        return answer

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
    assert {"href": "/?units=f"} in greenhouse.seen().named("a")
    assert {"href": "/?units=c"} in greenhouse.seen(b"units=F").named("a")
    greenhouse.tables = {"display": {"units": "f"}}
    assert "212.0 °F" in greenhouse.text()
    assert "100.0 °C" in greenhouse.text(b"units=c")


def test_without_a_temperature_there_is_no_choice_of_units(greenhouse: Greenhouse) -> None:
    greenhouse.sensor("humidity", 48.0, unit="%")
    assert greenhouse.seen().named("nav") == []


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
    assert shown.count("stale") == 1
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
        assert tag not in ("script", "style", "form", "iframe")
        assert not any(name == "style" or name.startswith("on") for name in attributes)
        assert (attributes.get("href") or "/").startswith("/")


def test_it_refreshes_by_itself_with_the_choices_kept_until_told_to_stand_still(greenhouse: Greenhouse) -> None:
    greenhouse.sensor("air", 1.0, unit="°C")
    refresh = {"http-equiv": "refresh", "content": "5"}
    assert refresh in greenhouse.seen(b"units=f").named("meta")
    assert {"href": "/?units=f&refresh=off"} in greenhouse.seen(b"units=f").named("a")
    still = greenhouse.seen(b"units=f&refresh=off")
    assert refresh not in still.named("meta")
    assert {"href": "/?units=c&refresh=off"} in still.named("a")
    assert {"href": "/?units=f"} in still.named("a")


def test_an_empty_node_says_what_to_do_next(greenhouse: Greenhouse) -> None:
    greenhouse.tables = {"web": {"port": 8080}}
    shown = greenhouse.text()
    assert "Nothing here yet" in shown
    assert "[[sensors]]" in shown
    assert "http://localhost:8080/api/readings" in shown


def test_what_it_tells_an_empty_node_to_do_is_a_config_that_loads(greenhouse: Greenhouse) -> None:
    shown = greenhouse.text()
    example = shown[shown.index("[[sensors]]") : shown.index("Or let another")]
    Config.model_validate(tomllib.loads(example))


def test_a_normal_page_is_small_and_five_hundred_sensors_work(greenhouse: Greenhouse) -> None:
    for number in range(20):
        greenhouse.sensor(f"sensor_{number}", number / 7, unit="°C")
    page = Page(greenhouse.site())
    style = page.style(Request("GET", "/page.css", b"", [], Peer("")))
    assert isinstance(style, Response)
    assert len(greenhouse.answer().body) + len(style.body) < 20_000
    for number in range(SHOWN):
        greenhouse.sensor(f"board-{number // 50}/value_{number % 50}", float(number))
    seen = greenhouse.seen()
    assert len([card for card in seen.named("li") if "card" in (card.get("class") or "").split()]) == SHOWN
    assert "and 20 more sensors: /api/sensors" in seen.text


def test_many_problems_are_told_in_short(greenhouse: Greenhouse) -> None:
    for number in range(100):
        greenhouse.sensor(f"sensor_{number}", 1.0, age=1000)
    shown = greenhouse.text()
    assert "100 problems" in shown
    assert shown.count("has said nothing") == 12
    assert "and 88 more: /api/health" in shown


def test_the_styles_address_changes_with_its_content_and_may_be_kept(greenhouse: Greenhouse) -> None:
    page = Page(greenhouse.site())
    style = page.style(Request("GET", "/page.css", b"", [], Peer("")))
    icon = page.icon(Request("GET", "/favicon.ico", b"", [], Peer("")))
    assert isinstance(style, Response)
    assert isinstance(icon, Response)
    assert style.content_type.startswith(b"text/css")
    assert b"immutable" in dict(style.headers)[b"Cache-Control"]
    assert icon.body.startswith(b"<svg")
    address = greenhouse.seen().named("link")[0]["href"]
    assert address is not None
    assert address.startswith("/page.css?")
