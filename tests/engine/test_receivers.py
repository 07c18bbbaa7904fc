"""What a webhook receives is what the page of alerts says, and its check of the signature holds."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from outstation.core.delivery import PARK, Answer, judge
from outstation.core.readings import Alert, Value
from outstation.engine.receivers import message, signature
from outstation.store.database import Store
from tests.engine.receiving import Seen, Server, until
from tests.engine.telling import hot, tell, telling, webhook
from tests.store.given import in_store

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "alerts.md").read_text()
SECRET = "k3Wq9vXz7LpT2mRb8NdYc4Hs"


def block(language: str) -> str:
    """The first example in this language."""
    found = re.search(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert found
    return found[1]


@pytest.fixture
def is_genuine() -> Callable[[str, str, bytes], bool]:
    """The check as the page has it."""
    scope: dict[str, Any] = {}
    exec(block("python"), scope)
    check: Callable[[str, str, bytes], bool] = scope["is_genuine"]
    return check


def received(folder: Path, secret: str) -> Seen:
    """A message as it came over the wire."""

    async def story(store: Store) -> Seen:
        async with Server().up() as server, telling(store, [webhook(server.url, secret=secret)]) as notifier:
            await tell(store, notifier, hot(1))
            await until(lambda: server.seen)
            return server.seen[0]

    return in_store(folder, story)


def test_the_check_of_the_page_takes_what_we_send(
    tmp_path: Path, is_genuine: Callable[[str, str, bytes], bool]
) -> None:
    seen = received(tmp_path, SECRET)
    header = seen.headers["outstation-signature"]
    assert is_genuine(SECRET, header, seen.body)
    assert not is_genuine("another secret", header, seen.body)
    assert not is_genuine(SECRET, header, seen.body.replace(b"31.4", b"21.4"))
    assert not is_genuine(SECRET, header.replace("t=", "t=9"), seen.body)
    assert not is_genuine(SECRET, "", seen.body)
    assert not is_genuine(SECRET, "t=x,v1", seen.body)
    assert not is_genuine(SECRET, header[:-1] + "é", seen.body)


def test_a_recorded_message_is_refused_when_it_is_played_again(is_genuine: Callable[[str, str, bytes], bool]) -> None:
    now = int(time.time())
    assert is_genuine(SECRET, signature(SECRET, now - 200, b"{}"), b"{}")
    assert not is_genuine(SECRET, signature(SECRET, now - 400, b"{}"), b"{}")
    assert not is_genuine(SECRET, signature(SECRET, now + 400, b"{}"), b"{}")


def test_without_a_secret_nothing_is_signed(tmp_path: Path) -> None:
    seen = received(tmp_path, "")
    assert "outstation-signature" not in seen.headers
    assert seen.key == json.loads(seen.body)["delivery"]


def test_the_message_of_the_page_is_what_is_sent() -> None:
    told = json.loads(block("json"))
    values: dict[str, Value | None] = {"air_temperature": 31.4, "vent": False}
    raised = Alert(17, "rule", "open the vent", "warning", "31.4 °C in the greenhouse", 1772366400000, values=values)
    assert json.loads(message("greenhouse", raised, "raised", told["delivery"])) == told


def test_whatever_is_in_an_alert_is_json() -> None:
    values: dict[str, Value | None] = {"x": float("nan"), "y": float("inf")}
    odd = Alert(1, "rule", "a\r\nb\x1b[31m", "info", "<script>\0", 0, values=values)
    told = json.loads(message("node", odd, "raised", "k"))
    assert told["alert"]["subject"] == "a\r\nb\x1b[31m"
    assert told["alert"]["values"] == {"x": None, "y": None}


def test_the_answers_of_the_page_are_judged_so() -> None:
    rows = [row for row in PAGE.splitlines() if row.startswith("| ") and row[2].isdigit()]
    numbers = {int(number): row for row in rows for number in re.findall(r"\b\d{3}\b", row.split("|")[1])}
    assert numbers.keys() == {408, 425, 429, 401, 403}
    for status, row in numbers.items():
        assert judge(1, Answer(status), 0).urgent == ("every 5 min" in row)
    assert judge(1, Answer(400), 0) == PARK
