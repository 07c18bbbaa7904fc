"""What the config says of boards: what they have burnt in, and when they are expected."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.test_config import loaded, mistakes


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def board(more: str, name: str = "porch", channel: int = 1, key: str = "Q7RW2MZ9K4TB6XHD") -> str:
    table = f'[[devices]]\nname = "{name}"\nchannel = {channel}\nwrite_key = "{key}"\nfields = ["temperature"]\n'
    return f"{table}{more}\n"


def test_a_board_of_a_class(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLASS", "CLASSKEY")
    when = "weekday and between 08:00 and 16:00"
    text = f'mac = "6C-EF-7F-3B-9D-E8"\nkey = "env:CLASS"\ngroup = "class-a"\nexpected_when = "{when}"'
    (one,) = loaded(board(text)).devices
    assert (one.mac, one.key, one.group, one.expected_when) == ("6c:ef:7f:3b:9d:e8", "CLASSKEY", "class-a", when)


@pytest.mark.parametrize(
    ("more", "mistake"),
    [
        ('mac = "porch"', 'key "mac": expected an address such as "6c:ef:7f:3b:9d:e8"'),
        ('key = "short"', 'key "key": expected the 6 to 64 letters and digits that the board has built in'),
        ('expected_when = "after 8"', 'key "expected_when": expected'),
        ('expected_when = "air > 3"', "expected days and times alone"),
        ('expected_when = "between sunset and 23:00"', "expected days and times alone"),
        ('group = "A class"', 'key "group": expected a name such as'),
    ],
)
def test_a_mistake_says_where_and_what(more: str, mistake: str) -> None:
    (line,) = mistakes(board(more))
    assert mistake in line


def test_two_boards_are_not_one() -> None:
    mac = 'mac = "6c:ef:7f:3b:9d:e8"'
    other = board(mac.upper().replace("MAC", "mac"), "shed", 2, "K4TB6XHDQ7RW2MZ9")
    (line,) = mistakes(board(mac) + other)
    assert 'key "mac": expected one of its own, found 6c:ef:7f:3b:9d:e8, which [[devices]] 1 "porch" has' in line
