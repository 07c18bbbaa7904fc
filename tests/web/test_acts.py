"""What the page offers to whom: nothing to press but for who may, and names of the config are text."""

from __future__ import annotations

import datetime
import html.parser

import pytest

from outstation import clock
from outstation.core.actuation import ActuatorSpec, ActuatorState, Claim, Lock, Want
from outstation.core.node import Node
from outstation.core.readings import Alert, Quality, Reading, Tick, Value, Zone
from outstation.core.sensors import SensorSpec
from outstation.core.settings import SettingSpec
from outstation.http import HTML, PROBLEM
from outstation.web.dashboard import acts
from outstation.web.dashboard.door import Door
from outstation.web.dashboard.files import Files
from outstation.web.dashboard.view import View
from outstation.web.dashboard.wording import Units

NOW = 3_600_000
AT = 1_767_225_600_000
EVIL = "<img src=x onerror=alert(1)>"


def view(*, who: str = "phone", may_control: bool = True, simulated: frozenset[str] = frozenset()) -> View:
    zone, moment = datetime.UTC, clock.Moment(AT, NOW)
    return View(Units(), False, moment, zone, datetime.date(2026, 1, 1), simulated, None, may_control, who)


NOBODY, READER, PHONE = view(who="", may_control=False), view(may_control=False), view()


class Found(html.parser.HTMLParser):
    """What a piece of the page consists of."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.values: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.values += [value for name, value in attrs if name == "value" and value and tag in ("button", "option")]

    def handle_data(self, data: str) -> None:
        self.text += data


def vent(**more: object) -> ActuatorState:
    state = ActuatorState(ActuatorSpec("vent", label=EVIL, ruled=True), level=False)
    for name, value in more.items():
        setattr(state, name, value)
    return state


@pytest.mark.parametrize("reader", [NOBODY, READER])
def test_who_may_not_has_nothing_to_move(reader: View) -> None:
    node = Node([SensorSpec("door")])
    assert "form" not in Found(acts.output_acts(vent(), reader)).tags
    assert acts.setting_said(SettingSpec("vent_at", 30), 30, "30", reader) == "30"
    assert "form" not in Found(acts.alert_acts(Alert(1, "rule", "hot", "info", "Hot", AT), reader)).tags
    assert list(acts.simulated_section(node, reader)) == []


def test_who_may_not_reads_what_it_takes() -> None:
    assert "Sign in to switch it" in acts.output_acts(vent(), NOBODY)
    assert "yours may only look" in acts.output_acts(vent(), READER)


def test_a_time_is_chosen_and_what_the_node_would_take_is_first() -> None:
    found = acts.output_acts(vent(), PHONE)
    assert '<option value="3600000ms" selected>1 h</option>' in found
    assert "until released" not in found
    free = ActuatorState(ActuatorSpec("led"))
    assert '<option value="" selected>ever, until released</option>' in acts.output_acts(free, PHONE)
    year = ActuatorState(ActuatorSpec("led", manual_for=31_536_000_000))
    assert '<option value="31536000s" selected>365 d</option>' in acts.output_acts(year, PHONE)


def test_an_output_offers_what_it_can_do_now() -> None:
    assert {"on", "off", "lock"} <= set(Found(acts.output_acts(vent(), PHONE)).values)
    claimed = Found(acts.output_acts(vent(claim=Claim("anna", True, NOW, AT)), PHONE))
    assert "release" in claimed.values
    assert "on: anna, since" in claimed.text
    locked = Found(acts.output_acts(vent(lock=Lock("anna", NOW, AT)), PHONE))
    assert locked.values == ["unlock"]
    dimmed = ActuatorState(ActuatorSpec("lamp", dimmable=True), level=0.4)
    assert 'value="40"' in acts.output_acts(dimmed, PHONE)


def test_it_says_which_rules_want_it() -> None:
    wants = (Want("hot", 0, False, True, NOW - 60_000), Want("fire", 0, True, False, NOW, decided=False))
    text = Found(acts.output_acts(vent(wants=wants), NOBODY)).text
    assert text.index("off: the safety rule fire") < text.index("on: the rule hot, since 2025-12-31 23:59:00")
    assert "it cannot be decided just now" in text


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [(15, 45, "From 15 to 45"), (15, None, "From 15 on"), (None, 45.5, "Up to 45.5"), (None, None, "Any number")],
)
def test_a_setting_names_its_bounds(low: float | None, high: float | None, words: str) -> None:
    assert words in acts.setting_said(SettingSpec("vent_at", 30, low, high, EVIL, EVIL), 30.123456789, "30", PHONE)


@pytest.mark.parametrize(("value", "kind"), [(True, "bool"), (21.5, "number"), ("up", "text")])
def test_a_simulated_input_is_moved_by_what_it_is(value: Value, kind: str) -> None:
    node = Node([SensorSpec("door", label=EVIL), SensorSpec("real")])
    for name in ("door", "real"):
        node.handle(Reading(name, value, AT, NOW, AT, Quality.OK))
    node.handle(Tick(AT, NOW, Zone(0)))
    found = "".join(acts.simulated_section(node, view(simulated=frozenset({"door"}))))
    assert f'data-name="door" data-kind={kind}' in found
    assert "real" not in found


def test_an_alert_of_another_node_is_acknowledged_there() -> None:
    assert acts.alert_acts(Alert(1, "rule", "hot", "info", "Hot", AT, node="greenhouse"), PHONE) == ""


def test_the_door_takes_a_key_and_tells_nothing_else() -> None:
    door = Door(Files())
    answer = door.refuse(401, EVIL)
    assert (answer.status, answer.content_type) == (401, HTML)
    assert dict(answer.headers)[b"WWW-Authenticate"].startswith(b"Bearer")
    found = Found(answer.body.decode())
    assert {"dialog", "form", "input"} <= set(found.tags)
    assert "img" not in found.tags
    assert door.refuse(400, "More than one Host.").content_type == PROBLEM


def test_what_the_config_says_is_text() -> None:
    setting = SettingSpec("vent_at", 30, unit=EVIL, label=EVIL)
    alert = Alert(1, "rule", EVIL, "info", EVIL, AT)
    pieces = [
        acts.session_bar(view(who=EVIL)),
        acts.sign_in(EVIL, EVIL),
        acts.output_acts(vent(claim=Claim(EVIL, True, NOW, AT)), PHONE),
        acts.setting_said(setting, 30, "30", PHONE),
        acts.alert_acts(alert, PHONE),
    ]
    assert [piece for piece in pieces if "img" in Found(piece).tags] == []


def test_a_key_never_gets_into_an_address_even_where_scripts_failed() -> None:
    assert "<form method=dialog " in acts.sign_in("To look.", "shed")
