"""What the kinds of uplinks take: sensors that are there, keys that belong together, secrets that are not repeated."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.test_config import loaded, mistakes, sensor

INFLUXDB = 'url = "http://localhost:8086"\ndatabase = "garden"'
JSON = 'url = "http://localhost:8080/"'
THINGSPEAK = 'channel = 5\nkey = "Q7W1E9R3T5Y8U2I4"\nfields = { air = 1, "porch/air" = 2 }'


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def uplink(kind: str, keys: str) -> str:
    return f'[[uplinks]]\nname = "{kind}"\nkind = "{kind}"\n{keys}\n'


def test_each_kind_is_taken_with_its_own_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "Bearer s3cret")
    config = loaded(
        sensor("")
        + uplink("json", f'{JSON}\nheaders = {{ Authorization = "env:TOKEN" }}')
        + uplink("influxdb", f'{INFLUXDB}\ntags = {{ site = "north" }}\nfields = ["mean", "last"]')
        + uplink("thingspeak", THINGSPEAK)
        + uplink("heartbeat", 'url = "https://hc.example.org/s3cret"\nevery = "10m"')
    )
    assert [one.kind for one in config.uplinks] == ["json", "influxdb", "thingspeak", "heartbeat"]
    assert "s3cret" not in repr(config)


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        (
            uplink("json", JSON + '\nheaders = { A = "s3cret\\n" }'),
            'key "headers.A": expected a secret of letters',
        ),
        (uplink("json", JSON + '\nheaders = { Host = "s3cret" }'), "expected the name of a header that is not set"),
        (uplink("json", JSON + '\nheaders = ["s3cret"]'), 'key "headers": expected a table, found one that is no text'),
        (
            uplink("json", JSON + '\nheaders = { A = "env:S3CRET" }'),
            "the environment variable S3CRET, which is not set",
        ),
        (uplink("influxdb", INFLUXDB + '\ntoken = "s3cret"'), 'expected either "database" (version 1) or "bucket"'),
        (uplink("influxdb", INFLUXDB + '\ntags = { node = "x" }'), 'expected tags besides "node"'),
        (sensor("", name="ear") + uplink("thingspeak", THINGSPEAK), 'found "air"; did you mean "ear"?'),
        (uplink("thingspeak", THINGSPEAK), 'key "fields": expected the name of a sensor, found "air"; there is none.'),
        (uplink("heartbeat", 'url = "s3cret"'), 'key "url": expected an address such as'),
    ],
)
def test_a_mistake_says_where_what_and_what_instead(text: str, mistake: str) -> None:
    (line,) = mistakes(text)
    assert mistake in line
    assert "s3cret" not in line
