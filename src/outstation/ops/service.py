"""The systemd unit of a node: starts it at boot, again whenever it ends, and with few rights.

Settings are those of systemd.unit(5), systemd.service(5), systemd.exec(5) and
systemd.resource-control(5) as of systemd 252, which Debian 12 has.
"""

from __future__ import annotations

import grp
import re
import shlex
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

GROUPS = ("gpio", "i2c", "spi")
"""Who may use pins and buses on Raspberry Pi OS. A unit that names a group which does not exist fails to start."""

_HOMES = (Path("/home"), Path("/root"), Path("/run/user"))

_UNIT = """\
# To install:
#   sudo useradd --system --home-dir /var/lib/outstation --shell /usr/sbin/nologin outstation
#   {program} service print | sudo tee /etc/systemd/system/outstation.service
#   sudo systemctl daemon-reload
#   sudo systemctl enable --now outstation
{remark}
[Unit]
Description=Outstation, an IoT node
# Only what is there without a network: a node works before the network is up and before the time is right.
After=network.target time-set.target
# Never give up.
StartLimitIntervalSec=0

[Service]
# The supervisor says when the node is ready, and while it is alive itself.
Type=notify
NotifyAccess=main
WatchdogSec=20
ExecStart={command}
# Whatever ended it: the outputs are safe afterwards.
ExecStopPost={safe}
Restart=always
RestartSec=2
# Outputs are safe and readings on disk within 5 s; after 8 s the supervisor ends a server that hangs.
TimeoutStopSec=20
User=outstation
Group=outstation
{groups}
StateDirectory=outstation
StateDirectoryMode=0750
WorkingDirectory=/var/lib/outstation
UMask=0027
# Secrets that the config names by env:NAME; one NAME=value a line.
EnvironmentFile=-/etc/outstation/environment

# Its own folder is all that it may write.
ProtectSystem=strict
ProtectHome={home}
PrivateTmp=yes
NoNewPrivileges=yes
# For a port below 1024, here and in AmbientCapabilities: CAP_NET_BIND_SERVICE
CapabilityBoundingSet=
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
LockPersonality=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
# AF_NETLINK: to know the addresses of this machine.
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
SystemCallArchitectures=native
# adjtimex: to ask the kernel whether the time is right. To set it takes a right that is not given.
SystemCallFilter=@system-service adjtimex clock_adjtime clock_adjtime64
SystemCallErrorNumber=EPERM
# Not PrivateDevices, and not ProtectClock, which closes all other devices as well: the pins are devices.

[Install]
WantedBy=multi-user.target
"""


def unit(program: list[str], *, config: Path | None = None, groups: Iterable[str] | None = None) -> str:
    """Return the unit as text. program: how `outstation` is called. groups: this machine's; None: looked up."""
    there = existing_groups() if groups is None else set(groups)
    chosen = ["--config", str(config.absolute())] if config else []
    inside = homes([Path(program[0]), Path(sys.base_prefix), *([config] if config else [])])
    return _UNIT.format(
        program=shlex.join(program),
        remark=_remark(inside),
        command=" ".join(map(quoted, [*program, "run", *chosen, "--data", "/var/lib/outstation"])),
        safe=" ".join(map(quoted, [*program, "outputs", "--safe", "--data", "/var/lib/outstation"])),
        groups=_groups(there),
        home="read-only" if inside else "yes",
    )


def installed_program() -> list[str]:
    """Return the words that call this very installation, with an absolute path."""
    script = Path(sysconfig.get_path("scripts")) / "outstation"
    return [str(script)] if script.exists() else [sys.executable, "-m", "outstation"]


def existing_groups() -> set[str]:
    """Return those of GROUPS that this machine has."""
    return {group.gr_name for group in grp.getgrall()} & set(GROUPS)


def homes(paths: Iterable[Path]) -> list[Path]:
    """Return those paths that lie in somebody's home, where a service has no business."""
    return [path for path in paths if any(path.absolute().is_relative_to(home) for home in _HOMES)]


def quoted(word: str) -> str:
    """Return a word as systemd.service(5) reads it back: `%` and `$` doubled, quotes around spaces."""
    plain = word.replace("%", "%%").replace("$", "$$")
    if re.fullmatch(r"[\w@%+=:,./$-]+", plain):
        return plain
    escaped = plain.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _remark(inside: list[Path]) -> str:
    if not inside:
        return ""
    return (
        f"#\n# {inside[0]} lies in a home: the user outstation must be able to read it.\n"
        "# Better is a place of its own, such as a virtual environment in /opt/outstation.\n"
    )


def _groups(there: set[str]) -> str:
    present = [group for group in GROUPS if group in there]
    absent = [group for group in GROUPS if group not in there]
    lines = [f"SupplementaryGroups={' '.join(present)}"] if present else []
    if absent:
        lines.append(f"# Not on the machine where this was printed: SupplementaryGroups={' '.join(absent)}")
    return "\n".join(lines)
