"""A real browser: Debian's Chromium, driven by Playwright."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser.crowded import Crowded
from tests.browser.watch import Watch
from tests.running import Running

QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
"""Chromium as root, and without its own errands on the network."""


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Not for the whole session: while Playwright is open, its loop runs, and no test could start one of its own."""
    chromium = shutil.which("chromium")
    if chromium is None:
        missing = "Chromium is not installed: apt install chromium"
        assert "OUTSTATION_TESTS_COMPLETE" not in os.environ, (
            missing
        )  # .ci/run: what is not tried there is tried nowhere
        pytest.skip(missing)
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=QUIET)
        yield opened
        opened.close()


@pytest.fixture(scope="package")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A node without a configuration, for tests that only add to it."""
    with Running(Path(tmp_path_factory.mktemp("plain")) / "data") as running:
        yield running


@pytest.fixture(scope="package")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crowded]:
    """A node whose page is only looked at: it has everything on it."""
    with Crowded(Path(tmp_path_factory.mktemp("crowded"))) as running:
        yield running


@pytest.fixture
def watch(browser: Browser) -> Iterator[Watch]:
    """A window of its own; what it complains of fails the test."""
    opened = Watch(browser)
    yield opened
    opened.context.close()
    assert opened.complaints == []


@pytest.fixture
def page(watch: Watch) -> Page:
    return watch.page
