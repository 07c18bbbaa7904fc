"""axe-core, the field's checker of what a screen reader and a weak eye need; from npm, by the lock file beside this."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

from tests import npm

_GRAVE = ("serious", "critical")
_RUN = "([within, options]) => axe.run(within, options).then(found => found.violations)"
_ALL = {"resultTypes": ["violations"]}
_COLOURS = _ALL | {"runOnly": ["color-contrast", "link-in-text-block"]}


@functools.cache
def _script() -> str:
    return (npm.fetched(Path(__file__).parent, "axe-core") / "axe.min.js").read_text()


def findings(page: Page, within: str, *, are_colours_all: bool = False) -> list[str]:
    """Return what it finds that is grave in a part of the page: the rule, where, and what to do about it.

    are_colours_all: nothing but colours is other than when it was looked at last, and that is half of the work.
    """
    if not page.evaluate("'axe' in globalThis"):
        page.evaluate(_script())
    found: list[dict[str, Any]] = page.evaluate(_RUN, [within, _COLOURS if are_colours_all else _ALL])
    return [
        f"{each['id']} ({each['impact']}): {node['html'][:160]}\n  {node['failureSummary']}"
        for each in found
        if each["impact"] in _GRAVE
        for node in each["nodes"]
    ]
