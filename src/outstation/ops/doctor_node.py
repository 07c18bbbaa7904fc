"""What is wrong with a node, its data, and its ways out: one finding a question, whether it runs or not.

The law of this file: it changes nothing. A node that runs is asked; of one that does not, the file is read.
"""

from __future__ import annotations

import datetime
import http.client
import ipaddress
import os
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from outstation import plugins
from outstation.config import Config, UplinkTable, load
from outstation.errors import ConfigError, OutstationError, StoreError
from outstation.ops.doctor import Finding
from outstation.owner import holder_of_port
from outstation.store import file, sound

_LOOKED_FOR_S = 10.0
_ANSWERS_WITHIN_S = 10.0

_RENEW_DAYS = 14
"""certbot renews at 30 days before the end (its documentation, Renewing certificates): it has failed for two weeks."""

_WIDEST = {4: 16, 6: 48}
"""Bits of a network of proxies: a wider one is not a few machines of one's own."""

Ask = Callable[[str], Any]
"""Returns what the running node answers to a GET. Raises OutstationError."""


def node(data: Path, config: Config | None, base: Path, ask: Ask | None) -> Iterator[Finding]:
    """Look at what a node needs.

    config: None: it cannot be read. base: the folder of its file. ask: None: no node runs on the data.
    """
    yield from _file(data, ask)
    if config is None:
        return
    yield _port(config, ask)
    told = _told(ask)
    for uplink in config.uplinks:
        yield _uplink(uplink, base, told.get(uplink.name, {}))
    yield from _proxy(config)


def running(data: Path, ask: Ask | None) -> Finding:
    """Tell how the node does. ask: None: no node runs on the data."""
    if ask is None:
        folder = data.absolute()
        return Finding("node", f"No node runs on {folder}.", "note", f"Start it: outstation run --data {data}")
    try:
        health = ask("/api/health")
    except OutstationError as error:  # 503: it is unhealthy
        return Finding("node", error.message, "mend", "Its log says why: outstation service logs")
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
    if not os.access(data, os.R_OK | os.X_OK) and data.exists():
        yield Finding("data file", f"{data} may not be read by this user.", "mend", "Try the same with sudo.")
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
        yield _keys(data, len(ask("/api/keys")["keys"]) if ask else seen.keys)


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


def _port(config: Config, ask: Ask | None) -> Finding:
    port, topic = config.web.port, "port"
    is_heard = _listens(config.web.host, port)
    if ask is not None:
        if is_heard or port == 0:
            return Finding(topic, f"The node listens on {port}.")
        return Finding(topic, f"Nobody listens on {port}: the node was started with another --port.", "note")
    if is_heard:
        cure = "Stop that, or choose another: [web] port."
        return Finding(topic, f"Port {port} is in use by {holder_of_port(port)}.", "mend", cure)
    return Finding(topic, f"{port} is free")


def _listens(host: str, port: int) -> bool:
    host = "localhost" if host in ("", "0.0.0.0", "::") else host  # noqa: S104 - compared, not bound
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True


def _told(ask: Ask | None) -> dict[str, Any]:
    try:
        told: dict[str, Any] = ask("/api/traffic")["uplinks"] if ask else {}
    except OutstationError:
        return {}
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
        return Finding(
            topic, f"{where} does not answer: {_reason(error)}", "mend", "Look at the network and the address."
        )
    if table.kind != "outstation":
        return Finding(topic, f"{where} answers; {_last(told)}", "mend" if told.get("last_error") else "ok")
    if status in (200, 403):  # a node's key may write, not read
        return Finding(topic, f"{where} answers, and knows the key; {_last(told)}")
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


def _proxy(config: Config) -> Iterator[Finding]:
    """Tell whether what a proxy says of who asks can be believed, and what comes back through it."""
    web, topic = config.web, "proxy headers"
    if not web.trusted_proxies:
        yield Finding(topic, "No proxy is trusted: what comes by one needs a key for everything.", "note")
        return
    networks = [ipaddress.ip_network(each) for each in web.trusted_proxies]
    if wide := [str(network) for network in networks if network.prefixlen < _WIDEST[network.version]]:
        text = f"[web] trusted_proxies has {', '.join(wide)}: whoever is in there may say that he is somebody else."
        yield Finding(topic, text, "mend", "Name the addresses of your proxies alone.")
    elif all(network.is_loopback for network in networks) and web.host not in ("127.0.0.1", "::1", "localhost"):
        text = f"The port {web.port} is reachable past the proxy."
        yield Finding(topic, text, "note", 'If nobody is to come past it: [web] host = "127.0.0.1"')
    else:
        yield Finding(topic, f"believed of {', '.join(web.trusted_proxies)}")
    for host in web.hosts:
        yield through(host)


def through(host: str, port: int = 443, trusted: ssl.SSLContext | None = None) -> Finding:
    """Ask the node by its name and TLS, as people do, and look at the certificate. trusted: whom it may come from."""
    topic = f"https://{host}"
    connection = http.client.HTTPSConnection(host, port, timeout=_ANSWERS_WITHIN_S, context=trusted)
    try:
        connection.request("GET", "/api/health")
        ends = _ends(connection.sock)
        answer = connection.getresponse()
        is_ours = answer.status in (200, 401, 503) and b'"' in answer.read(2_000)
    except (OSError, http.client.HTTPException) as error:
        cure = "Look at DNS, the firewall, and nginx -t; outstation proxy nginx prints the steps."
        return Finding(topic, f"It does not answer: {_reason(error)}", "mend", cure)
    finally:
        connection.close()
    if not is_ours:
        return Finding(
            topic, f"Something else answers there, with {answer.status}.", "mend", "Look at the proxy's site."
        )
    days = (ends - datetime.datetime.now(datetime.UTC)).days
    if days < _RENEW_DAYS:
        return Finding(topic, f"Its certificate ends in {days} days.", "mend", "Look why: sudo certbot renew")
    return Finding(topic, f"It answers; its certificate is good for {days} days")


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
