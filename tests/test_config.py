"""A config is right, or every mistake in it is told at once: where, what was expected, what was found."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outstation.config import Config, find, load, parse_duration
from outstation.config.values import UNITS
from outstation.errors import ConfigError

BOARD_KEY = "Q7RW2MZ9K4TB6XHD"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Go to an empty folder, with no settings in the environment."""
    for name in [name for name in os.environ if name.startswith("OUTSTATION_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def loaded(text: str) -> Config:
    """Load a text as outstation.toml of the working directory."""
    Path("outstation.toml").write_text(text, "utf-8")
    return load(Path("outstation.toml"))


def mistakes(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        loaded(text)
    return caught.value.mistakes


def sensor(keys: str, *, name: str = "air") -> str:
    return f'[[sensors]]\nname = "{name}"\ndriver = "system"\nquantity = "cpu_temp"\n{keys}\n'


def actuator(keys: str, *, name: str = "vent", pin: int = 17) -> str:
    return f'[[actuators]]\nname = "{name}"\ndriver = "gpio"\npin = {pin}\n{keys}\n'


def board(keys: str = "", *, name: str = "porch", channel: int = 1, write_key: str = BOARD_KEY) -> str:
    fields = "" if "fields" in keys else 'fields = ["temperature"]'
    return f'[[devices]]\nname = "{name}"\nchannel = {channel}\nwrite_key = "{write_key}"\n{fields}\n{keys}\n'


def test_an_empty_file_is_a_node_with_nothing_to_do(place: Path) -> None:
    config = loaded("")
    assert (config.sensors, config.actuators, config.devices) == ((), (), ())
    assert (config.web.port, config.store.lose_at_most, config.store.keep) == (5000, 10_000, None)
    assert (config.store.keep_mb, config.store.keep_5m) == (None, 730 * 86_400_000)


def test_every_key_arrives(place: Path) -> None:
    config = loaded(
        '[node]\nname = "greenhouse-1"\ntimezone = "Europe/Berlin"\nclock = "trust"\n'
        '[web]\nhost = "::1"\nport = 8080\nreads = "key"\nhosts = ["Garden.example.org"]\n'
        'cors_origins = ["https://example.org"]\ntrusted_proxies = ["10.0.0.0/8"]\naccept_new_sensors = false\n'
        '[store]\nlose_at_most = "1m"\nkeep = "30d"\n[display]\nunits = "f"\n'
        + sensor('label = "Air"\nevery = "500ms"\nunit = "°C"\nvalid = [-30, 60]\nspike = 5\nstuck = "1h"')
        + sensor('dead_band = 0.2\nheartbeat = "5m"\nscale = 1.8\noffset = 32', name="fahrenheit")
        + actuator('safe = "on"\ndefault = "on"\nactive_low = true')
        + board('public = true\nread_key = "H4B7N2V9C5X1Z8L3"\nfields = ["temperature", "humidity"]')
    )
    air, fahrenheit = config.sensors
    assert config.node.name == "greenhouse-1"
    assert config.web.hosts == ("garden.example.org",)
    assert config.store.keep == 30 * 86_400_000
    assert (air.every, air.valid, air.spike, air.stuck) == (500, (-30, 60), 5, 3_600_000)
    assert (fahrenheit.dead_band, fahrenheit.heartbeat, fahrenheit.scale, fahrenheit.offset) == (0.2, 300_000, 1.8, 32)
    assert (config.actuators[0].safe, config.actuators[0].options) == ("on", {"pin": 17, "active_low": True})
    assert config.devices[0].fields == ("temperature", "humidity")


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        # Values of another kind.
        ('[web]\nport = "many"', '[web], key "port": expected a whole number, found the text "many".'),
        ("[web]\nport = true", '[web], key "port": expected a whole number, found true.'),
        ("[web]\nport = 80.5", '[web], key "port": expected a whole number, found the number 80.5.'),
        ("[web]\nport = 99999", '[web], key "port": expected a number of at most 65535, found 99999.'),
        ("[web]\nport = -1", '[web], key "port": expected a number of at least 0, found -1.'),
        ("[web]\nhost = 5", '[web], key "host": expected a text in quotes, found the number 5.'),
        ("[web]\nport = 1979-05-27", '[web], key "port": expected a whole number, found the date or time 1979-05-27.'),
        (
            '[web]\nhosts = "a.example"',
            '[web], key "hosts": expected a list in brackets, found the text "a.example".',
        ),
        ("[web]\nhosts = [1]", '[web], key "hosts": item 1: expected a text in quotes, found the number 1.'),
        (
            '[web]\naccept_new_sensors = "no"',
            '[web], key "accept_new_sensors": expected true or false, without quotes, found the text "no".',
        ),
        ('[web]\nreads = "all"', '[web], key "reads": expected "local" or "key", found "all".'),
        ("[node]\nname = {}", '[node], key "name": expected a text in quotes, found a table.'),
        ("web = 5", "[web]: expected a table, found the number 5."),
        ("[sensors]\nname = 'x'", ": expected [[sensors]] with double brackets, found [sensors]."),
        ("sensors = [1]", ": expected [[sensors]] with double brackets, found the list [1]."),
        # Values that mean nothing.
        ('[node]\nname = "My Node"', 'expected a name such as "greenhouse-1": small letters, digits, - and _, found'),
        ('[node]\ntimezone = "Moon/Base"', 'expected a time zone such as "Europe/Berlin", found "Moon/Base".'),
        ('[node]\ntimezone = "../passwd"', 'expected a time zone such as "Europe/Berlin", found "../passwd".'),
        ('[web]\nhosts = ["http://a.example/"]', 'expected a host name or an address, without port, such as "garden.e'),
        ('[web]\ncors_origins = ["a.example"]', 'expected an origin such as "https://garden.example.org", without a'),
        ('[web]\ntrusted_proxies = ["nginx"]', 'expected an address or a network such as "127.0.0.1" or "10.0.0.0/8"'),
        ("[store]\nkeep = 5", 'expected a duration such as "30s", "5m", "2h" or "7d", found 5.'),
        ('[store]\nkeep = "0s"', 'expected a duration longer than zero, found "0s".'),
        ("[store]\nkeep_mb = 10", "expected a number of at least 50, found 10."),
        ('[store]\nkeep = "1m"', '[store], key "keep": expected "1d" or longer (m is minutes), found "1m".'),
        ('[store]\nkeep_5m = "6d"', 'key "keep_5m": expected "7d" or longer (m is minutes), found "6d".'),
        ('[store]\nlose_at_most = "2h"', 'expected "1h" or shorter, as what waits is in memory, found "2h".'),
        ('[backup]\nevery = "9m"', '[backup], key "every": expected "10m" or longer, found "9m".'),
        (sensor('keep = "23h"'), 'key "keep": expected "1d" or longer (m is minutes), found "23h".'),
        (sensor('keep = "0s"'), 'key "keep": expected a duration longer than zero, found "0s".'),
        ('[store]\nkeep = "999999d"', 'expected a duration of at most ten years, found "999999d".'),
        ('[display]\nunits = "k"', '[display], key "units": expected "c" or "f", found "k".'),
        # Sensors.
        (sensor('every = "soon"'), '[[sensors]] 1 "air", key "every": expected a duration such as "30s"'),
        (sensor('every = "99ms"'), '[[sensors]] 1 "air", key "every": expected "100ms" or longer, found "99ms".'),
        (sensor('unit = "C"'), 'key "unit": expected a unit that others know, found "C"; did you mean "°C"?'),
        (sensor('unit = "HPA"'), 'key "unit": expected a unit that others know, found "HPA"; did you mean "hPa"?'),
        (sensor('unit = "furlong"'), 'key "unit": expected a unit that others know, found "furlong"; such as °C °F K'),
        (sensor("valid = [60, -30]"), "expected the lower number first, such as [-30, 60], found [60, -30]."),
        (sensor("valid = [5]"), "expected two numbers, the lower one first, such as [-30, 60], found [5]."),
        (sensor("valid = [true, 5]"), "expected two numbers, the lower one first"),
        (sensor("valid = [nan, 5]"), "expected the lower number first"),
        (sensor("valid = 5"), "expected two numbers, the lower one first"),
        (sensor("scale = nan"), 'key "scale": expected a finite number, found nan.'),
        (sensor("scale = 0"), 'key "scale": expected a factor other than zero, found 0.'),
        (sensor("offset = inf"), 'key "offset": expected a finite number, found inf.'),
        (sensor("offset = true"), 'key "offset": expected a number, found true.'),
        (sensor('offset = "1"'), 'key "offset": expected a number, found the text "1".'),
        (sensor("dead_band = 0"), 'key "dead_band": expected a number above 0, found 0.'),
        (sensor("spike = -1"), 'key "spike": expected a number above 0, found -1.'),
        (sensor(r'label = "a\u0007b"'), 'key "label": expected a printable text of at most 100 characters'),
        (sensor(f'label = "{"a" * 101}"'), 'key "label": expected a printable text of at most 100 characters'),
        (sensor("", name="Air"), 'key "name": expected a name such as "air_temperature": small letters'),
        (sensor("", name="a" * 65), 'key "name": expected a name such as "air_temperature": small letters'),
        (
            sensor("", name="readings"),
            'key "name": expected a name that the API does not use itself, found "readings".',
        ),
        ('[[sensors]]\ndriver = "system"\nquantity = "cpu_temp"', '[[sensors]] 1, key "name": expected, but missing.'),
        ('[[sensors]]\nname = "x"', '[[sensors]] 1 "x", key "driver": expected, but missing.'),
        # Drivers and their own keys.
        (
            '[[sensors]]\nname = "x"\ndriver = "gpoi"',
            'key "driver": expected a driver for sensors, found "gpoi"; did you mean "gpio"?',
        ),
        ('[[sensors]]\nname = "x"\ndriver = "lora"', 'found "lora"; valid: '),
        (
            '[[actuators]]\nname = "x"\ndriver = "system"',
            'key "driver": expected a driver for actuators, found "system"; valid: gpio',
        ),
        ('[[sensors]]\nname = "x"\ndriver = "gpio"', '[[sensors]] 1 "x", key "pin": expected, but missing.'),
        (
            '[[sensors]]\nname = "x"\ndriver = "gpio"\npin = "17"',
            'key "pin": expected a whole number, found the text "17"',
        ),
        ('[[sensors]]\nname = "x"\ndriver = "gpio"\npin = true', 'key "pin": expected a whole number, found true.'),
        ('[[sensors]]\nname = "x"\ndriver = "gpio"\npin = 1\npull = "left"', 'key "pull": expected "up"'),
        (
            '[[sensors]]\nname = "x"\ndriver = "gpio"\npin = 1\npul = "up"',
            'nobody reads this key; did you mean "pull"?',
        ),
        (sensor('evry = "5s"'), 'key "evry": nobody reads this key; did you mean "every"?'),
        (actuator('volts = "1h"'), '[[actuators]] 1 "vent", key "volts": nobody reads this key; valid: active_low'),
        (actuator("safe = true"), 'key "safe": expected "on" or "off", found true.'),
        # Keys and tables that nobody reads.
        ("[web]\nprot = 80", '[web], key "prot": nobody reads this key; did you mean "port"?'),
        ("[wep]", "[wep]: nobody reads this table; did you mean [web]?"),
        ("[[sensor]]", "[[sensor]]: nobody reads this table; did you mean [[sensors]]?"),
        ("[mqtt]", "[mqtt]: nobody reads this table; valid: [node], [web], [store], [backup], [display], [alerts]"),
        ("port = 80", 'key "port": nobody reads this key here; it belongs into [web].'),
        ("zzz = 80", 'key "zzz": nobody reads this key here; keys stand in tables: [node]'),
        ('[flat_keys]\nled = "x"', "[flat_keys]: nobody reads this table"),
        # Boards.
        (board(channel=0), '[[devices]] 1 "porch", key "channel": expected a number of at least 1, found 0.'),
        (board("fields = []"), 'key "fields": expected a list of at least 1, found [].'),
        (board('fields = ["a","b","c","d","e","f","g","h","i"]'), 'key "fields": expected a list of at most 8'),
        (board('fields = ["a"]\nunits = ["°C", "%"]'), 'key "units": expected one for each field at most, in the same'),
        (board('fields = ["a", "a"]'), 'key "fields": expected each name once, found "a" twice.'),
        (board('fields = ["a", "B"]'), 'key "fields": item 2: expected a name'),
    ],
)
def test_a_mistake_says_where_what_and_what_instead(place: Path, text: str, mistake: str) -> None:
    (line,) = mistakes(text)
    assert line.startswith("outstation.toml")
    assert mistake in line
    assert "\n" not in line


@pytest.mark.parametrize(
    "text",
    [
        sensor("") + sensor(""),
        sensor("", name="vent") + actuator("", name="vent"),
        actuator("") + actuator("", name="heater"),
        actuator('chip = "/dev/gpiochip4"') + actuator('chip = "/dev/gpiochip4"', name="heater"),
        '[[sensors]]\nname = "door"\ndriver = "gpio"\npin = 17\n' + actuator(""),
        board() + board(channel=2, write_key="H4B7N2V9C5X1Z8L3"),
        board() + board(name="shed", write_key="H4B7N2V9C5X1Z8L3"),
        board() + board(name="shed", channel=2),
        board(f'read_key = "{BOARD_KEY}"'),
    ],
)
def test_what_one_thing_has_no_other_may_have(place: Path, text: str) -> None:
    (line,) = mistakes(text)
    assert "expected one of its own, found" in line
    assert "[[" in line.partition("which")[2]


def test_the_same_pin_of_two_chips_is_two_pins(place: Path) -> None:
    config = loaded(actuator('chip = "/dev/gpiochip0"') + actuator('chip = "/dev/gpiochip1"', name="heater"))
    assert len(config.actuators) == 2


def test_all_mistakes_are_told_at_once_and_none_hides_another(place: Path) -> None:
    text = (
        "[wep]\n[web]\nport = 'many'\nreeds = 'key'\n"
        '[[sensors]]\nname = "door"\ndriver = "gpio"\npin = 17\nevery = "soon"\npul = "up"\n'
        '[[sensors]]\ndriver = "gpoi"\n'
        '[[actuators]]\nname = "door"\ndriver = "gpio"\npin = 17\nsafe = "open"\n'
        + board(write_key="env:NOT_THERE")
        + board(write_key="env:NOT_THERE")
    )
    places = [line.partition(":")[0].removeprefix("outstation.toml, ") for line in mistakes(text)]
    assert sorted(places) == sorted(
        [
            "[wep]",
            '[web], key "port"',
            '[web], key "reeds"',
            '[[sensors]] 1 "door", key "every"',
            '[[sensors]] 1 "door", key "pul"',
            '[[sensors]] 2, key "name"',
            '[[sensors]] 2, key "driver"',
            '[[actuators]] 1 "door", key "safe"',
            '[[actuators]] 1 "door", key "name"',
            '[[actuators]] 1 "door", key "pin"',
            '[[devices]] 1 "porch", key "write_key"',
            '[[devices]] 2 "porch", key "write_key"',
            '[[devices]] 2 "porch", key "name"',
            '[[devices]] 2 "porch", key "channel"',
        ]
    )


@pytest.mark.parametrize(
    "key", ["", "short", "0000000000000000", "YOURWRITEAPIKEY1", "A B C D E F G H I J", "XXXXQ7RW2MZ9K4TB"]
)
def test_a_weak_key_is_refused_unseen_and_a_strong_one_offered(place: Path, key: str) -> None:
    (line,) = mistakes(board(write_key=key))
    assert f"found one of {len(key)} characters." in line
    assert not key or key not in line
    offered = line.partition('such as "')[2].partition('"')[0]
    assert loaded(board(write_key=offered)).devices[0].write_key == offered


def test_a_secret_comes_from_the_environment_or_a_file(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORCH_KEY", f" {BOARD_KEY}\n")
    (place / "shed.key").write_text("H4B7N2V9C5X1Z8L3\n")
    text = board(write_key="env:PORCH_KEY") + board(name="shed", channel=2, write_key="file:shed.key")
    assert [device.write_key for device in loaded(text).devices] == [BOARD_KEY, "H4B7N2V9C5X1Z8L3"]


@pytest.mark.parametrize(
    ("secret", "reason"),
    [
        ("env:NOT_THERE", 'in the environment variable NOT_THERE, which is not set, found "env:NOT_THERE".'),
        ("env:", 'in the environment variable NAME, which is not set, found "env:".'),
        ("file:none.key", "none.key, which cannot be read (no such file or directory), found"),
        ("file:.", "which cannot be read (is a directory), found"),
        ("file:~nobody_here/k", "in the file ~nobody_here/k, but that user has no home here, found"),
        ("file:empty.key", "empty.key, which is empty, found"),
        ("file:binary.key", "binary.key, which cannot be read (not a text), found"),
    ],
)
def test_a_missing_secret_names_what_is_missing(place: Path, secret: str, reason: str) -> None:
    (place / "empty.key").write_text("\n")
    (place / "binary.key").write_bytes(b"\xff\xfe")
    (line,) = mistakes(board(write_key=secret))
    assert reason in line


def test_a_secret_of_two_lines_is_none(place: Path) -> None:
    (place / "two.key").write_text("one\ntwo\n")
    text = '[[uplinks]]\nname = "hub"\nkind = "outstation"\nurl = "https://hub.example"\nkey = "file:two.key"\n'
    (line,) = mistakes(text)
    assert line.endswith('expected a secret of letters that can be printed, on one line, found "file:two.key".')


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("name\nx = 1", "outstation.toml, line 1, column 5: expected '=' after a key"),
        ('[web]\nhost = "a\n', "outstation.toml, line 2, column 10: illegal character '\\n'. A text begins and ends"),
        ("every = 10s", "outstation.toml, line 1, column 11: expected newline or end of document after a statement."),
        ("x = soon", 'line 1, column 5: invalid value. Texts and durations stand in quotes: every = "10s".'),
        ("[web]\n[web]", "A table that comes more than once has double brackets: [[sensors]]."),
        ("[web]\nport = 1\nport = 2\n", "line 3, column 9: cannot overwrite a value. A key stands once in a table"),
        ('path = "C:\\data"', "In double quotes a backslash is written twice"),
        ("hosts = [1,", "end of the file: "),
        (f"x = {'9' * 5000}", "Exceeds the limit"),
        (f"x = {'[' * 100_000}", "recursion"),
    ],
)
def test_a_syntax_error_has_its_line_and_a_hint(place: Path, text: str, mistake: str) -> None:
    (line,) = mistakes(text)
    assert mistake in line


def test_a_file_that_is_no_text_is_named(place: Path) -> None:
    Path("outstation.toml").write_bytes(b'[node]\nname = "\xff"')
    with pytest.raises(ConfigError, match=r"outstation.toml, byte 16: expected UTF-8"):
        load(Path("outstation.toml"))


def test_a_file_that_is_not_there_is_named(place: Path) -> None:
    with pytest.raises(ConfigError, match=r"greenhouse.toml cannot be read: no such file or directory. Name another"):
        load(Path("greenhouse.toml"))


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_no_file_whatsoever_breaks_the_reader(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    file = tmp_path_factory.getbasetemp() / "any.toml"
    file.write_bytes(content)
    with contextlib.suppress(ConfigError):
        load(file)


def test_the_config_is_found_where_it_was_named_first(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find() in {None, Path("/etc/outstation/outstation.toml")}
    Path("outstation.toml").touch()
    assert find() == Path("outstation.toml")
    monkeypatch.setenv("OUTSTATION_CONFIG", "elsewhere.toml")
    assert find() == Path("elsewhere.toml")
    assert find("option.toml") == Path("option.toml")


def test_a_config_that_is_a_broken_link_is_not_passed_over(place: Path) -> None:
    Path("outstation.toml").symlink_to("nowhere.toml")
    assert find() == Path("outstation.toml")


@pytest.mark.parametrize(
    ("text", "millis"),
    [("500ms", 500), ("30s", 30_000), ("5m", 300_000), ("2h", 7_200_000), ("7d", 604_800_000), ("1.5s", 1_500)],
)
def test_durations(text: str, millis: int) -> None:
    assert parse_duration(text) == millis


@pytest.mark.parametrize("text", ["", "5", "s", "-5s", "5 s", "5S", "1e3s", "٣s", "5s\n5", 5, None, True, ["5s"]])
def test_what_is_no_duration(text: object) -> None:
    with pytest.raises(ValueError, match="expected a duration"):
        parse_duration(text)


def test_units_are_listed_once() -> None:
    assert len(UNITS) == len(set(UNITS))
