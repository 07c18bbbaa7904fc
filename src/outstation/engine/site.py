"""What the handlers need of the node that they speak for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import msgspec

from outstation.config import Config
from outstation.core.node import Node
from outstation.core.readings import Value
from outstation.engine.boards import Boards
from outstation.engine.feed import Feed
from outstation.engine.runner import Runner
from outstation.store.database import Store
from outstation.store.history import History
from outstation.store.keys import Keys
from outstation.store.sessions import Sessions

if TYPE_CHECKING:
    from outstation.engine.backups import Backups
    from outstation.engine.clerk import Clerks
    from outstation.engine.forwarder import Forwarder
    from outstation.engine.notifier import Notifier
    from outstation.engine.retaining import Retaining


class Site(msgspec.Struct, frozen=True):
    """The node behind the pages.

    simulated: names of the sensors and outputs whose hardware is simulated; looked up anew, since
    a driver knows only after it was opened. flat: the plain keys that the default device adds to
    its status, by sensor or output. simulate: moves a simulated input. notifier: None: nobody is
    told of alerts. forwarder: None: nothing is sent elsewhere. clerks: None: every page is made in this process.
    urls: by which other machines reach it.
    """

    config: Config
    name: str
    node: Node
    runner: Runner
    store: Store
    history: History
    keys: Keys
    sessions: Sessions
    feed: Feed
    started: int
    simulated: Callable[[], frozenset[str]]
    troubles: Callable[[], list[str]]
    simulate: Callable[[str, Value, int | None], None]
    retaining: Retaining
    boards: Boards
    flat: Mapping[str, str] = {}
    notifier: Notifier | None = None
    forwarder: Forwarder | None = None
    clerks: Clerks | None = None
    backups: Backups | None = None
    remark: str = ""
    urls: tuple[str, ...] = ()
