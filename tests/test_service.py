"""The systemd units: valid, closed as far as can be, and leading into nobody's home."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from outstation.config import Config
from outstation.ops.service import (
    GROUPS,
    Wishes,
    existing_groups,
    finisher,
    installed_program,
    quoted,
    socket_unit,
    unit,
    wishes,
)

ANALYZE = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not on this machine")

FULL = Wishes(GROUPS, (("0.0.0.0", 80), ("", 443)), (("/srv/my backups", "[backup] folder"),))


def settings(text: str) -> dict[str, dict[str, str]]:
    """Read a unit as far as an INI reader can: names keep their case, `#` begins a comment, the last of two counts."""
    parser = configparser.RawConfigParser(comment_prefixes=("#",), delimiters=("=",), strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(text)
    return {name: dict(parser[name]) for name in parser.sections()}


def test_it_starts_at_boot_and_again_whenever_it_ends() -> None:
    read = settings(unit(Wishes()))
    assert read["Install"]["WantedBy"] == "multi-user.target"
    assert (read["Service"]["Restart"], read["Unit"]["StartLimitIntervalSec"]) == ("always", "0")


def test_it_waits_for_nothing_that_may_never_come() -> None:
    after = settings(unit(FULL))["Unit"]["After"].split()
    assert {"network-online.target", "time-sync.target"}.isdisjoint(after)
    assert "Requires" not in settings(unit(FULL))["Unit"], "a port that somebody has must not end it for good"


def test_it_runs_as_a_user_of_its_own_in_folders_of_its_own() -> None:
    service = settings(unit(Wishes()))["Service"]
    assert (service["User"], service["StateDirectory"]) == ("outstation", "outstation outstation-backup")
    program = "/opt/outstation/current/bin/outstation"
    assert service["ExecStart"] == (
        f"{program} run --config /etc/outstation/outstation.toml --data /var/lib/outstation"
    )
    assert service["ExecStopPost"] == f"{program} outputs --safe --data /var/lib/outstation"


def test_the_supervisor_is_the_main_process_and_has_its_time() -> None:
    service = settings(unit(Wishes()))["Service"]
    assert (service["Type"], service["NotifyAccess"]) == ("notify", "main")
    assert "KillMode" not in service, "if the supervisor dies, the server must have its time to make drivers safe"
    assert int(service["WatchdogSec"]) > 2 * 8
    assert int(service["TimeoutStopSec"]) > 8


def test_groups_that_do_not_exist_are_only_commented() -> None:
    """A unit that names a group which does not exist fails at each start."""
    text = unit(wishes(Config(), ["gpio", "i2c", "users"]))
    assert settings(text)["Service"]["SupplementaryGroups"] == "gpio i2c"
    assert "# Not on this machine when this was written: spi dialout\n" in text
    assert "SupplementaryGroups" not in settings(unit(Wishes()))["Service"]
    assert "Not on this machine" not in unit(FULL)


def test_a_port_that_is_roots_is_opened_by_systemd_and_no_other() -> None:
    boards = Config.model_validate({"web": {"dialect_listen": "0.0.0.0:80"}})
    wanted = wishes(boards, [])
    assert settings(socket_unit(wanted))["Socket"]["ListenStream"] == "0.0.0.0:80"
    assert settings(unit(wanted))["Unit"]["Wants"] == "outstation.socket"
    assert settings(socket_unit(wanted))["Unit"]["PartOf"] == "outstation.service"
    assert socket_unit(wishes(Config(), [])) == ""
    assert "outstation.socket" not in settings(unit(wishes(Config(), [])))["Unit"]["After"]
    everywhere = Config.model_validate({"web": {"port": 443, "dialect_listen": "[::1]:81"}})
    assert re.findall("ListenStream=(.*)", socket_unit(wishes(everywhere, []))) == ["443", "[::1]:81"]


def test_what_a_config_writes_elsewhere_is_open_with_its_reason() -> None:
    config = Config.model_validate(
        {
            "backup": {"folder": "/srv/my backups"},
            "actuators": [{"name": "fan", "driver": "pwm", "channel": 0}],
        }
    )
    text = unit(wishes(config, []))
    assert '# [backup] folder\nReadWritePaths="-/srv/my backups"\n' in text
    assert "# PWM channels are files there\nReadWritePaths=-/sys/devices/platform\n" in text


def test_no_line_points_into_a_home() -> None:
    lines = [line for line in (unit(FULL) + socket_unit(FULL)).splitlines() if not line.startswith("#")]
    assert [line for line in lines if re.search(r"/home|/root|/tmp|/run/user", line)] == []


def test_this_installation_can_be_called_by_its_path() -> None:
    program = installed_program()
    assert Path(program[0]).parent == Path(sys.executable).parent
    assert subprocess.run([*program, "--version"], check=True, capture_output=True).stdout.startswith(b"outstation ")


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("/opt/outstation", "/opt/outstation"),
        ("/opt/my node", '"/opt/my node"'),
        ("/opt/100%", "/opt/100%%"),
        ("/opt/$HOME", "/opt/$$HOME"),
        ('/opt/"x"', '"/opt/\\"x\\""'),
        ("/opt/a\\b", '"/opt/a\\\\b"'),
    ],
)
def test_words_reach_the_program_as_they_are(word: str, expected: str) -> None:
    assert quoted(word) == expected


@ANALYZE
@pytest.mark.parametrize("wanted", [Wishes(), FULL, Wishes(tuple(sorted(existing_groups())))])
def test_systemd_finds_nothing_wrong_with_it(tmp_path: Path, wanted: Wishes) -> None:
    assert verdict(tmp_path, unit(wanted), socket_unit(wanted)) == ""


@ANALYZE
def test_systemd_would_find_what_is_wrong(tmp_path: Path) -> None:
    broken = unit(Wishes()).replace("Restart=always", "Restart=forever")
    assert "Failed to parse service restart specifier" in verdict(tmp_path, broken, "")


@ANALYZE
def test_its_exposure_is_2_at_most_with_everything_that_may_be_open(tmp_path: Path) -> None:
    assert exposure(tmp_path, unit(FULL)) <= 2.0
    assert exposure(tmp_path, unit(FULL).replace("ProtectKernelTunables=yes\n", "")) > 2.0, "it is measured"


def verdict(folder: Path, text: str, socket: str) -> str:
    """Return what `systemd-analyze verify` says of units; of others that it loads besides it may say more."""
    runs = Path(sys.executable).parent / "outstation"  # /opt/outstation is not on the machine of the tests
    (folder / "outstation.service").write_text(text.replace("/opt/outstation/current/bin/outstation", str(runs)))
    (folder / "outstation.socket").write_text(socket or "[Socket]\nListenStream=80\n")
    (folder / "outstation-upgrade.service").write_text(
        finisher("1.0").replace("/opt/outstation/versions/1.0/bin/outstation", str(runs))
    )
    units = [str(folder / name) for name in ("outstation.service", "outstation.socket", "outstation-upgrade.service")]
    done = subprocess.run(["systemd-analyze", "verify", *units], check=False, capture_output=True, text=True)
    return "\n".join(line for line in done.stderr.splitlines() if "outstation" in line)


def exposure(folder: Path, text: str) -> float:
    """Return what `systemd-analyze security` makes of a unit, from 0 to 10."""
    file = folder / "outstation.service"
    file.write_text(text)
    asked = ["systemd-analyze", "security", "--offline=true", "--no-pager", str(file)]
    told = subprocess.run(asked, check=False, capture_output=True, text=True).stdout
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", told)
    assert found, told
    return float(found[1])
