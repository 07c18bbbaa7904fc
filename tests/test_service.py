"""The systemd unit: valid, starts at boot, and leads into nobody's home unless it must."""

from __future__ import annotations

import configparser
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from outstation.ops.service import existing_groups, homes, installed_program, quoted, unit

PROGRAM = ["/opt/outstation/bin/outstation"]


def settings(text: str) -> configparser.RawConfigParser:
    """Read a unit as far as an INI reader can: names keep their case, `#` begins a comment."""
    parser = configparser.RawConfigParser(comment_prefixes=("#",), delimiters=("=",), strict=True)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(text)
    return parser


def test_it_starts_at_boot_and_again_whenever_it_ends() -> None:
    read = settings(unit(PROGRAM, groups=[]))
    assert read["Install"]["WantedBy"] == "multi-user.target"
    assert (read["Service"]["Restart"], read["Unit"]["StartLimitIntervalSec"]) == ("always", "0")


def test_it_waits_for_nothing_that_may_never_come() -> None:
    after = settings(unit(PROGRAM, groups=[]))["Unit"]["After"].split()
    assert {"network-online.target", "time-sync.target"}.isdisjoint(after)


def test_it_calls_this_very_installation() -> None:
    read = settings(unit(installed_program(), groups=[]))
    program = read["Service"]["ExecStart"].split()[0]
    assert Path(program).is_absolute()
    assert Path(program).parent == Path(sys.executable).parent
    assert subprocess.run([program, "--version"], check=True, capture_output=True).stdout.startswith(b"outstation ")


def test_it_runs_as_a_user_of_its_own_with_a_folder_of_its_own() -> None:
    service = settings(unit(PROGRAM, groups=[]))["Service"]
    assert (service["User"], service["StateDirectory"]) == ("outstation", "outstation")
    assert service["ExecStart"] == "/opt/outstation/bin/outstation run --data /var/lib/outstation"


def test_the_supervisor_is_the_main_process_and_the_outputs_are_safe_after_it() -> None:
    service = settings(unit(PROGRAM, groups=[]))["Service"]
    assert (service["Type"], service["NotifyAccess"]) == ("notify", "main")
    assert "KillMode" not in service, "if the supervisor dies, the server must have its time to make drivers safe"
    assert int(service["WatchdogSec"]) > 2 * 8
    assert int(service["TimeoutStopSec"]) > 8
    assert service["ExecStopPost"] == "/opt/outstation/bin/outstation outputs --safe --data /var/lib/outstation"


def test_a_config_is_named_by_its_absolute_path() -> None:
    command = settings(unit(PROGRAM, config=Path("/etc/shed 2.toml"), groups=[]))["Service"]["ExecStart"]
    assert command == '/opt/outstation/bin/outstation run --config "/etc/shed 2.toml" --data /var/lib/outstation'


def test_groups_that_do_not_exist_are_only_commented() -> None:
    """A unit that names a group which does not exist fails at each start."""
    text = unit(PROGRAM, groups=["gpio", "i2c"])
    assert settings(text)["Service"]["SupplementaryGroups"] == "gpio i2c"
    assert "# Not on the machine where this was printed: SupplementaryGroups=spi" in text
    assert "SupplementaryGroups" not in settings(unit(PROGRAM, groups=[]))["Service"]
    assert "Not on the machine" not in unit(PROGRAM, groups=["gpio", "i2c", "spi"])


def test_homes_stay_closed_unless_the_program_lies_in_one() -> None:
    elsewhere = [Path("/opt/outstation/bin/outstation"), Path("/usr"), Path("/homework/x")]
    assert homes(elsewhere) == []
    assert homes([*elsewhere, Path("/home/pi/venv/bin/outstation")]) == [Path("/home/pi/venv/bin/outstation")]
    text = unit(["/home/pi/venv/bin/outstation"], groups=[])
    assert settings(text)["Service"]["ProtectHome"] == "read-only"
    assert "/home/pi/venv/bin/outstation lies in a home: the user outstation must be able to read it." in text


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


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not on this machine")
@pytest.mark.parametrize("groups", [[], sorted(existing_groups())])
def test_systemd_finds_nothing_wrong_with_it(tmp_path: Path, groups: list[str]) -> None:
    assert verdict(tmp_path, unit(installed_program(), groups=groups)) == ""


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not on this machine")
def test_systemd_would_find_what_is_wrong(tmp_path: Path) -> None:
    broken = unit(installed_program(), groups=[]).replace("Restart=always", "Restart=forever")
    assert "Failed to parse service restart specifier" in verdict(tmp_path, broken)


def verdict(folder: Path, text: str) -> str:
    """Return what `systemd-analyze verify` says of a unit; of others that it loads besides it may say more."""
    file = folder / "outstation.service"
    file.write_text(text)
    done = subprocess.run(["systemd-analyze", "verify", str(file)], check=False, capture_output=True, text=True)
    return "\n".join(line for line in done.stderr.splitlines() if "outstation" in line)
