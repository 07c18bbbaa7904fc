"""What all tests share: the options `--long` and `--qemu`."""

from __future__ import annotations

import pytest

OPTIONS = {
    "long": "also run the tests that take minutes or hours",
    "qemu": "also run the tests that boot a machine with a kernel of Debian's",
}
"""Each runs the tests that have a mark of its name, and those alone wait for it."""


def pytest_addoption(parser: pytest.Parser) -> None:
    for name, meaning in OPTIONS.items():
        parser.addoption(f"--{name}", action="store_true", help=meaning)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for name in OPTIONS:
        if config.getoption(f"--{name}"):
            continue
        skip = pytest.mark.skip(reason=f"runs with --{name} only")
        for item in items:
            if item.get_closest_marker(name):
                item.add_marker(skip)
