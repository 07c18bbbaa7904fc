"""Every route that there is: those of a node with a sensor, an output and a board."""

from __future__ import annotations

import tempfile
from pathlib import Path

from outstation import clock
from outstation.assembly import assemble
from outstation.config import Config, load
from outstation.engine.boards import Boards
from outstation.engine.feed import Feed
from outstation.engine.retaining import Retaining
from outstation.engine.runner import Runner
from outstation.engine.site import Site
from outstation.plugins import Place
from outstation.protocols import dialects
from outstation.protocols.outstation import routes as hub
from outstation.protocols.outstation.watch import Watch
from outstation.routes import Route
from outstation.store.database import Boot, Store
from outstation.store.history import History
from outstation.store.keys import Keys
from outstation.store.sessions import Sessions
from outstation.web.application import Application

WRITE_KEY = "MZ7T4KQ9WPX2B6RD"

CONFIG = f"""
[node]
name = "everything"
clock = "trust"

[[sensors]]
name = "door"
driver = "gpio"
pin = 27
simulate = true

[[actuators]]
name = "vent"
driver = "gpio"
pin = 17
simulate = true

[[devices]]
name = "porch"
channel = 1
write_key = "{WRITE_KEY}"
public = true
fields = ["temperature"]

[[settings]]
name = "warm_at"
value = 0

[[rules]]
name = "warm porch"
when = "porch/temperature > warm_at - 100"
alert = {{ severity = "info", message = "It is warm" }}

[[webhooks]]
name = "nobody"
url = "http://127.0.0.1:9/"

[[uplinks]]
name = "nobody"
kind = "json"
url = "http://127.0.0.1:9/"
"""

_NAMES = {
    "/api/sensors/{name}": "/api/sensors/door",
    "/api/sensors/{device}/{name}": "/api/sensors/porch/temperature",
    "/api/actuators/{name}": "/api/actuators/vent",
    "/api/rules/{name}/explain": "/api/rules/warm%20porch/explain",
    "/api/settings/{name}": "/api/settings/warm_at",
    "/api/alerts/{id}/acknowledge": "/api/alerts/1/acknowledge",
    "/api/keys/{id}": "/api/keys/nobodys",
    "/api/nodes/{name}": "/api/nodes/nobody",
    "/api/nodes/{name}/renew": "/api/nodes/nobody/renew",
    "/api/devices/{name}": "/api/devices/nobodys",
    "/api/devices/{name}/entries": "/api/devices/nobodys/entries",
    "/api/uplinks/{name}/resend": "/api/uplinks/nobody/resend",
    "/update/{API_key}/{mac}/{field}/{data}": "/update/API_key=NOBODYS/mac=00:00:00:00:00:00/field=1/data=1",
    "/docs/{file}": "/docs/start.js",
    "/ui/{edition}/{file}": "/ui/now/page.css",
    "/channels/{channel}": "/channels/1.json",
    "/channels/{channel}/{noun}": "/channels/1/feeds.json",
    "/channels/{channel}/{noun}/{part}": "/channels/1/feeds/last.json",
    "/channels/{channel}/{noun}/{part}/{entry}": "/channels/1/fields/1/last.txt",
    "/stream/channels/{channel}/feeds": "/stream/channels/1/feeds",
    "/stream/channels/{channel}/feeds.csv": "/stream/channels/1/feeds.csv",
}


def site_of(folder: Path, store: Store, config: Config) -> Site:
    """Return a node whose hardware is not started, as the web sees it."""
    node, hardware = assemble(config, Place(folder, folder))
    feed = Feed()
    return Site(
        config=config,
        name="everything",
        node=node,
        runner=Runner(node, store, hardware.outputs, feed),
        store=store,
        history=History(store),
        keys=(keys := Keys(store)),
        sessions=Sessions(store, keys),
        feed=feed,
        started=clock.now(),
        simulated=hardware.simulated,
        troubles=list,
        simulate=hardware.simulate,
        retaining=Retaining(store, config),
        boards=Boards(config.devices, store),
        flat=config.flat_keys,
    )


def application(folder: Path, store: Store, config: Config) -> Application:
    """Return the application of such a node."""
    site = site_of(folder, store, config)
    return Application(site, [*hub.routes(site, Watch(site)), *dialects.routes(site)])


def _every_route() -> tuple[Route, ...]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = folder / "outstation.toml"
        file.write_text(CONFIG)
        moment = clock.moment()
        with Store(folder, boot=Boot(clock.boot_id(), moment.at - moment.now, clock.Trust.UNSET)) as store:
            return application(folder, store, load(file)).table.routes


ROUTES = _every_route()


def path(route: Route) -> str:
    """Return a path that leads to a route."""
    return _NAMES.get(route.path, route.path)


def title(route: Route) -> str:
    """Return what a route is called in a list of tests."""
    return f"{route.method} {route.path}"
