"""GET /docs: Swagger UI from the package itself; an edge node has no internet.

Its files are put beside this one when the package is built; where they could not be fetched,
the page says how to get them.
"""

from __future__ import annotations

from pathlib import Path

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

_HEADERS = (
    (b"Content-Security-Policy", _POLICY),
    (b"X-Content-Type-Options", b"nosniff"),
    (b"Cache-Control", b"no-cache"),
)

_PAGE = b"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Outstation: the API</title>
<link rel="stylesheet" href="/docs/swagger-ui.css">
</head>
<body>
<div id="api"></div>
<noscript>This page needs JavaScript; the same as a plain document: <a href="/openapi.json">openapi.json</a></noscript>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
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


class Docs:
    """Serves the page and its files."""

    def page(self, _: Request) -> Answer:
        """Handle GET /docs."""
        there = (ASSETS / "swagger-ui-bundle.js").exists()
        return Response(_PAGE if there else _WITHOUT, content_type=HTML, headers=_HEADERS)

    def file(self, request: Request) -> Answer:
        """Handle GET /docs/{file}: one of the three there are."""
        name = request.params["file"]
        if name not in _FILES:
            raise UnknownNameError("There is no such file; the page is at /docs.")
        body = _START if name == "start.js" else _read(name)
        return Response(body, content_type=_TYPES[Path(name).suffix], headers=_HEADERS)


def _read(name: str) -> bytes:
    try:
        return (ASSETS / name).read_bytes()
    except OSError as error:
        raise UnknownNameError("This installation has no Swagger UI; /docs says how to get it.") from error
