"""A module of the page, in a browser, without a node behind it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from playwright.sync_api import Browser

from outstation.web import dashboard

_UI = Path(dashboard.__file__).with_name("ui")
_ORIGIN = "http://page.test"


def run_module(browser: Browser, name: str, call: str, argument: Any) -> Any:
    """Return what a function in JavaScript makes of an argument, with the module of that name as `module`."""
    page = browser.new_page()
    try:
        page.route(f"{_ORIGIN}/", lambda route: route.fulfill(body="", content_type="text/html"))
        page.route(f"{_ORIGIN}/*.js", lambda route: route.fulfill(path=_UI / route.request.url.rpartition("/")[2]))
        page.goto(f"{_ORIGIN}/")
        return page.evaluate(
            f"async argument => {{ const module = await import('/{name}'); return ({call})(argument); }}", argument
        )
    finally:
        page.close()
