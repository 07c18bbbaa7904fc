"""The documents are true: links lead somewhere, examples load, and nothing grows past what people read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from outstation import config, plugins
from tests.web.table import ROUTES

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
DECISIONS = sorted((DOCS / "decisions").glob("*.md"))

# A link within this repository: [text](path), with or without a #part; not one to another host.
LINK = re.compile(r"\]\((?!\w+:)([^)#\s]+)(?:#[^)]*)?\)")
EXAMPLE = re.compile(r"^```toml\n(.*?)^```", re.MULTILINE | re.DOTALL)


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_lead_somewhere(page: Path) -> None:
    assert [link for link in LINK.findall(page.read_text()) if not (page.parent / link).exists()] == []


@pytest.mark.parametrize(("page", "lines"), [("README.md", 150), ("CONTRIBUTING.md", 80)])
def test_a_first_page_stays_short(page: str, lines: int) -> None:
    assert len((ROOT / page).read_text().splitlines()) <= lines


@pytest.mark.parametrize("page", DECISIONS, ids=named)
def test_a_decision_fits_on_a_screen_and_bears_its_number(page: Path) -> None:
    text = page.read_text()
    assert len(text.splitlines()) <= 40
    assert text.startswith(f"# {int(page.name[:4])}. ")


def test_decisions_are_numbered_once() -> None:
    numbers = [page.name[:4] for page in DECISIONS]
    assert len(numbers) == len(set(numbers))


def test_the_index_knows_every_document() -> None:
    linked = {(DOCS / link).resolve() for link in LINK.findall((DOCS / "README.md").read_text())}
    assert [named(page) for page in DOCS.rglob("*.md") if page != DOCS / "README.md" and page not in linked] == []


@pytest.mark.parametrize("page", [page for page in PAGES if EXAMPLE.search(page.read_text())], ids=named)
def test_example_configs_load(page: Path, tmp_path: Path) -> None:
    for number, example in enumerate(EXAMPLE.findall(page.read_text())):
        file = tmp_path / f"{number}.toml"
        file.write_text(example)
        config.load(file)


ROW = re.compile(r"^\| (GET|POST|PUT|DELETE) \| `([^`]+)` \| (\w+) \|", re.MULTILINE)


def test_the_page_of_the_api_has_every_route_with_its_scope_and_no_other() -> None:
    page = (DOCS / "reference" / "api.md").read_text()
    told = {(method, path, scope) for method, path, scope in ROW.findall(page)}
    # The short form is told with the long one, and boards' own routes in a paragraph of their own.
    native = [route for route in ROUTES if not route.any_host and route.path != "/api/vent"]
    assert told == {(route.method, route.path, str(route.scope).lower()) for route in native}
    boards = {route.path.rpartition("/")[2] for route in ROUTES if route.any_host}
    assert [path for path in boards if f"{path}`" not in page] == []


DRIVERS = (DOCS / "reference" / "drivers.md").read_text()
OWN_PAGE = dict(re.findall(r"^\| `(\w+)` \| .*?\]\((\w+\.md)\)", DRIVERS, re.MULTILINE))
OF_HARDWARE = sorted(set(OWN_PAGE) - {"derived"})
FORM = ["Wiring", "Config", "What it reads when something is wrong", "How it was tested"]


@pytest.mark.parametrize("group", ["sensors", "actuators"])
def test_the_index_of_drivers_has_every_driver(group: str) -> None:
    rows = "".join(re.findall(r"^\| (`.*?`) \|", DRIVERS, re.MULTILINE))
    assert set(plugins.names(group)) <= set(re.findall(r"\w+", rows))


@pytest.mark.parametrize("driver", OF_HARDWARE)
def test_the_page_of_a_driver_has_the_form_of_all(driver: str) -> None:
    text = (DOCS / "reference" / OWN_PAGE[driver]).read_text()
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == FORM
    assert f'`driver = "{driver}"`' in text.partition("\n## ")[0]
    tested = text.partition(f"## {FORM[-1]}\n")[2]
    assert driver in ("command", "http") or re.search(r"\*\*(Not yet seen on|On) real hardware", tested)
