"""The systemd units of a node: started at boot, again whenever it ends, and with few rights.

Settings are those of systemd.unit(5), systemd.service(5), systemd.socket(5), systemd.exec(5) and
systemd.resource-control(5) as of systemd 252, which Debian 12 has.
"""

from __future__ import annotations

import grp
import re
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

import msgspec

from outstation.config import Config

PROGRAM = "/opt/outstation/current/bin/outstation"
VERSIONS = "/opt/outstation/versions"
PLAN = "/opt/outstation/upgrade.json"
CONFIG = "/etc/outstation/outstation.toml"
SECRETS = "/etc/outstation/environment"
DATA = "/var/lib/outstation"
BACKUPS = "/var/lib/outstation-backup"

GROUPS = ("gpio", "i2c", "spi", "dialout")
"""Who may use pins, buses and serial ports on Raspberry Pi OS. A unit that names a missing group fails to start."""

_HOMES = tuple(map(Path, ("/home", "/root", "/run/user", "/tmp", "/var/tmp")))  # noqa: S108

_PRIVILEGED = 1024
"""Ports below are root's (ip(7)): systemd opens them, and the node needs no right for it."""

HEAD = "# Written by `outstation service install`, which writes it anew: what you change belongs into\n"

_UNIT = (
    HEAD
    + """\
# sudo systemctl edit outstation
[Unit]
Description=Outstation, an IoT node
# Only what is there without a network: a node works before the network is up and before the time is right.
After=network.target time-set.target{after}
# Never give up.
StartLimitIntervalSec=0

[Service]
# The supervisor says when the node is ready. Alive is what it passes on from the rules: each beat of theirs.
Type=notify
NotifyAccess=main
# A server whose rules hang is killed after 8 s; this is for when that does not help either.
WatchdogSec=20
ExecStart={command}
# Whatever ended it: the outputs are safe afterwards.
ExecStopPost={safe}
Restart=always
RestartSec=2
# A file of an older program is copied and brought up to date before the node is ready: as long as that goes on, the
# node asks for more time (EXTEND_TIMEOUT_USEC= of sd_notify(3)).
TimeoutStartSec=900
# Outputs are safe and readings on disk within 5 s; after 8 s the supervisor ends a server that hangs.
TimeoutStopSec=20
User=outstation
Group=outstation
{groups}StateDirectory=outstation outstation-backup
StateDirectoryMode=0750
WorkingDirectory={data}
# Its group may ask the node, by a socket of mode 0660; what it writes is for itself.
UMask=0077
# Secrets that the config names by env:NAME; one NAME=value a line. Read by systemd as root: mode 0600.
EnvironmentFile=-{secrets}

# Of the machine's memory: below the first it is left alone, above the second it is ended and begins anew.
MemoryHigh=60%
MemoryMax=75%
# When the kernel ends an export for want of memory, the node goes on; when the server, the supervisor starts the next.
OOMPolicy=continue
# Threads and processes: a node has about thirty.
TasksMax=512

# Its own folders are all that it may write; sticks are mounted below /mnt and /media, and backups go there.
ProtectSystem=strict
ReadWritePaths=-/mnt -/media
{writes}ProtectHome=yes
PrivateTmp=yes
PrivateMounts=yes
# The groups of pins and buses count all the same: the kernel goes by their numbers outside.
PrivateUsers=yes
NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
KeyringMode=private
LockPersonality=yes
MemoryDenyWriteExecute=yes
RemoveIPC=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallErrorNumber=EPERM

# What is left open, and why:
# Pins, I2C, SPI and serial ports (USB: 188 and 166; a Pi's own: 204 and ttyS) are devices: hence no PrivateDevices=yes.
DevicePolicy=closed
DeviceAllow=char-gpiochip rw
DeviceAllow=char-i2c rw
DeviceAllow=char-spi rw
DeviceAllow=char-188 rw
DeviceAllow=char-166 rw
DeviceAllow=char-204 rw
DeviceAllow=char-ttyS rw
# adjtimex asks the kernel whether the time is right; to set it takes a right that is not given. ProtectClock=yes and
# ~@clock would forbid to ask. @resources is in @system-service: exports lower their own priority by it.
SystemCallFilter=@system-service
SystemCallFilter=~@privileged
SystemCallFilter=adjtimex clock_adjtime clock_adjtime64
# It serves and sends: AF_INET, AF_INET6, no PrivateNetwork=yes, no IPAddressDeny=. AF_UNIX: how commands ask it, and
# how it tells systemd that it is ready. AF_NETLINK: to know the addresses of this machine.
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
# /proc/stat and /proc/meminfo are sensors: no ProcSubset=pid.

[Install]
WantedBy=multi-user.target
"""
)

_SOCKET = (
    HEAD
    + """\
# sudo systemctl edit outstation.socket
[Unit]
Description=Ports of Outstation that are root's to open
# The node opens it and closes it: a request must not start a node that somebody stopped.
PartOf=outstation.service

[Socket]
{ports}NoDelay=yes
Backlog=2048
"""
)

_FINISHER = (
    HEAD
    + """\
# sudo systemctl edit outstation-upgrade
[Unit]
Description=Brings an upgrade of Outstation to its end, forward or back, whatever became of who began it
ConditionPathExists={plan}
# At a boot the node comes first, whichever version it is.
After=outstation.service
StartLimitIntervalSec=0

[Service]
Type=exec
# By the version that was there before: it is known to work.
ExecStart={command}
# When the upgrade is at its end the condition is no longer met.
Restart=always
RestartSec=5
# When the kernel ends the export of what came in, for want of memory, that alone is left out.
OOMPolicy=continue

[Install]
WantedBy=multi-user.target
"""
)

USERS = f"""\
# The user that Outstation runs as: sysusers.d(5).
u outstation - "Outstation" {DATA}
"""


class Wishes(msgspec.Struct, frozen=True):
    """What of the units depends on the machine and the config.

    groups: that exist here. ports: (address, port) that are root's to open. writes: folders elsewhere, by their reason.
    """

    groups: tuple[str, ...] = ()
    ports: tuple[tuple[str, int], ...] = ()
    writes: tuple[tuple[str, str], ...] = ()


def wishes(config: Config, groups: Iterable[str]) -> Wishes:
    """Return what a config and a machine with these groups want of the units."""
    web = config.web
    heard = [(web.host, web.port), *([web.dialect_listen] if web.dialect_listen else [])]
    writes = []
    if config.backup.folder:
        writes.append((config.backup.folder, "[backup] folder"))
    if any(table.driver == "pwm" for table in config.actuators):
        writes.append(("/sys/devices/platform", "PWM channels are files there"))
    return Wishes(
        tuple(group for group in GROUPS if group in set(groups)),
        tuple((host, port) for host, port in heard if 0 < port < _PRIVILEGED),
        tuple(writes),
    )


def unit(wanted: Wishes) -> str:
    """Return outstation.service."""
    socket = " outstation.socket\nWants=outstation.socket" if wanted.ports else ""
    missing = [group for group in GROUPS if group not in wanted.groups]
    lines = [f"SupplementaryGroups={' '.join(wanted.groups)}\n"] if wanted.groups else []
    lines += [f"# Not on this machine when this was written: {' '.join(missing)}\n"] if missing else []
    return _UNIT.format(
        after=socket,
        command=" ".join(map(quoted, [PROGRAM, "run", "--config", CONFIG, "--data", DATA])),
        safe=" ".join(map(quoted, [PROGRAM, "outputs", "--safe", "--data", DATA])),
        groups="".join(lines),
        data=DATA,
        secrets=SECRETS,
        writes="".join(f"# {why}\nReadWritePaths={quoted('-' + folder)}\n" for folder, why in wanted.writes),
    )


def socket_unit(wanted: Wishes) -> str:
    """Return outstation.socket; "" where no port needs it."""
    if not wanted.ports:
        return ""
    both = "# An empty address is every one, IPv4 and IPv6.\n" if any(not host for host, _ in wanted.ports) else ""
    return _SOCKET.format(ports=both + "".join(f"ListenStream={_stream(*each)}\n" for each in wanted.ports))


def units(config: Config) -> dict[str, str]:
    """Return the units of a node with this config, by their names."""
    wanted = wishes(config, existing_groups())
    socket = socket_unit(wanted)
    return {"outstation.service": unit(wanted)} | ({"outstation.socket": socket} if socket else {})


def printed(text: str) -> dict[str, str]:
    """Return the units in what `outstation service print` says, by their names."""
    parts = re.split(r"^# /etc/systemd/system/([a-z.-]+)\n", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def finisher(judge: str) -> str:
    """Return outstation-upgrade.service. judge: the name of the version whose program it is that decides."""
    command = f"{VERSIONS}/{judge}/bin/outstation service finish"
    return _FINISHER.format(plan=PLAN, command=command)


def installed_program() -> list[str]:
    """Return the words that call this very installation, with an absolute path."""
    script = Path(sysconfig.get_path("scripts")) / "outstation"
    return [str(script)] if script.exists() else [sys.executable, "-m", "outstation"]


def existing_groups() -> set[str]:
    """Return those of GROUPS that this machine has."""
    return {group.gr_name for group in grp.getgrall()} & set(GROUPS)


def in_home(path: Path) -> bool:
    """Tell whether a path lies where the unit sees nothing: ProtectHome=yes, PrivateTmp=yes."""
    return any(path.resolve().is_relative_to(home) for home in _HOMES)


def quoted(word: str) -> str:
    """Return a word as systemd.service(5) reads it back: `%` and `$` doubled, quotes around spaces."""
    plain = word.replace("%", "%%").replace("$", "$$")
    if re.fullmatch(r"[\w@%+=:,./$-]+", plain):
        return plain
    escaped = plain.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _stream(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}" if host else str(port)
