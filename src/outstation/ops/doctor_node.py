"""What is wrong with a node, its data, and its ways out: one finding a question, whether it runs or not.

The law of this file: it changes nothing. A node that runs is asked; of one that does not, the file is read.
"""

from __future__ import annotations

import datetime
import http
import http.client
import ipaddress
import json
import os
import socket
import ssl
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

from outstation import plugins
from outstation.config import Config, UplinkTable, WebTable, load
from outstation.errors import ConfigError, OutstationError, StoreError
from outstation.ops.doctor import Finding, State
from outstation.ops.doctor_way import way
from outstation.owner import holder_of_port, ports_of_owner
from outstation.store import file, sound
from outstation.wire.terms import CLOSED

_LOOKED_FOR_S = 10.0
_ANSWERS_WITHIN_S = 10.0
_WAITED_FOR_S = 12.0
_LOOK = "Look at the network and the address."

_RENEW_DAYS = 14
"""certbot renews at 30 days before the end (its documentation, Renewing certificates): it has failed for two weeks."""

_READ = 256 * 1024
"""Bytes of /api/health at most: it names each problem."""

_WIDEST = {4: 16, 6: 48}
"""Bits of a network of proxies: a wider one is not a few machines of one's own."""

Ask = Callable[..., Any]
"""Returns what the running node answers to a GET, or another method that is named. Raises OutstationError."""

Place = tuple[str, int]
"""A host and a port where people come by TLS."""


def node(
    data: Path, config: Config | None, base: Path, ask: Ask | None, beyond: Collection[Place] = ()
) -> Iterator[Finding]:
    """Look at what a node needs.

    config: None: it cannot be read. base: the folder of its file. ask: None: no node runs on the data. beyond: where
    people come to a proxy, besides [web] hosts.
    """
    yield from _file(data, ask)
    if config is None:
        return
    told = _told(ask)
    yield from all_at_once({"port": partial(_port, data, config, ask, told)}, _WAITED_FOR_S)
    ways: dict[str, Callable[[], Finding]] = {
        f"uplink {table.name}": partial(_uplink, table, base, (told or {}).get(table.name, {}))
        for table in config.uplinks
    }
    ways |= _through_proxies(config, ask, beyond)
    if config.web.tls_cert:
        yield _certificate(config.web.tls_cert, config.web.tls_key or "")
    found = all_at_once(ways, _WAITED_FOR_S)
    yield _proxy(config)
    yield from found


def _through_proxies(config: Config, ask: Ask | None, beyond: Collection[Place]) -> dict[str, Callable[[], Finding]]:
    """Return how to look at the proxies: by each name that people use."""
    names = config.web.hosts if config.web.trusted_proxies else ()
    places = dict.fromkeys([*beyond, *((host, 443) for host in names if host != "*")])
    ways: dict[str, Callable[[], Finding]] = {}
    ways |= {f"https://{host}": partial(through, host, port) for host, port in places}
    try:
        ticket = ask("/api/way", "POST")["ticket"] if ask and places else ""
    except OutstationError:  # the line of the node says why
        ticket = ""
    if ticket:
        ways |= {f"proxy at https://{host}": partial(way, host, port, ticket) for host, port in places}
    return ways


def all_at_once(ways: Mapping[str, Callable[[], Finding]], within: float) -> Iterator[Finding]:
    """Ask far ends, by topic: nobody waits for one that says a letter now and then, nor for ten that say nothing."""
    found: dict[str, Finding] = {}

    def ask(topic: str, way: Callable[[], Finding]) -> None:
        try:
            found[topic] = way()
        except OutstationError as error:
            found[topic] = Finding(topic, error.message, "mend", error.cure)

    asking = {topic: Thread(target=ask, args=(topic, way), daemon=True) for topic, way in ways.items()}
    for thread in asking.values():
        thread.start()
    until = time.monotonic() + within
    for topic, thread in asking.items():
        thread.join(max(0.0, until - time.monotonic()))
        late = Finding(topic, f"It does not answer within {within:g} s.", "mend", _LOOK)
        yield found.get(topic, late)


def running(data: Path, ask: Ask | None) -> Finding:
    """Tell how the node does. ask: None: no node runs on the data."""
    if ask is None:
        folder = data.absolute()
        return Finding("node", f"No node runs on {folder}.", "note", f"Start it: outstation run --data {data}")
    try:
        health = ask("/api/health")
    except OutstationError as error:  # 503: it is unhealthy; or it may not be asked, or hangs
        return Finding("node", error.message, "mend", error.cure or "Its log says why: outstation service logs")
    problems = health.get("problems") or []
    if problems:
        more = f" And {len(problems) - 1} more." if len(problems) > 1 else ""
        return Finding(
            "node", f"It is {health['status']}: {problems[0]}{more}", "mend", "All of them: outstation status"
        )
    return Finding("node", f"It runs, for {datetime.timedelta(seconds=health['uptime_seconds'])} by now, and is well")


def _file(data: Path, ask: Ask | None) -> Iterator[Finding]:
    """Look through the data file, and for keys."""
    path = data / file.NAME
    if closed := next((each for each in (data, path) if _is_closed(each)), None):
        yield Finding("data file", f"{closed} may not be read by this user.", "mend", "Try the same with sudo.")
        return
    if not path.exists() and not os.access(data, os.W_OK) and data.exists():
        yield Finding("data file", f"{data} may not be written to by this user.", "mend", "Give it to the node's user.")
        return
    if not path.exists():
        state: Any = "note" if ask is None else "mend"
        yield Finding("data file", f"There is none in {data.absolute()}.", state, "`outstation run` makes one.")
        return
    try:
        seen = sound.look(path, _LOOKED_FOR_S)
    except StoreError as error:
        yield Finding("data file", error.message, "mend", error.cure)
        return
    yield _integrity(path, seen)
    if not seen.damage:
        yield _keys(data, _number(ask, seen.keys))


def _is_closed(path: Path) -> bool:
    """Tell whether this user may not look, or not even see whether it is there."""
    try:
        path.stat()
    except OSError as error:
        return isinstance(error, PermissionError)
    return not os.access(path, os.R_OK | (os.X_OK if path.is_dir() else 0))


def _number(ask: Ask | None, stored: int) -> int:
    try:
        return len(ask("/api/keys")["keys"]) if ask else stored
    except OutstationError:
        return stored


def _keys(data: Path, number: int) -> Finding:
    if number or os.environ.get("OUTSTATION_API_KEY"):
        return Finding("keys", f"{number} in the data file{'' if number else ', and OUTSTATION_API_KEY'}")
    cure = f"Make one: outstation keys create NAME --scope control --data {data}"
    return Finding("keys", "There is none: nobody can move an output or send a reading.", "mend", cure)


def _integrity(path: Path, seen: sound.Sound) -> Finding:
    size = f"{path.stat().st_size / 2**20:.1f} MB"
    if seen.damage:
        cure = "Start the node: it sets the file aside and saves keys; then outstation restore, from a backup."
        return Finding("data file", f"{path} is damaged: {seen.damage}", "mend", cure)
    if not seen.whole:
        return Finding("data file", f"{path}, {size}: nothing wrong in {_LOOKED_FOR_S:.0f} s, and not looked at whole")
    return Finding("data file", f"{path}, {size}, is sound")


def _port(data: Path, config: Config, ask: Ask | None, told: dict[str, Any] | None) -> Finding:
    port, topic = config.web.port, "port"
    is_heard = _listens(config.web.host, port)
    if ask is not None and told is None:
        return Finding(topic, f"Somebody listens on {port}." if is_heard else f"Nobody listens on {port}.", "note")
    if ask is not None:
        return _port_of_node(port, ports_of_owner(data) or (frozenset({port}) if is_heard else frozenset()))
    if is_heard and (why := _reduced(config.web)):
        text = "The node cannot run" if why == CLOSED else f"The node cannot run: {why}"
        return Finding(topic, text, "mend", "Its log says why: outstation service logs")
    if is_heard:
        cure = "Stop that, or choose another: [web] port."
        return Finding(topic, f"Port {port} is in use by {holder_of_port(port)}.", "mend", cure)
    return Finding(topic, f"{port} is free")


def _certificate(certificate: str, key: str) -> Finding:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password="")
    except (OSError, ValueError) as error:
        why = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
        cure = "Both are PEM and the node's user may read them; the key has no password, and belongs to it."
        return Finding("certificate", f"{certificate} with {key} cannot be used: {why}.", "mend", cure)
    return Finding("certificate", f"{certificate} can be used")


def _port_of_node(wanted: int, ports: frozenset[int]) -> Finding:
    if wanted in ports or (ports and wanted == 0):
        return Finding("port", f"The node listens on {', '.join(map(str, sorted(ports)))}.")
    there = f"The node listens on {', '.join(map(str, sorted(ports)))}" if ports else f"Nobody listens on {wanted}"
    return Finding("port", f"{there}: it was started with another --port than the config's {wanted}.", "note")


def _reduced(web: WebTable) -> str:
    """Return what a reduced node there says; "" where there is none. It speaks no TLS where a certificate is broken."""
    whoever = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    whoever.check_hostname = False
    whoever.verify_mode = ssl.CERT_NONE  # nothing is told to it, and it is on this machine
    secure = http.client.HTTPSConnection(_near(web.host), web.port, timeout=1, context=whoever)
    plain = http.client.HTTPConnection(_near(web.host), web.port, timeout=1)
    return (_said_by_reduced(secure) if web.tls_cert else "") or _said_by_reduced(plain)


def _said_by_reduced(connection: http.client.HTTPConnection) -> str:
    try:
        connection.request("GET", "/api/health")
        said = _document(connection.getresponse().read(_READ))
    except (OSError, http.client.HTTPException):
        return ""
    finally:
        connection.close()
    problems = said.get("problems") if said.get("reduced") else None
    return str(problems[0]) if isinstance(problems, list) and problems else ""


def _near(host: str) -> str:
    return "localhost" if host in ("", "0.0.0.0", "::") else host  # noqa: S104 - compared, not bound


def _listens(host: str, port: int) -> bool:
    try:
        socket.create_connection((_near(host), port), timeout=1).close()
    except OSError:
        return False
    return True


def _told(ask: Ask | None) -> dict[str, Any] | None:
    """Return what the node says of its uplinks; None: it cannot be asked."""
    try:
        told: dict[str, Any] | None = ask("/api/traffic")["uplinks"] if ask else None
    except OutstationError:
        return None
    return told


def _uplink(table: UplinkTable, base: Path, told: dict[str, Any]) -> Finding:
    """Ask the other side; of a hub also whether it knows the key."""
    topic = f"uplink {table.name}"
    kind: type[plugins.Uplink] = plugins.load("uplinks", table.kind)
    options = kind.Options.model_validate(table.options, context={"base": base})
    url, key = str(getattr(options, "url", "")), str(getattr(options, "key", ""))
    where = _place(url)
    if not urlsplit(url).hostname:
        return Finding(topic, f"It goes where its kind {table.kind} knows; the node says: {_last(told)}", "note")
    try:
        status = _status(url, "/api/session", {"X-API-Key": key} if table.kind == "outstation" else {})
    except (OSError, http.client.HTTPException, ValueError) as error:
        return Finding(topic, f"{where} does not answer: {_reason(error)}", "mend", _LOOK)
    found: State = "mend" if told.get("last_error") else "ok"
    if table.kind != "outstation":
        return Finding(topic, f"{where} answers; {_last(told)}", found)
    if status in (200, 403):  # a node's key may write, not read
        return Finding(topic, f"{where} answers, and knows the key; {_last(told)}", found)
    if status in (401, 429):
        cure = f"Make a new one there: outstation nodes renew NAME, and put it into [[uplinks]] {table.name}."
        return Finding(topic, f"{where} does not know the key.", "mend", cure)
    cure = "Look at the address: is that an Outstation?"
    return Finding(topic, f"{where} answers, but not as a hub does.", "mend", cure)


def _last(told: dict[str, Any]) -> str:
    if error := told.get("last_error"):
        return f"its last error: {error}"
    return f"it last took something at {told['last_ok']}" if told.get("last_ok") else "nothing was sent yet"


def _place(url: str) -> str:
    """Return an address without what may be secret in it."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}{f':{parts.port}' if parts.port else ''}"


def _reason(error: Exception) -> str:
    """Return why, without what was to be sent: http.client repeats a header that cannot be."""
    if isinstance(error, ValueError):
        return "its key or its address has letters that cannot be sent"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _status(url: str, path: str, headers: dict[str, str]) -> int:
    """Return what a GET is answered with; 0 for a page of somebody's portal. Raises OSError, HTTPException."""
    connection = _connection(url)
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status if "json" in (answer.headers["content-type"] or "") or "X-API-Key" not in headers else 0
    finally:
        connection.close()


def _connection(url: str) -> http.client.HTTPConnection:
    parts = urlsplit(url)
    host, within = parts.hostname or "", _ANSWERS_WITHIN_S
    if parts.scheme == "https":
        return http.client.HTTPSConnection(host, parts.port, timeout=within)
    return http.client.HTTPConnection(host, parts.port, timeout=within)


def _proxy(config: Config) -> Finding:
    """Tell whether what a proxy says of who asks can be believed."""
    web, topic = config.web, "proxy headers"
    if not web.trusted_proxies:
        return Finding(topic, "No proxy is trusted: what comes by one needs a key for everything.", "note")
    networks = [ipaddress.ip_network(each) for each in web.trusted_proxies]
    if wide := [str(network) for network in networks if network.prefixlen < _WIDEST[network.version]]:
        text = f"[web] trusted_proxies has {', '.join(wide)}: whoever is in there may say that he is somebody else."
        return Finding(topic, text, "mend", "Name the addresses of your proxies alone.")
    if all(network.is_loopback for network in networks) and web.host not in ("127.0.0.1", "::1", "localhost"):
        text = f"The port {web.port} is reachable past the proxy."
        return Finding(topic, text, "note", 'If nobody is to come past it: [web] host = "127.0.0.1"')
    return Finding(topic, f"believed of {', '.join(web.trusted_proxies)}")


def through(host: str, port: int = 443, trusted: ssl.SSLContext | None = None) -> Finding:
    """Ask the node by its name and TLS, as people do, and look at the certificate. trusted: whom it may come from."""
    topic = f"https://{host}"
    connection = http.client.HTTPSConnection(host, port, timeout=_ANSWERS_WITHIN_S, context=trusted)
    try:
        connection.request("GET", "/api/health")
        ends = _ends(connection.sock)
        answer = connection.getresponse()
        found = site(topic, answer.status, answer.read(_READ))
    except (OSError, http.client.HTTPException) as error:
        cure = "Look at DNS, the firewall, and nginx -t; outstation proxy nginx prints the steps."
        return Finding(topic, f"It does not answer: {_reason(error)}", "mend", cure)
    finally:
        connection.close()
    if found.state != "ok":
        return found
    days = (ends - datetime.datetime.now(datetime.UTC)).days
    if days < _RENEW_DAYS:
        return Finding(topic, f"Its certificate ends in {days} days.", "mend", "Look why: sudo certbot renew")
    return Finding(topic, f"It answers; its certificate is good for {days} days")


def site(topic: str, status: int, body: bytes) -> Finding:
    """Tell by an answer to GET /api/health whether the node is there: a proxy has pages of its own."""
    said = _document(body)
    if "problems" in said or (status == http.HTTPStatus.UNAUTHORIZED and "error" in said):
        return Finding(topic, "It answers")
    if status == http.HTTPStatus.SERVICE_UNAVAILABLE and "error" in said:
        return Finding(topic, f"A proxy answers: {said['error']}", "mend", "Is the node where the proxy looks for it?")
    return Finding(topic, f"Something else answers there, with {status}.", "mend", "Look at the proxy's site.")


def _document(body: bytes) -> dict[str, Any]:
    """Return what a JSON document says; nothing where it is none."""
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _ends(connection: Any) -> datetime.datetime:
    """Return when the certificate of a connection ends."""
    text = str(connection.getpeercert()["notAfter"])
    return datetime.datetime.fromtimestamp(ssl.cert_time_to_seconds(text), datetime.UTC)


def config_of(path: Path | None) -> tuple[Config | None, Finding]:
    """Return the config, if it can be read, and what is to be said of it."""
    if path is None:
        text = "There is none: this is the default device, a button and an LED."
        return Config(), Finding("config", text, "note", "Write one from what this machine has: outstation init")
    try:
        return load(path), Finding("config", f"{path} is right")
    except ConfigError as error:
        more = f" And {len(error.mistakes) - 1} more: outstation check {path}" if len(error.mistakes) > 1 else ""
        return None, Finding("config", error.mistakes[0], "mend", more.strip() or "Mend that line.")
    except OutstationError as error:
        return None, Finding("config", error.message, "mend", error.cure)
