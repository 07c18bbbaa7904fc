"""Builds a node from its configuration, starts every task, stops them in reverse order.

The law of this file: outputs are driven before the web is even imported, and made safe before
anything else is stopped.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import socket
import sys
from asyncio import FIRST_COMPLETED
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager, closing, nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import uvloop

from outstation import clock, plugins
from outstation.assembly import Hardware
from outstation.config import Config
from outstation.core.readings import Level, Switched
from outstation.engine import backups, damage, retaining, silence
from outstation.engine.housekeeping import Chore, keep_house
from outstation.engine.local_time import LocalTime
from outstation.engine.reaches import Reaches
from outstation.engine.runner import Runner, boot_now
from outstation.engine.silence import Silence
from outstation.engine.site import Site
from outstation.errors import DeviceError, OutstationError, StoreError
from outstation.greeting import first_key, greet
from outstation.owner import Owner
from outstation.parts import Parts, build, site_of
from outstation.protocols.outstation.watch import LOOK_EVERY_S, Watch
from outstation.store import renaming
from outstation.store.database import Store
from outstation.supervised import Supervision
from outstation.web.listen import is_at, open_boards, open_control, open_port, others_urls, urls
from outstation.web.peers import public_address

if TYPE_CHECKING:
    from outstation.web.application import Application
    from outstation.web.server import Server

log = logging.getLogger("outstation")

_SWITCH_INTERVAL = 0.0005
"""Seconds: with one busy thread the loop woke up after 5 ms at Python's default, and after 0.6 ms so."""

_GARBAGE = 5_000, 7, 2
"""For gc.set_threshold: all is looked through as often as at Python's default, the young not after every 700.

Of each request under way there are a dozen objects: looking through them again and again took 5 % of the time.
"""

_DRAIN = 1.0
"""Seconds that open requests have to end when the node stops."""

_LEVELS_EVERY = 12 * 3_600.0
"""Seconds: no summary counts a level for longer than a day after it was stored."""

_SWEEP_EVERY, _SWEEP_FIRST = 86_400.0, 120.0
"""Seconds: there is something left only where a deletion was cut short."""

_SEAL_EVERY = 60.0

_PACK_EVERY, _PACK_FIRST = 3_600.0, 900.0
"""Seconds: a day is packed when it is over for a day."""

_HEARD_EVERY = 600.0
"""Seconds: one small commit says when all boards were heard; a power cut makes that ten minutes older."""

_FIRST_BACKUP = 30.0
"""Seconds: until then the clock has been set, on most boots."""


def run(
    config: Config,
    *,
    config_file: Path | None,
    data: Path,
    host: str | None = None,
    port: int | None = None,
    bound: socket.socket | None = None,
    remark: str = "",
    supervision: Supervision | None = None,
) -> int:
    """Run a node until it is told to stop; return the exit status. Raises OutstationError when it cannot start.

    bound: the socket to listen on, when that is open. remark: for the page and the terminal of a demonstration, such
    as the speed of its recording; then a key is made and shown whoever reads it.
    supervision: whose server this is; it has the lock and the port then.
    """
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)  # of its start and its end this file tells
    sys.setswitchinterval(_SWITCH_INTERVAL)
    data.mkdir(parents=True, exist_ok=True)
    with nullcontext() if supervision else Owner(data):
        web = config.web
        if supervision:
            bound = supervision.port
        elif bound is None:
            bound = open_port(web.host if host is None else host, web.port if port is None else port)
        boards = _boards_port(config, supervision)
        with closing(bound), closing(open_control(data)) as control, closing(boards) if boards else nullcontext():
            base = config_file.parent if config_file else Path()
            place = plugins.Place(data.resolve(), base.resolve(), supervision.line if supervision else None)
            return uvloop.run(_main(config, place, Sockets(bound, control, boards), remark, supervision))


class Sockets(NamedTuple):
    """What a node is heard on. boards: for their dialects alone, where the config has such a port."""

    port: socket.socket
    control: socket.socket
    boards: socket.socket | None


def _boards_port(config: Config, supervision: Supervision | None) -> socket.socket | None:
    """Return the socket for boards alone. A server in the place of one that died goes on without it, if it must."""
    if supervision is None:
        return open_boards(config.web.dialect_listen)
    wanted = config.web.dialect_listen
    if supervision.boards and (wanted is None or supervision.boards.getsockname()[1] != wanted[1]):
        supervision.boards.close()  # of an older config
        supervision.boards = None
    if supervision.boards and wanted and not is_at(supervision.boards, wanted[0]):
        where = supervision.boards.getsockname()[0]  # the supervisor has it too: at that port there can be no other one
        log.warning("Boards are still heard at %s: [web] dialect_listen counts from the next `outstation run`", where)
    if supervision.boards is None:
        try:
            supervision.boards = open_boards(config.web.dialect_listen)
        except OutstationError as error:
            log.error("Boards are heard at the other port alone. %s", error)  # noqa: TRY400 - the error says it all
    return supervision.boards


async def _main(
    config: Config,
    place: plugins.Place,
    sockets: Sockets,
    remark: str,
    supervision: Supervision | None,
) -> int:
    stopping = asyncio.Event()
    if supervision:
        supervision.when_lost(partial(_stop_alone, stopping))
    # A terminal that is closed hangs up: without this the process would be gone, and its outputs stay on.
    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        if signum == signal.SIGHUP and signal.getsignal(signum) is signal.SIG_IGN:
            continue  # nohup(1): it is meant to outlive its terminal
        asyncio.get_running_loop().add_signal_handler(signum, stopping.set)
    reaches, local = Reaches(), LocalTime(config.node.clock, config.node.timezone)
    with Store(
        place.data,
        boot=boot_now(config.node.clock),
        lose_at_most=config.store.lose_at_most,
        offset=local.offset,
        reach=reaches,
    ) as store:
        parts = build(config, place, store, local, supervision)
        reaches.node = parts.runner.node
        try:
            await _start(parts)
            await _live(parts, sockets, stopping, place.data, remark)
        finally:
            await _stop(parts)
    log.info("stopped")
    return 0


async def _live(parts: Parts, sockets: Sockets, stopping: asyncio.Event, data: Path, remark: str) -> None:
    """Serve until told to stop. Outputs are safe before the streams are closed."""
    scheme = "https" if parts.config.web.tls_cert else "http"
    site, node = site_of(parts, remark, others_urls(sockets.port, scheme)), parts.runner.node
    watch = Watch(site)
    chores = [
        *_chores(parts),
        Chore("nodes", watch.look, every=LOOK_EVERY_S, first=LOOK_EVERY_S),
        Chore("silent boards", Silence(site).look, every=silence.LOOK_EVERY_S, first=silence.LOOK_EVERY_S),
    ]
    async with _served(site, watch, sockets) as serving, _background(keep_house(chores)):
        key = await first_key(site.keys, always=bool(remark))
        here = urls(sockets.port, scheme)
        greet(here, key, next(iter(node.actuators), None), data, _notes(site, remark, sockets.boards))
        gc.set_threshold(*_GARBAGE)
        gc.freeze()  # what was built stays: looking through it for garbage held the loop up for 50 ms, each time
        await asyncio.wait({serving, asyncio.create_task(stopping.wait())}, return_when=FIRST_COMPLETED)
        log.info("stopping: outputs go to their safe state")
        await _make_safe(parts.runner, parts.hardware)


async def _stop(parts: Parts) -> None:
    await _make_safe(parts.runner, parts.hardware)
    if parts.notifier:
        await parts.notifier.close()
    if parts.forwarder:
        await parts.forwarder.close()
    await parts.clerks.close()
    with suppress(StoreError):  # then it is known as of ten minutes ago
        await parts.boards.keep()
    await parts.hardware.stop()


def _stop_alone(stopping: asyncio.Event, how: str) -> None:
    log.error("the supervising process %s: nobody would make the outputs safe after a crash", how)
    stopping.set()


async def _start(parts: Parts) -> None:
    """Drive every output to where it belongs, then begin to ask the sensors."""
    runner, hardware = parts.runner, parts.hardware
    levels = {name: state.wanted for name, state in runner.node.actuators.items()}
    async with _background(_beat(runner)):  # a driver that hangs keeps nobody else from going on
        failed = await hardware.outputs.open_all(levels)
    _report_outputs(runner, levels, failed)
    runner.start()
    hardware.start_sensors(runner.report)
    if parts.notifier:
        parts.notifier.start()
    if parts.forwarder:
        parts.forwarder.start()


async def _beat(runner: Runner) -> None:
    """Say that this process is alive, until the runner does: it begins when the outputs are open."""
    while True:
        runner.heartbeat()
        await asyncio.sleep(1)


def _chores(parts: Parts) -> list[Chore]:
    """Return what is done for the data file now and then."""
    return [
        Chore("levels of outputs", parts.runner.say_levels, every=_LEVELS_EVERY, first=_LEVELS_EVERY),
        Chore("sealing", parts.runner.store.seal, every=_SEAL_EVERY, first=_SEAL_EVERY),
        Chore("packing", parts.runner.store.pack, every=_PACK_EVERY, first=_PACK_FIRST),
        Chore("figures", parts.retaining.look, every=retaining.LOOK_EVERY_S, second=retaining.LOOK_AGAIN_S),
        Chore("room", parts.retaining.make_room, every=retaining.ROOM_EVERY_S),
        Chore("old readings", parts.retaining.forget_old, every=retaining.AGE_EVERY_S, first=retaining.AGE_FIRST_S),
        Chore("deleted sensors", partial(renaming.sweep, parts.runner.store), every=_SWEEP_EVERY, first=_SWEEP_FIRST),
        Chore("backup", parts.backups.look, every=backups.LOOK_EVERY_S, first=_FIRST_BACKUP),
        Chore("boards", parts.boards.keep, every=_HEARD_EVERY, first=_HEARD_EVERY),
        Chore("damage", partial(damage.watch, parts.runner, parts.backups), every=damage.LOOK_EVERY_S),
    ]


async def _make_safe(runner: Runner, hardware: Hardware) -> None:
    """Decide nothing more, drive every output to its safe state, and say so in the history. May be called twice."""
    if hardware.outputs.stopping:
        return
    runner.close()
    levels: dict[str, Level] = {name: state.spec.safe for name, state in runner.node.actuators.items()}
    failed = await hardware.outputs.make_safe(levels)
    _report_outputs(runner, levels, failed)


def _report_outputs(runner: Runner, levels: Mapping[str, Level], failed: Mapping[str, DeviceError]) -> None:
    moment = clock.moment()
    errors = {name: str(error) for name, error in failed.items()}
    runner.report_all(
        [
            Switched(name, None if name in errors else level, moment.at, moment.now, errors.get(name, ""))
            for name, level in levels.items()
        ]
    )


@asynccontextmanager
async def _background(work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


@asynccontextmanager
async def _served(site: Site, watch: Watch, sockets: Sockets) -> AsyncIterator[asyncio.Task[None]]:
    """Answer on the sockets; at the end streams are closed first, then what is being answered, then the rest."""
    # In a thread: rules and outputs run before it is imported, and go on while it is.
    application, server = await asyncio.to_thread(_web, site, watch)
    serving = asyncio.create_task(server.run_on(*sockets))
    try:
        yield serving
    finally:
        application.stream.close()
        server.should_exit = True
        await serving


def _web(site: Site, watch: Watch) -> tuple[Application, Server]:
    from outstation.protocols import dialects  # noqa: PLC0415
    from outstation.protocols.outstation import routes as hub  # noqa: PLC0415
    from outstation.web.application import Application  # noqa: PLC0415
    from outstation.web.server import Server  # noqa: PLC0415
    from outstation.web.tls import Certificate, tls_files  # noqa: PLC0415

    application = Application(site, [*hub.routes(site, watch), *dialects.routes(site)])
    certificate = Certificate(files) if (files := tls_files(site.config)) else None
    return application, Server(application, drain=_DRAIN, certificate=certificate)


def _notes(site: Site, remark: str, boards: socket.socket | None) -> list[str]:
    simulated = ", ".join(sorted(site.simulated()))
    notes = [remark] if remark else []
    notes += [f"For boards alone: {urls(boards)[0]}"] if boards else []
    if "reads" not in site.config.web.model_fields_set and (address := public_address()):
        notes.append(f"{address} is public: from elsewhere reading needs a key, unless the config has [web] reads.")
    return [*notes, f"Simulated here: {simulated}."] if simulated else notes
