"""Looks over a page's shoulder: what it must never do, whatever a test is about."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from playwright.sync_api import Browser, ConsoleMessage, Request

HOST = "127.0.0.1"


class Watch:
    """A window of the browser, and what it complained of.

    That is all that it wrote to its console (a breach of the Content-Security-Policy, a file that is not there), every
    error in a script, and every request to another host than the node's.
    """

    def __init__(self, browser: Browser, *, width: int = 1000, height: int = 900, is_phone: bool = False) -> None:
        self.context = browser.new_context(
            viewport={"width": width, "height": height}, has_touch=is_phone, is_mobile=is_phone
        )
        self.expected: list[str] = []
        """Regular expressions: of these complaints the test knows."""
        self._complaints: list[str] = []
        self.context.on("console", self._said)
        self.context.on("weberror", lambda error: self._complaints.append(f"error: {error.error}"))
        self.context.on("request", self._asked)
        self.page = self.context.new_page()

    @property
    def complaints(self) -> list[str]:
        """Those that the test does not know of."""
        return [said for said in self._complaints if not any(re.search(each, said) for each in self.expected)]

    def _said(self, message: ConsoleMessage) -> None:
        self._complaints.append(f"{message.type}: {message.text} {message.location['url']}")

    def _asked(self, request: Request) -> None:
        address = urlsplit(request.url)
        if address.scheme not in ("blob", "data", "file") and address.hostname != HOST:
            self._complaints.append(f"request to another host: {request.url}")
