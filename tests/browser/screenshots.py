"""Pictures of the demo's pages, for the README and for whoever changes them: `scripts/screenshots [FOLDER]`.

On a phone, on a desk and on a wall, light and dark. Look at each one, and at the first as a stranger.
"""

from __future__ import annotations

import itertools
import shutil
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser.conftest import QUIET
from tests.running import Running

SIZES = {"phone": (360, 640), "desktop": (1280, 800), "wall": (1920, 1080)}
SCHEMES = "light", "dark"

WALL = "/wall?sensor=air_temperature&sensor=humidity"
PLOT = "/#plot=air_temperature,humidity&last=15m"

_HISTORY_S = 90
"""Until there is something to see: in a day of the recording the vent opens and the heater heats."""

_SETTLED_MS = 4_000
"""Until the page is live and its first sparklines are drawn."""

_COLOURS = 128
"""A third of the bytes, and nobody sees a difference."""


def main(folder: Path) -> None:
    """Take all of them."""
    folder.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as place,
        Running(Path(place) / "data", command="demo") as node,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=QUIET)
        time.sleep(_HISTORY_S)
        for size, scheme in itertools.product(SIZES, SCHEMES):
            take(browser, f"http://127.0.0.1:{node.port}", size, scheme, folder)
        browser.close()


def take(browser: Browser, address: str, size: str, scheme: str, folder: Path) -> None:
    """Take those of one size and one scheme."""
    width, height = SIZES[size]
    page = browser.new_page(
        viewport={"width": width, "height": height}, color_scheme="dark" if scheme == "dark" else "light"
    )
    if size == "wall":
        shoot(page, address + WALL, folder / f"wall-{scheme}.png")
    else:
        shoot(page, f"{address}/", folder / f"page-{size}-{scheme}.png", whole=size == "desktop")
        shoot(page, address + PLOT, folder / f"plot-{size}-{scheme}.png")
    page.close()


def shoot(page: Page, address: str, file: Path, *, whole: bool = False) -> None:
    """Take one: of what the window shows, or of the whole page."""
    page.goto(address)
    page.wait_for_timeout(_SETTLED_MS)
    page.screenshot(path=file, full_page=whole)
    Image.open(file).quantize(_COLOURS).save(file, optimize=True)
    print(file)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("screenshots"))
