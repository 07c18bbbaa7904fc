"""Tells people of what is wrong with the node's own data: a file that was damaged, backups that are not made.

The law of this file: it looks at what is, not at what happened. So a restart forgets nothing, and an alert is over
when a person has seen to it.
"""

from __future__ import annotations

import asyncio

from outstation import clock
from outstation.core.readings import Trouble
from outstation.engine.backups import Backups
from outstation.engine.runner import Runner
from outstation.store import file

LOOK_EVERY_S = 2.0


async def watch(runner: Runner, backups: Backups) -> None:
    """Raise the alerts that are due, and clear those that are over. Called again and again. Raises OSError."""
    aside = await asyncio.to_thread(file.damaged, runner.store.path)
    moment = clock.moment()
    runner.report(Trouble("data file", "critical", _words(aside, runner.store.lost), *moment))
    runner.report(Trouble("backup", "warning", backups.trouble, *moment))


def _words(aside: list[str], lost: str) -> str:
    if not aside:
        return f"{lost} Put back a backup (outstation restore FILE), and look at the card." if lost else ""
    return (
        f"The data file was damaged: {aside[-1]} is what is left of it, and a fresh one was begun. Put back a backup"
        " (outstation restore FILE), and look at the card. This alert is over when the damaged file is elsewhere."
    )
