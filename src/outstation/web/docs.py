"""GET /docs: Swagger UI from the package itself; an edge node has no internet.

Its files are put beside this one when the package is built; where they could not be fetched,
the page says how to get them. Each is read once and kept; its address in the page names its content,
so that a browser need not ask again before the content is another.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

from outstation.errors import UnknownNameError
from outstation.http import HTML, Answer, Request, Response

ASSETS = Path(__file__).with_name("assets")

_TYPES = {".js": b"text/javascript; charset=utf-8", ".css": b"text/css; charset=utf-8", ".html": HTML}

_FILES = ("swagger-ui.css", "swagger-ui-bundle.js", "start.js")

_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    b"connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)
"""Swagger UI sets styles on its elements; everything else comes from this node's own files."""

_ALWAYS = (
    (b"Content-Security-Policy", _POLICY),
    (b"X-Content-Type-Options", b"nosniff"),
)
_ASK_AGAIN = (b"Cache-Control", b"no-cache")
_FOR_GOOD = (b"Cache-Control", b"private, max-age=31536000, immutable")
"""RFC 8246; private, since reading may need a key."""

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Outstation: the API</title>
<link rel="stylesheet" href="{swagger-ui.css}">
</head>
<body>
<div id="api"></div>
<noscript>This page needs JavaScript; the same as a plain document: <a href="/openapi.json">openapi.json</a></noscript>
<script src="{swagger-ui-bundle.js}"></script>
<script src="{start.js}"></script>
</body>
</html>
"""

_START = b"""SwaggerUIBundle({
  url: "/openapi.json", dom_id: "#api", deepLinking: true, persistAuthorization: false, validatorUrl: null,
});
"""

_WITHOUT = b"""<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>Outstation: the API</title></head>
<body>
<h1>The API</h1>
<p>This installation has no Swagger UI: it is fetched from npm when the package is built, and that did not work.
With a connection to the package registries, in the clone:</p>
<pre>.venv/bin/pip install --force-reinstall --no-deps -e .</pre>
<p>The same as a plain document, always: <a href="/openapi.json">/openapi.json</a></p>
</body>
</html>
"""


class Asset(msgspec.Struct, frozen=True):
    """A file as it is sent. tag: names its content, and nothing else that a file here ever held."""

    body: bytes
    tag: str


class Docs:
    """Serves the page and its files."""

    def __init__(self) -> None:
        self._assets: dict[str, Asset] = {}

    def page(self, _: Request) -> Answer:
        """Handle GET /docs."""
        there = all((ASSETS / name).exists() for name in _FILES if name != "start.js")
        body = self._page() if there else _WITHOUT
        return Response(body, content_type=HTML, headers=(*_ALWAYS, _ASK_AGAIN))

    def file(self, request: Request) -> Answer:
        """Handle GET /docs/{file}: one of the three there are."""
        name = request.params["file"]
        if name not in _FILES:
            raise UnknownNameError("There is no such file; the page is at /docs.")
        asset = self._asset(name)
        lasting = _FOR_GOOD if request.query == f"v={asset.tag}".encode() else _ASK_AGAIN
        headers = (*_ALWAYS, lasting, (b"ETag", f'"{asset.tag}"'.encode()))
        if _has_it(request.header(b"if-none-match"), asset):
            return Response(b"", 304, headers=headers)
        return Response(asset.body, content_type=_TYPES[Path(name).suffix], headers=headers)

    def _page(self) -> bytes:
        page = _PAGE
        for name in _FILES:
            page = page.replace(f"{{{name}}}", f"/docs/{name}?v={self._asset(name).tag}")
        return page.encode()

    def _asset(self, name: str) -> Asset:
        asset = self._assets.get(name)
        if asset is None:
            body = _START if name == "start.js" else _read(name)
            asset = self._assets[name] = Asset(body, hashlib.sha256(body).hexdigest()[:16])
        return asset


def _has_it(held: bytes | None, asset: Asset) -> bool:
    """Tell whether an If-None-Match header names the content (RFC 9110, section 13.1.2)."""
    if held is None:
        return False
    tags = {tag.strip().removeprefix("W/") for tag in held.decode("ascii", "replace").split(",")}
    return "*" in tags or f'"{asset.tag}"' in tags


def _read(name: str) -> bytes:
    try:
        return (ASSETS / name).read_bytes()
    except OSError as error:
        raise UnknownNameError("This installation has no Swagger UI; /docs says how to get it.") from error
