"""What all tests share: the options `--long` and `--qemu`, their order, and examples that no clock judges."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")  # how long an example takes depends on what else runs

OPTIONS = {
    "long": "also run the tests that take minutes or hours",
    "qemu": "also run the tests that boot a machine with a kernel of Debian's",
}
"""Each runs the tests that have a mark of its name, and those alone wait for it."""


def pytest_addoption(parser: pytest.Parser) -> None:
    for name, meaning in OPTIONS.items():
        parser.addoption(f"--{name}", action="store_true", help=meaning)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):  # one of several processes (scripts/test): what takes longest begins first
        items.sort(key=lambda item: "system" not in item.path.parts)
    for name in OPTIONS:
        if config.getoption(f"--{name}"):
            continue
        skip = pytest.mark.skip(reason=f"runs with --{name} only")
        for item in items:
            if item.get_closest_marker(name):
                item.add_marker(skip)
