"""The page of ten lines in the reference: a file on somebody's disk that shows a board's newest value."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.running import Running

REFERENCE = Path(__file__).parent.parent.parent / "docs" / "reference" / "thingspeak.md"

CONFIG = """
[[devices]]
name = "porch"
channel = 254616
write_key = "Q7WK2ZB9XHT4RM6C"
public = true
fields = ["temperature"]
"""


def test_a_file_on_a_disk_shows_what_the_board_sent(tmp_path: Path, page: Page) -> None:
    found = re.search(r"```html\n(.*?)```", REFERENCE.read_text(), re.DOTALL)
    assert found
    with Running(tmp_path / "data", CONFIG) as node:
        node.get("/update?api_key=Q7WK2ZB9XHT4RM6C&field1=72.30")
        file = tmp_path / "porch.html"
        file.write_text(found[1].replace("192.168.1.20:5000", f"127.0.0.1:{node.port}"))
        page.goto(file.as_uri())
        expect(page.get_by_text("72.30 °C")).to_be_visible()
