"""GET and POST /api/retention: how much is kept, what is deleted next and why, and a person's word to delete it now."""

from __future__ import annotations

import asyncio

import msgspec

from outstation.engine.site import Site
from outstation.http import Answer, Later, Request, json


class Word(msgspec.Struct, forbid_unknown_fields=True):
    """The body. dry_run: say what would be deleted, and delete nothing; no body says neither by mistake."""

    dry_run: bool


_decoder = msgspec.json.Decoder(Word)


class Retention:
    """Speaks for the one who keeps a node's history within its limits."""

    def __init__(self, site: Site) -> None:
        self._retaining = site.retaining

    def get(self, _: Request) -> Answer:
        """Handle GET /api/retention: the figures, and what the next run deletes by itself."""
        return Later(asyncio.ensure_future(self._retaining.plan(asked=False)), json)

    def post(self, request: Request) -> Answer:
        """Handle POST /api/retention: delete now all that is too old or too much, also more than a tenth."""
        word = _decoder.decode(request.body)
        doing = self._retaining.plan(asked=True) if word.dry_run else self._retaining.run()
        return Later(asyncio.ensure_future(doing), json)
