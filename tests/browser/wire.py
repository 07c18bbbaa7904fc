"""What a page costs over the wire, as the browser counts it."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Page


class Wire:
    """Counts what comes in from now on: bytes as they were sent, heads included, by the kind of what was asked for.

    Chrome DevTools Protocol, Network domain: `encodedDataLength` of loadingFinished is the whole of an answer; of one
    that does not end (the event stream), the heads come with responseReceived and the rest with dataReceived.
    """

    def __init__(self, page: Page) -> None:
        self.kinds: dict[str, str] = {}
        self.addresses: dict[str, str] = {}
        self._bytes: dict[str, int] = {}
        self._session = page.context.new_cdp_session(page)
        self._session.send("Network.enable")
        self._session.on("Network.responseReceived", self._answered)
        self._session.on("Network.dataReceived", self._came)
        self._session.on("Network.loadingFinished", self._ended)

    @property
    def total(self) -> int:
        return sum(self._bytes.values())

    def by_kind(self) -> dict[str, int]:
        """Return the bytes of each kind: Document, Script, Stylesheet, Fetch."""
        found: dict[str, int] = {}
        for number, size in self._bytes.items():
            kind = self.kinds.get(number, "Other")
            found[kind] = found.get(kind, 0) + size
        return found

    def _answered(self, event: dict[str, Any]) -> None:
        number, answer = event["requestId"], event["response"]
        self.kinds[number], self.addresses[number] = event["type"], answer["url"]
        self._bytes[number] = answer["encodedDataLength"]

    def _came(self, event: dict[str, Any]) -> None:
        self._bytes[event["requestId"]] = self._bytes.get(event["requestId"], 0) + event["encodedDataLength"]

    def _ended(self, event: dict[str, Any]) -> None:
        self._bytes[event["requestId"]] = event["encodedDataLength"]
