"""The sockets that this node is heard on: opened first, so that a busy port stops a start before anything moves."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import logging
import os
import socket
from pathlib import Path

from outstation.errors import OutstationError, OwnedError
from outstation.owner import holder_of_port
from outstation.web.hosts import addresses

log = logging.getLogger(__name__)

BACKLOG = 2_048


_FIRST_HANDED = 3
"""The descriptor with which what systemd hands over begins (SD_LISTEN_FDS_START of sd_listen_fds(3))."""

Handed = list[socket.socket]
"""Listening sockets: two may have one port, at different addresses."""


def handed_over() -> Handed:
    """Return what systemd has opened for this process (sd_listen_fds(3)): ports that are root's to open."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return []
    count = int(os.environ.get("LISTEN_FDS", "0"))
    sockets = [socket.socket(fileno=number) for number in range(_FIRST_HANDED, _FIRST_HANDED + count)]
    for each in sockets:
        os.set_inheritable(each.fileno(), False)
    return sockets


def open_port(host: str, port: int, setting: str = "--port N", *, handed: Handed | None = None) -> socket.socket:
    """Return a socket bound to host and port; an empty host is every interface, IPv4 and IPv6.

    setting: by which another one is chosen. handed: what is open already; a port of these is taken out of them.
    Raises OwnedError that names who has the port, OutstationError for an address that cannot be had.
    """
    if handed and any(each.getsockname()[1] == port for each in handed):
        return _taken(handed, host, port)
    if not host:
        host = "::" if socket.has_dualstack_ipv6() else "0.0.0.0"  # noqa: S104  the design: open to the local network
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return _bound(family, host, port, setting)


def is_at(opened: socket.socket, host: str) -> bool:
    """Tell whether a socket is at the address that a config names; by a name, which only a resolver knows, it is."""
    address = ipaddress.ip_address(opened.getsockname()[0].partition("%")[0])
    try:
        return ipaddress.ip_address(host) == address if host else address.is_unspecified
    except ValueError:
        return True


def open_boards(listen: tuple[str, int] | None, *, handed: Handed | None = None) -> socket.socket | None:
    """Return the socket for boards alone, where the config has one. Raises as open_port."""
    return None if listen is None else open_port(*listen, setting="[web] dialect_listen", handed=handed)


def open_control(folder: Path) -> socket.socket:
    """Return the bound control socket of a data folder: for the owner and the group, mode 0660. Raises OutstationError.

    It is bound by way of the folder's descriptor, since a socket's path has at most 107 bytes (unix(7)).
    """
    control = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _bind_control(control, folder)
    except OSError as error:
        control.close()
        raise OutstationError(
            f"The control socket {folder / 'control.sock'} cannot be made: {os.strerror(error.errno or 0).lower()}.",
            cure="Remove what stands there, or name another folder with --data.",
        ) from error
    return control


def urls(bound: socket.socket, scheme: str = "http") -> list[str]:
    """Return the addresses to open in a browser: this machine's, the ones that others can reach first."""
    address, port = bound.getsockname()[:2]
    if address not in ("::", "0.0.0.0"):  # noqa: S104
        return [_url(address, port, scheme)]
    reachable = [found for found in addresses() if not found.startswith(("127.", "fe80:")) and found != "::1"]
    names = sorted(reachable, key=lambda found: ":" in found)[:3]
    return [_url(name, port, scheme) for name in ("localhost", *names)]


def others_urls(bound: socket.socket, scheme: str = "http") -> tuple[str, ...]:
    """Return the addresses by which other machines reach this one, the likeliest first; else those by which it does."""
    found = [url.rstrip("/") for url in urls(bound, scheme)]
    return (*found[1:], *found[:1])


def _url(address: str, port: int, scheme: str) -> str:
    return f"{scheme}://[{address}]:{port}/" if ":" in address else f"{scheme}://{address}:{port}/"


def _taken(handed: Handed, host: str, port: int) -> socket.socket:
    """Take the socket with this port out of what is open already: the one at this address, if there is one."""
    found = [each for each in handed if each.getsockname()[1] == port]
    opened = next((each for each in found if is_at(each, host)), found[0])
    if not is_at(opened, host):
        wanted = f"{host or 'any address'}, port {port}"
        log.warning("systemd has opened %s, not %s: sudo outstation service install", opened.getsockname(), wanted)
    handed.remove(opened)
    return opened


def _bind_control(control: socket.socket, folder: Path) -> None:
    inside = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    try:
        with contextlib.suppress(FileNotFoundError):
            (folder / "control.sock").unlink()
        mask = os.umask(0o117)
        try:
            control.bind(f"/proc/self/fd/{inside}/control.sock")
        finally:
            os.umask(mask)
    finally:
        os.close(inside)


def _bound(family: socket.AddressFamily, host: str, port: int, setting: str) -> socket.socket:
    opened = socket.socket(family, socket.SOCK_STREAM)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family is socket.AF_INET6:
        opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    try:
        opened.bind((host, port))
        opened.listen(BACKLOG)
    except OSError as error:
        opened.close()
        raise _why(error, host, port, setting) from error
    return opened


def _why(error: OSError, host: str, port: int, setting: str) -> OutstationError:
    if error.errno == errno.EADDRINUSE:
        holder = holder_of_port(port)
        return OwnedError(f"Port {port} is in use by {holder}.", cure=f"Stop that, or choose another: {setting}.")
    if error.errno == errno.EACCES:
        cure = f"Choose one above 1023: {setting}; or let systemd open it: sudo outstation service install."
        return OutstationError(f"Port {port} needs more rights.", cure=cure)
    where = f"{host or 'any address'}, port {port}"
    return OutstationError(f"Cannot listen on {where}: {error.strerror}.", cure="See --host and --port.")
