"""`demo`: a greenhouse that needs no hardware, and the hub that it reports to."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from outstation.cli.nodes import make_folder, serve
from outstation.cli.root import port_option, root
from outstation.errors import OutstationError

if TYPE_CHECKING:
    import socket

    from outstation.config import Config
    from outstation.supervised import Supervision

_URL = "OUTSTATION_DEMO_HUB"
"""In the environment for the next server, after a crash: where the hub is. The key stands beside it."""

_PORTS = 10

_OF_HUB = (
    "A hub: it measures nothing itself. The greenhouse reports to it: live values, alerts at once, and summaries every"
    " five minutes."
)


@root.command()
@port_option
@click.option(
    "--speed",
    type=click.FloatRange(min=0, max=100_000, min_open=True),
    help="How many times faster than recorded the air moves.  [default: 240]",
)
def demo(port: int | None, speed: float | None) -> None:
    """Run a greenhouse that needs no hardware, and a hub that it reports to.

    The greenhouse's air follows a recording of a real room, its vent, heater and door are simulated, and this
    computer's own sensors are real. The hub is a second node, on the next free port. The data of both are in a
    temporary folder, which is removed at the end.

    \b
    Examples:
      outstation demo
      outstation demo --port 8080 --speed 60
    """
    from outstation import defaults
    from outstation.launch import join

    speed = speed or defaults.DEMO_SPEED
    config = defaults.greenhouse(speed=speed, hub=os.environ.get(_URL, ""))
    supervision = join(config)
    if supervision is None:
        supervision, config = _begin(port, speed)
    remark = (
        f"The air is a recording of a real room, played {speed:g} times as fast as it was. A hub shows it as well:"
        f" {os.environ[_URL]}/"
    )
    click.get_current_context().exit(serve(supervision, config, None, remark))


def _begin(port: int | None, speed: float) -> tuple[Supervision, Config]:
    """Start the hub, become the supervisor, and return in its child."""
    folder = Path(tempfile.mkdtemp(prefix="outstation-demo-"))
    try:
        with closing(_next_port(port)) as bound:
            url = f"http://localhost:{bound.getsockname()[1]}"
            hub = _begin_hub(folder / "hub", bound, url)
        return _begin_greenhouse(folder, port, speed, hub, url)
    except OutstationError:
        shutil.rmtree(folder)
        raise


def _begin_hub(data: Path, bound: socket.socket, url: str) -> int:
    from outstation import companion, defaults
    from outstation.cli import offline

    make_folder(data)
    os.environ[_URL], os.environ[defaults.HUB_KEY] = url, offline.add_node(data, "greenhouse")["key"]
    return companion.start(defaults.hub(), data=data, bound=bound, remark=_OF_HUB)


def _begin_greenhouse(folder: Path, port: int | None, speed: float, hub: int, url: str) -> tuple[Supervision, Config]:
    from outstation import defaults
    from outstation.greeting import program, say
    from outstation.launch import supervise

    config = defaults.greenhouse(speed=speed, hub=url)
    try:
        supervision = supervise(config, data=folder, host=None, port=port, temporary=True, beside=os.pidfd_open(hub))
    except OutstationError:
        with suppress(ProcessLookupError):
            os.kill(hub, signal.SIGTERM)
        os.waitpid(hub, 0)
        raise
    say(f"The greenhouse reports to a hub beside it: {url}/")
    say("  There the sensors are greenhouse/air_temperature and so on, live. Alerts come at once (the first in half a")
    say("  minute), and summaries, of which the history there is made, every five minutes.")
    say(f"The data are in {folder} while it runs. To move its door:")
    say(f"  {program()} simulate door off --data {folder}")
    return supervision, config


def _next_port(port: int | None) -> socket.socket:
    """Return the hub's socket: on the next free port after the greenhouse's, or on any."""
    from outstation.web.listen import open_port

    first = 5000 if port is None else port
    for number in range(first + 1, min(first + 1 + _PORTS, 65_536)) if first else ():
        with suppress(OutstationError):
            return open_port("", number)
    return open_port("", 0)
