"""How the node itself does: its clock, its storage, what it sends elsewhere, who reports here, and what happened."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import msgspec

from outstation import __version__, clock
from outstation.core.readings import Millis, Note
from outstation.core.reporting import silent_after
from outstation.core.standing import duration_words
from outstation.engine.site import Site
from outstation.errors import OutstationError
from outstation.store.journal import Journal
from outstation.store.nodes import Known, Nodes
from outstation.web.api.devices import is_silent
from outstation.web.dashboard import wording
from outstation.web.dashboard.view import View, text, time_element

if TYPE_CHECKING:
    from outstation.engine.forwarding import Report  # a node that sends nothing does not load it

AGAIN: Millis = 5_000
"""Between two looks into the data file, however many pages are open."""

NOTES_SHOWN, BOARDS_SHOWN = 20, 50

_CLOCK = {
    clock.Trust.SYNCHRONISED: "right: the system says that it is synchronised",
    clock.Trust.RESTORED: "not known to be right: it was restored from before the restart",
    clock.Trust.UNSET: "not known to be right: nothing has set it since the start",
}


class Looked(msgspec.Struct, frozen=True):
    """What was found in the data file."""

    uplinks: dict[str, Report] = {}
    nodes: Sequence[Known] = ()
    notes: Sequence[Note] = ()


class Health:
    """The section about the node itself."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._looked, self._until = Looked(), 0

    async def look(self) -> None:
        """Look into the data file, unless somebody has a moment ago; what cannot be read is left as it was."""
        if clock.now() < self._until:
            return
        self._until = clock.now() + AGAIN
        with contextlib.suppress(OutstationError):
            site = self._site
            uplinks = await site.forwarder.reports() if site.forwarder else {}
            nodes = await asyncio.to_thread(Nodes(site.store).all)
            notes = await asyncio.to_thread(Journal(site.store).newest, NOTES_SHOWN)
            self._looked = Looked(uplinks, nodes, notes)

    def section(self, view: View) -> Iterator[str]:
        """Return the whole section."""
        yield "<section id=health>\n<h2>Health</h2>\n<div class=panels>\n"
        yield from _panel("This node", self._of_node(view))
        yield from _panel("Storage", [f"<p>{text(said)}</p>" for said in self._kept()])
        yield from _panel("Sent elsewhere", [_uplink(name, one, view) for name, one in self._looked.uplinks.items()])
        yield from _panel("Nodes that report here", [_node(known, view) for known in self._looked.nodes])
        yield from _panel("Boards", self._boards(view))
        yield from _panel("What happened", [_notes(self._looked.notes, view)] if self._looked.notes else [], "wide")
        yield "</div>\n</section>\n"

    def _of_node(self, view: View) -> Iterator[str]:
        running = view.moment.now - self._site.started
        trust = clock.trust(self._site.config.node.clock)
        yield f"<p>Its clock is {_CLOCK[trust]}.</p>\n"
        yield f"<p>Runs for {duration_words(running)}, since {time_element(view.moment.at - running, view)}.</p>\n"
        yield f"<p>Outstation {__version__}</p>\n"

    def _kept(self) -> list[str]:
        """Return how much is kept, how fast it grows, when it is full, and what was written for it."""
        said: list[str] = self._site.retaining.document()["in_words"]
        return said

    def _boards(self, view: View) -> Iterator[str]:
        boards = self._site.boards
        for board in sorted(boards, key=lambda board: board.name)[:BOARDS_SHOWN]:
            kept, silent = boards.seen(board).kept, is_silent(board, boards, view.moment)
            yield _row(board.name, f"heard {_when(kept.at, view)}" if kept else "never heard yet", bad=bool(silent))
        if len(boards) > BOARDS_SHOWN:
            yield f"<p>and {len(boards) - BOARDS_SHOWN} more: <code>outstation devices list</code></p>\n"


def _panel(title: str, rows: Iterable[str], kind: str = "") -> Iterator[str]:
    shown = list(rows)
    if shown:
        yield f'<section class="panel {kind}">\n<h3>{title}</h3>\n'
        yield from shown
        yield "</section>\n"


def _uplink(name: str, report: Report, view: View) -> str:
    traffic = report.traffic
    said = [f"answered {_when(report.last_ok, view)}" if report.last_ok else "has not answered yet"]
    counts = ((report.waiting, "summaries waiting"), (report.alerts, "alerts waiting"))
    said += _counted(*counts) or ["nothing waits"]
    said += _counted((report.parked, "refused"), (report.lost, "lost"))
    more = [text(report.last_error.partition("\n")[0])] if report.last_error else []
    if traffic.naive:
        cost = traffic.sent + traffic.received
        saved = f"{max(0.0, 1 - cost / traffic.naive):.1%} saved"
        more.append(f"{wording.size(cost)} in place of {wording.size(traffic.naive)} one by one: {saved}")
    return _row(name, " · ".join(said), *more, bad=bool(report.last_error or report.parked))


def _node(known: Known, view: View) -> str:
    report = known.report
    if report.at is None:
        return _row(known.name, "has not reported yet")
    is_bad = view.moment.at - report.at > silent_after(report.every)
    said = [f"{'silent, ' if is_bad else ''}heard {_when(report.at, view)}"]
    said += _counted((report.waiting, "waiting there"), (report.parked, "refused"), (report.lost, "lost"))
    return _row(known.name, " · ".join(said), bad=is_bad)


def _counted(*counts: tuple[int, str]) -> list[str]:
    return [f"{count:,} {word}" for count, word in counts if count]


def _row(name: str, said: str, *more: str, bad: bool = False) -> str:
    """Return one of several; what is said is escaped already."""
    kind = ' class="row warned"' if bad else " class=row"
    lines = "".join(f"<p>{line}</p>" for line in (said, *more))
    return f"<div{kind}><b>{text(name)}</b>{lines}</div>\n"


def _notes(notes: Sequence[Note], view: View) -> str:
    lines = (
        f"<li>{time_element(note.at, view)} <b>{text(note.subject)}</b>"
        f" <span>{text(note.kind)}: {text(note.text)}</span></li>\n"
        for note in reversed(notes)
    )
    return f"<ol class=log>\n{''.join(lines)}</ol>\n"


def _when(at: Millis, view: View) -> str:
    return wording.age(max(0, view.moment.at - at))
