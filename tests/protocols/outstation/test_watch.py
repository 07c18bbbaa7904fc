"""A node that has fallen silent: told once, and over when it reports again or is removed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec

from outstation import clock
from outstation.config import Config
from outstation.core.reporting import Standing
from outstation.protocols.outstation.watch import TOGETHER, Watch
from outstation.store import nodes
from outstation.store.database import Store
from outstation.store.nodes import Nodes, Report
from tests.store.given import BOOT
from tests.web.table import site_of

SILENT = "silent node n"


def story(folder: Path, work: Callable[[Watch, Nodes, Callable[[], list[str]]], Awaitable[None]]) -> None:
    """Begin with a hub that has run for a quarter of an hour, and a node that has reported before that."""

    async def main() -> None:
        with Store(folder, boot=BOOT) as store:
            site = msgspec.structs.replace(site_of(folder, store, Config()), started=clock.now() - 901_000)
            known = Nodes(store)
            await known.put("n", "key")
            await store.write(lambda connection: nodes.keep(connection, "n", Report(at=1)))
            alerts = site.node.decisions.alerts
            await work(Watch(site), known, lambda: [one.subject for one in alerts.standing])

    asyncio.run(main())


def test_it_is_told_and_over_when_it_reports(tmp_path: Path) -> None:
    async def work(watch: Watch, known: Nodes, standing: Callable[[], list[str]]) -> None:
        await watch.look()
        await watch.look()
        assert standing() == [SILENT]
        watch.heard("n", Report(at=2), clock.moment())
        assert standing() == []
        await watch.look()
        assert standing() == []

    story(tmp_path, work)


def test_one_that_is_removed_is_not_missed(tmp_path: Path) -> None:
    async def work(watch: Watch, known: Nodes, standing: Callable[[], list[str]]) -> None:
        await watch.look()
        await known.remove("n")
        await watch.look()
        assert standing() == []

    story(tmp_path, work)


def test_one_that_never_reported_or_reports_seldom_is_not_missed_yet(tmp_path: Path) -> None:
    async def work(watch: Watch, known: Nodes, standing: Callable[[], list[str]]) -> None:
        await known.put("n", "key")
        await known.put("new", "key")
        await watch.look()
        assert standing() == []
        watch.heard("n", Report(at=2, every=3_600_000), clock.moment())
        await watch.look()
        assert standing() == []

    story(tmp_path, work)


def test_a_restart_of_the_hub_is_no_word_of_the_node(tmp_path: Path) -> None:
    async def work(watch: Watch, known: Nodes, standing: Callable[[], list[str]]) -> None:
        await watch.look()
        again = Watch(msgspec.structs.replace(watch.site, started=clock.now()))
        await again.look()
        assert standing() == [SILENT]
        again.heard("n", Report(at=2), clock.moment())
        assert standing() == []

    story(tmp_path, work)


def test_where_most_are_silent_people_are_told_once(tmp_path: Path) -> None:
    async def work(watch: Watch, known: Nodes, standing: Callable[[], list[str]]) -> None:
        await watch.look()
        for number in range(TOGETHER):
            name = f"m{number}"
            await known.put(name, "key")
            await watch.site.store.write(lambda connection, name=name: nodes.keep(connection, name, Report(at=1)))  # type: ignore[misc]
        await watch.look()
        assert standing() == [SILENT, "silent nodes"]
        for name in ("n", "m0"):
            watch.heard(name, Report(at=2), clock.moment())
        await watch.look()
        assert standing() == [f"silent node m{number}" for number in range(1, TOGETHER)]

    story(tmp_path, work)


def test_a_cloned_one_is_told_of_though_it_is_heard(tmp_path: Path) -> None:
    async def work(watch: Watch, known: Nodes, standing: Callable[[], list[str]]) -> None:
        watch.heard("n", Report(Standing(cloned=1), at=2), clock.moment())
        assert standing() == ["cloned node n"]

    story(tmp_path, work)
