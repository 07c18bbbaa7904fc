"""The page for who may not look without a key: it takes one. Nothing of the node stands on it."""

from __future__ import annotations

from outstation.http import HTML, Response, problem
from outstation.web.dashboard.acts import sign_in
from outstation.web.dashboard.files import PROTECTED, Files
from outstation.web.dashboard.view import text

_HEADERS = (*PROTECTED, (b"Cache-Control", b"no-store"), (b"WWW-Authenticate", b'Bearer realm="outstation"'))
_UNAUTHORISED = 401
_WHY = "To look at this node you need one of its keys; to act as well, one with the scope “control”."


class Door:
    """Words what the gate refuses on the way to the page."""

    def __init__(self, files: Files) -> None:
        self._files = files

    def refuse(self, status: int, error: str) -> Response:
        """Return the door for who has no key; any other refusal as everywhere."""
        if status != _UNAUTHORISED:
            return problem(status, error)
        return Response(self._page(error).encode(), status, HTML, _HEADERS)

    def _page(self, error: str) -> str:
        address = self._files.address
        return (
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            '<meta name="color-scheme" content="light dark">\n<title>Sign in · Outstation</title>\n'
            f'<link rel="stylesheet" href="{address("page.css")}">\n'
            f'<script type="module" src="{address("door.js")}"></script>\n</head>\n<body>\n'
            "<main>\n<h1>Sign in to look</h1>\n"
            f"<p>{text(error)}</p>\n<noscript><p>To sign in, this page needs JavaScript.</p></noscript>\n"
            "<p data-session><button data-sign-in>Sign in</button></p>\n<output class=session-said></output>\n</main>\n"
            f"{sign_in(_WHY, 'outstation')}</body>\n</html>\n"
        )
