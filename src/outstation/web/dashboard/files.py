"""GET /ui/{edition}/{file}: the page's style, scripts and pictures, as they were written.

The edition names the content of all of them, so that a browser asks for each once, and for all anew after an upgrade.
What is asked for by the name of another edition (by a page that was open over an upgrade) is served, and not kept.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable
from pathlib import Path

from outstation.errors import UnknownNameError
from outstation.http import Answer, Request, Response
from outstation.web.docs import ASSETS
from outstation.web.packing import packed, zipped

POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    b"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""Nothing from another host, and nothing that stands in the page itself: what a sensor says can never run."""

PROTECTED = (
    (b"Content-Security-Policy", POLICY),
    (b"X-Content-Type-Options", b"nosniff"),
    (b"Referrer-Policy", b"no-referrer"),
)

_HERE = Path(__file__).parent
_TYPES = {
    ".js": b"text/javascript; charset=utf-8",
    ".css": b"text/css; charset=utf-8",
    ".svg": b"image/svg+xml",
}
_FETCHED = ("uPlot.*",)
"""Of the files that the build brings from npm, those that the page loads."""

_FOR_GOOD = (b"Cache-Control", b"max-age=31536000, immutable")
_FOR_A_DAY = (b"Cache-Control", b"max-age=86400")
_ASK_AGAIN = (b"Cache-Control", b"no-cache")


class Files:
    """The files of the page. None of them is secret, so that a page that is open to everybody finds them, too."""

    def __init__(self) -> None:
        found = [*_HERE.glob("*.css"), *_HERE.glob("*.svg"), *_HERE.glob("ui/*.js")]
        found += [path for pattern in _FETCHED for path in ASSETS.glob(pattern) if path.suffix in _TYPES]
        self._paths = {path.name: path for path in sorted(found)}
        self.edition = _edition(self._paths.values())
        self._zipped = functools.lru_cache(maxsize=len(self._paths))(zipped)

    def address(self, name: str) -> str:
        """Return where a file is found by those who may keep it."""
        return f"/ui/{self.edition}/{name}"

    def __contains__(self, name: str) -> bool:
        return name in self._paths

    def get(self, request: Request) -> Answer:
        """Handle GET /ui/{edition}/{file}."""
        path = self._paths.get(request.params["file"])
        if path is None:
            raise UnknownNameError("The page has no such file.")
        lasting = _FOR_GOOD if request.params["edition"] == self.edition else _ASK_AGAIN
        whole = Response(path.read_bytes(), content_type=_TYPES[path.suffix], headers=(*PROTECTED, lasting))
        return packed(whole, request, self._zipped)

    def icon(self, _: Request) -> Answer:
        """Handle GET /favicon.ico."""
        body = self._paths["icon.svg"].read_bytes()
        return Response(body, content_type=_TYPES[".svg"], headers=(*PROTECTED, _FOR_A_DAY))


def _edition(paths: Iterable[Path]) -> str:
    content = hashlib.sha256()
    for path in paths:
        content.update(path.name.encode() + b"\0" + path.read_bytes())
    return content.hexdigest()[:8]
