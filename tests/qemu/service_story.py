"""What is done inside a Debian that was booted: install, reboot, kill, upgrade, uninstall. A line of JSON a step.

The standard library alone, on Debian's own Python: the program under test has an environment of its own.
"""

from __future__ import annotations

import json
import os
import pwd
import re
import signal
import socket
import subprocess
import time
import traceback
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

CLONE = Path("/home/pi/outstation")
WHEELS = Path("/srv/wheels")
NEXT = Path("/srv/next")
"""Wheels of versions to come, by their names: one that works, one that dies, one that is cut off."""

CONFIG = """\
[node]
name = "shed"

[[sensors]]
name = "cpu_load"
driver = "system"
quantity = "cpu_load"
every = "1s"

[[actuators]]
name = "vent"
driver = "gpio"
pin = 17
simulate = true
safe = "on"

[[uplinks]]
name = "hub"
kind = "outstation"
url = "http://127.0.0.1:9"
key = "env:HUB_KEY"
"""

FILES = (
    "/etc/outstation/outstation.toml",
    "/etc/outstation/environment",
    "/var/lib/outstation",
    "/var/lib/outstation/outstation.db",
    "/usr/local/bin/outstation",
    "/opt/outstation/current",
)

SECRET = 'id.a "secret" $with all'

BOARDS = '\n[web]\ndialect_listen = "0.0.0.0:80"\n'
"""Only for the service: a person may not open that port."""

STATE = Path("/rig/state.json")
PATIENCE_S = 900.0
UNIT = "outstation.service"
FINISHER = "outstation-upgrade.service"
COMMAND = "/usr/local/bin/outstation"
PLAN = Path("/opt/outstation/upgrade.json")


def main() -> None:
    """Go on where the boot before this one ended."""
    known = json.loads(STATE.read_text()) if STATE.exists() else {}
    last = (after_power_cut, lambda _: run("systemctl", "poweroff"))
    stories = last if "cut" in known else (after_reboot,) if known else (first_boot,)
    try:
        for story in stories:
            story(known)
    except BaseException as error:  # noqa: BLE001 - whatever it is, it must be told and the machine must end
        say("failed", error=repr(error), trace=traceback.format_exc(), journal=journal()[-6000:])
        run("systemctl", "poweroff")


def first_boot(known: dict[str, Any]) -> None:
    """From a clone to a service, with the data of a node that ran before; then a reboot."""
    offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(WHEELS)}
    say("clone", **timed(as_pi, "scripts/install", env=offline))
    (CLONE / "outstation.toml").write_text(CONFIG)
    with_key = {"HUB_KEY": SECRET}
    node = subprocess.Popen(
        [CLONE / ".venv/bin/outstation", "run", "--port", "5001"],
        cwd=CLONE, env={**os.environ, **with_key}, user="pi", group="pi", extra_groups=[],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    until(lambda: stored(5001) > 20)
    say("refused while it runs", **installed("--take-over", env=with_key))
    node.send_signal(signal.SIGTERM)
    say("stopped", status=node.wait(60))
    (CLONE / "outstation.toml").write_text(CONFIG + BOARDS)
    say("install", **installed("--take-over", env=with_key))
    until(lambda: stored() > 0)
    say(
        "installed", security=run("systemd-analyze", "security", "--no-pager", UNIT)["out"].splitlines()[-1],
        verify=run("systemd-analyze", "verify", f"/etc/systemd/system/{UNIT}")["err"],
        files={path: told(Path(path)) for path in FILES},
        unit=Path(f"/etc/systemd/system/{UNIT}").read_text(), stored=stored(), boards=board(),
        environment=secret(), status=run(COMMAND, "service", "status"),
    )  # fmt: skip
    STATE.write_text(json.dumps({"stored": stored()}))
    say("rebooting")
    run("systemctl", "reboot")


def after_reboot(known: dict[str, Any]) -> None:
    """What was there is there; then everything that a service has to bear."""
    until(lambda: stored() > known["stored"])
    say("rebooted", before=known["stored"], stored=stored(), errors=errors(), boards=board())
    for how, struck in (("server", server), ("supervisor", supervisor)):
        was = supervisor(), server()
        os.kill(struck(), signal.SIGKILL)
        until(lambda was=was: server() not in (0, was[1]) and stored() > 0)  # type: ignore[misc]
        say(f"killed {how}", was=was, now=(supervisor(), server()), boards=board())
    was = supervisor(), server()
    os.kill(was[1], signal.SIGSTOP)
    until(lambda: server() not in (0, was[1]) and stored() > 0)
    say("frozen server", was=was, now=(supervisor(), server()), boards=board())
    was = supervisor(), server()
    os.kill(was[0], signal.SIGSTOP)
    until(lambda: supervisor() not in (0, was[0]) and stored() > 0)
    say("frozen supervisor", was=was, now=(supervisor(), server()), boards=board())
    for wheel in map(wheel_of, ("0.1.1", "0.1.2", "0.1.3")):
        before = stored()
        done = timed(run, COMMAND, "service", "upgrade", str(wheel))
        version = health()["version"]
        say(f"upgrade {wheel.name}", **done, version=version, before=before, stored=stored(), boards=board())
        if named := re.search(r"sudo outstation (import --skip-bad \S+)", done["err"]):
            say("brought in", **run(COMMAND, *named[1].split()), stored=stored())
    kill_all_that_upgrade(begin("0.1.2"))
    until(lambda: not PLAN.exists() and health().get("version") == "0.1.1")
    say("killed upgrade", stored=stored(), status=run(COMMAND, "service", "status"))
    begin("0.1.4")
    STATE.write_text(json.dumps({"stored": stored(), "cut": True}))
    say("cutting power")
    os.sync()
    Path("/proc/sysrq-trigger").write_text("b")
    time.sleep(PATIENCE_S)


def after_power_cut(known: dict[str, Any]) -> None:
    """The upgrade that was under way is at its end by itself; then one of a node that is stopped, and the end."""
    until(lambda: not PLAN.exists() and health().get("version") == "0.1.4")
    told = run(COMMAND, "service", "status")
    say("power cut", before=known["stored"], stored=stored(), status=told, errors=errors(), boards=board())
    run("systemctl", "disable", "--now", UNIT)
    say(
        "upgrade of a stopped node",
        **run(COMMAND, "service", "upgrade", str(wheel_of("0.1.1"))),
        answers=bool(health()),
    )
    say("once more", **installed("--fresh"), version=health()["version"], stored=stored())
    count = stored()
    say("uninstall", **run(COMMAND, "service", "uninstall"))
    say(
        "uninstalled", count=count, answers=bool(health()), left={path: Path(path).exists() for path in (
            "/opt/outstation", COMMAND, f"/etc/systemd/system/{UNIT}", f"/etc/systemd/system/{FINISHER}",
            "/etc/outstation/outstation.toml", "/var/lib/outstation/outstation.db",
            "/var/lib/outstation-backup/before-upgrade.db")},
    )  # fmt: skip
    say("install again", **installed("--fresh"), stored=stored())


def wheel_of(version: str) -> Path:
    """Return a version to come."""
    return NEXT / f"outstation-{version}-py3-none-any.whl"


def begin(version: str) -> int:
    """Begin an upgrade, and return its process when the order to start the new version is about to be given."""
    upgrade = subprocess.Popen([COMMAND, "service", "upgrade", wheel_of(version)], stderr=subprocess.DEVNULL)
    until(lambda: PLAN.exists() and "Starting it" in PLAN.read_text())
    return upgrade.pid


def kill_all_that_upgrade(pid: int) -> None:
    """Kill who asked for it, and who does it."""
    os.kill(pid, signal.SIGKILL)
    os.kill(int(run("systemctl", "show", "--property=MainPID", "--value", FINISHER)["out"]), signal.SIGKILL)


def as_pi(*words: str, env: dict[str, str]) -> dict[str, Any]:
    """Run in the clone as the person whose clone it is."""
    return run("runuser", "-u", "pi", "--", *words, env={**env, "HOME": "/home/pi"}, cwd=CLONE)


def installed(*words: str, env: dict[str, str] | None = None) -> dict[str, Any]:
    """Run `service install` of the clone as root."""
    return timed(run, ".venv/bin/outstation", "service", "install", *words, env=env or {}, cwd=CLONE)


def run(*words: str, env: dict[str, str] | None = None, cwd: Path = Path("/")) -> dict[str, Any]:
    """Run a command; return how it ended and what it said."""
    done = subprocess.run(
        words, check=False, capture_output=True, text=True, env={**os.environ, **(env or {})}, cwd=cwd,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    return {"code": done.returncode, "out": done.stdout[-3000:], "err": done.stderr[-3000:]}


def timed(call: Callable[..., dict[str, Any]], *words: str, **how: Any) -> dict[str, Any]:
    """Return what a call returns, and how long it took."""
    began = time.monotonic()
    return {**call(*words, **how), "seconds": round(time.monotonic() - began, 1)}


def health(port: int = 5000) -> dict[str, Any]:
    """Return what the node says of its health; nothing where there is none."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/health", timeout=10) as answer:
            found: dict[str, Any] = json.load(answer)
            return found
    except (OSError, ValueError):
        return {}


def stored(port: int = 5000) -> int:
    """Return how many readings are stored."""
    return int(health(port).get("readings_stored", 0))


def board() -> int:
    """Return what a board is answered at port 80, where only its dialects are."""
    try:
        with urllib.request.urlopen(
            "http://127.0.0.1:80/update?api_key=AAAAAAAAAAAAAAAA&field1=1", timeout=60
        ) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def supervisor() -> int:
    """Return the unit's main process."""
    return int(run("systemctl", "show", "--property=MainPID", "--value", UNIT)["out"] or 0)


def server() -> int:
    """Return the server's process."""
    main = supervisor()
    try:
        children = Path(f"/proc/{main}/task/{main}/children").read_text().split()
        words = {int(each): Path(f"/proc/{each}/cmdline").read_bytes() for each in children}
    except OSError:
        return 0
    return next((pid for pid, line in words.items() if line and b"/supervisor/" not in line), 0)


def secret() -> str:
    """Return the secret as the server has it."""
    known = Path(f"/proc/{supervisor()}/environ").read_bytes().decode()
    return next((each.removeprefix("HUB_KEY=") for each in known.split("\0") if each.startswith("HUB_KEY=")), "")


def told(path: Path) -> str:
    """Return a file's mode and owner."""
    found = path.lstat()
    return f"{found.st_mode & 0o7777:o} {pwd.getpwuid(found.st_uid).pw_name} {found.st_gid}"


def errors() -> str:
    """Return what the node wrote that is an error, or reads like one."""
    by_level = str(run("journalctl", "-b", "-u", "outstation", "-p", "err", "-o", "cat", "--no-pager")["out"])
    words = [line for line in journal().splitlines() if re.search(r"\b(ERROR|CRITICAL|Traceback)\b", line)]
    return by_level.replace("-- No entries --\n", "") + "\n".join(words)


def journal() -> str:
    """Return all that the node wrote in this boot."""
    return str(run("journalctl", "-b", "-u", "outstation", "-o", "cat", "--no-pager")["out"])


def until(happened: Callable[[], object]) -> None:
    """Wait until something happens."""
    give_up = time.monotonic() + PATIENCE_S
    while not happened():
        if time.monotonic() > give_up:
            raise AssertionError(f"it did not happen within {PATIENCE_S:g} s")
        time.sleep(0.5)


def say(step: str, **told: Any) -> None:
    """Print a line of JSON."""
    print(json.dumps({"step": step, "at": round(time.monotonic()), "host": socket.gethostname(), **told}), flush=True)


if __name__ == "__main__":
    main()
