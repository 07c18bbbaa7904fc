"""The command line: one clear line for what went wrong, and the exit code that says whose turn it is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingUnixStreamServer
from typing import Any

import pytest
from click.testing import CliRunner, Result

from outstation import __version__, defaults
from outstation.__main__ import root
from outstation.cli.questions import _sensor, columns
from outstation.owner import Owner

PROGRAM = [sys.executable, "-m", "outstation"]
HEAVY = {"apsw", "fastapi", "gpiod", "msgspec", "psutil", "pydantic", "uvicorn", "uvloop"}

STATUS = {
    "node": "shed",
    "timestamp": "2026-03-29T01:00:00.000Z",
    "sensors": {
        "air": {"value": 21.56, "unit": "°C", "age": 3.2, "quality": "ok", "stale": False, "simulated": True},
        "door": {"value": True, "unit": "", "age": 400.0, "quality": "ok", "stale": False, "simulated": False},
        "soil": {"value": None, "unit": "%", "age": None, "quality": None, "stale": True, "error": "No answer."},
        "cellar": {"value": 85.0, "unit": "°C", "age": 9000, "quality": "out_of_range", "stale": True},
    },
    "actuators": {
        "vent": {"state": "on", "until": None, "decided_by": "manual", "why": "on: phone, for 5m", "simulated": True},
        "fan": {"state": "off", "until": None, "decided_by": "default", "why": "off: nobody asks, it is the default"},
    },
    "alerts": 2,
}


HEALTH = {"storage": {"in_words": ["2 readings, in 0.1 MB of 50 MB."]}}
KNOWN = {"/api/status": STATUS, "/api/health": HEALTH}


class _Node(BaseHTTPRequestHandler):
    """Answers on a node's socket as the API does, and remembers what it was asked."""

    asked: list[tuple[str, str, Any]]

    def address_string(self) -> str:
        return "unix"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the parent's name
        pass

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        type(self).asked.append((self.command, self.path, json.loads(body) if body else None))
        if self.path == "/api/simulate" and json.loads(body)["sensor"] == "lamp":
            self._send(404, {"error": 'There is no sensor "lamp".', "status": 404})
        elif self.path == "/api/keys/broken":
            self._send(500, None)
        else:
            self._send(200, KNOWN.get(self.path, {"done": True}))

    def _send(self, status: int, document: object) -> None:
        text = b"" if document is None else json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = do_DELETE = _answer  # noqa: N815  the names that the parent calls


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Path]:
    """Answer on control.sock in a data folder whose path is longer than a socket's may be."""
    folder = tmp_path / ("long" * 30)
    folder.mkdir()
    inside = os.open(folder, os.O_PATH)
    _Node.asked = []
    with ThreadingUnixStreamServer(f"/proc/self/fd/{inside}/control.sock", _Node) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        yield folder
        server.shutdown()
    os.close(inside)


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [name for name in os.environ if name.startswith("OUTSTATION_")]:
        monkeypatch.delenv(name)
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    return tmp_path / "cwd"


def outstation(*words: str | Path, **environment: str) -> Result:
    return CliRunner().invoke(root, [str(word) for word in words], prog_name="outstation", env=environment)


def process(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*PROGRAM, *words], check=False, capture_output=True, text=True, timeout=30)


def test_help_needs_nothing_heavy() -> None:
    """What is not imported costs no time: `--help` takes 0.05 s here, of the 0.3 s that it may."""
    for words in ("['--help']", "['run', '--help']", "['keys', 'create', '--help']", "['service', 'print', '--help']"):
        program = f"import sys; from outstation.__main__ import root\ntry: root({words})\n"
        program += f"except SystemExit: sys.exit(repr({HEAVY!r} & set(sys.modules)))"
        done = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, text=True)
        assert done.stderr.strip() == "set()"
        assert "Usage:" in done.stdout


def test_the_version() -> None:
    assert process("--version").stdout == f"outstation {__version__}\n"


def test_asked_wrongly_is_2() -> None:
    for words in (
        ["nonsense"],
        ["run", "--port", "99999"],
        ["simulate", "door"],
        ["keys", "create", "x"],
        ["demo", "x"],
    ):
        assert outstation(*words).exit_code == 2
    assert process("nonsense").returncode == 2


def test_check_of_a_right_config(place: Path) -> None:
    (place / "outstation.toml").write_text('[[actuators]]\nname = "led"\ndriver = "gpio"\npin = 17\n')
    result = outstation("check")
    assert (result.exit_code, result.stdout) == (
        0,
        "outstation.toml is right: 0 sensors, 1 actuator, 0 devices, 0 rules.\n",
    )


def test_check_of_a_wrong_config(place: Path) -> None:
    (place / "shed.toml").write_text("[web]\nport = true\nreeds = 1\n")
    done = process("check", "shed.toml")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        'shed.toml, [web], key "port": expected a whole number, found true.',
        'shed.toml, [web], key "reeds": nobody reads this key; did you mean "reads"?',
        "shed.toml: 2 mistakes.",
    ]
    document = json.loads(outstation("check", "shed.toml", "--json").stdout)
    assert (document["file"], document["valid"], len(document["mistakes"])) == ("shed.toml", False, 2)


def test_check_of_nothing() -> None:
    if not Path("/etc/outstation/outstation.toml").exists():
        cure = "Write one: outstation init. Name one: outstation check FILE."
        assert outstation("check").stderr == f"There is no config to check. {cure}\n"
    assert outstation("check", "none.toml").exit_code == 1


def test_the_same_mistakes_stop_a_start_before_anything_is_made(place: Path) -> None:
    (place / "outstation.toml").write_text("[web]\nport = true\n")
    done = process("run")
    assert done.returncode == 1
    assert done.stderr == 'outstation.toml, [web], key "port": expected a whole number, found true.\n'
    assert not (place / "data").exists()


def test_a_folder_that_cannot_be_made_is_named(place: Path) -> None:
    (place / "file").touch()
    result = outstation("run", "--data", "file/data")
    assert result.exit_code == 1
    assert result.stderr.startswith("The data folder file/data cannot be made: not a directory. Name another with")


def test_a_folder_in_use_is_not_started_upon(place: Path) -> None:
    (place / "data").mkdir()
    with Owner(place / "data"):
        done = process("run")
    assert done.returncode == 1
    assert f"The data in data belong to process {os.getpid()} (" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_control_socket_that_cannot_be_made_is_named(place: Path) -> None:
    (place / "data" / "control.sock").mkdir(parents=True)
    done = process("run", "--port", "0")
    assert done.returncode == 1
    assert done.stderr.startswith("The control socket data/control.sock cannot be made: is a directory. Remove")


@pytest.mark.parametrize("words", [["status"], ["simulate", "door", "on"], ["retention"]])
def test_without_a_node_the_way_to_start_one(words: list[str], place: Path) -> None:
    result = outstation(*words)
    assert result.exit_code == 1
    assert result.stderr == "No node runs on the data in data. Start one: outstation run --data data\n"
    assert list(place.iterdir()) == []


def test_a_socket_that_a_killed_node_left_behind_is_nobody(node: Path, tmp_path: Path) -> None:
    stale = tmp_path / "stale"
    stale.mkdir()
    with ThreadingUnixStreamServer(str(stale / "control.sock"), _Node):
        pass
    assert (stale / "control.sock").exists()
    assert outstation("status", "--data", stale).stderr.startswith("No node runs on the data in")


def test_a_text_does_not_command_the_terminal() -> None:
    text = "\x1b[2J\r\n\u202eärger\x9b"
    row = _sensor("porch/a", {"value": text, "age": 3.0, "quality": "ok", "error": text})
    (line,) = columns([row])
    shown = r"\x1b[2J\r\n\u202eärger\x9b"
    assert line == f"porch/a  {shown}  3 s ago  {shown}"


def test_status_shows_the_node(node: Path) -> None:
    result = outstation("status", "--data", node)
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "shed at 2026-03-29T01:00:00.000Z",
        "  air     21.6 °C  3 s ago    simulated",
        "  door    on       7 min ago",
        "  soil    -        never      stale, No answer.",
        "  cellar  85.0 °C  2 h ago    stale, out of range",
        "  vent    on                  simulated, claimed by phone, for 5m",
        "  fan     off",
        "Alerts that stand: 2. Look at them: outstation alerts list",
        "2 readings, in 0.1 MB of 50 MB.",
    ]
    assert json.loads(outstation("status", "--json", OUTSTATION_DATA=str(node)).stdout) == STATUS


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on", True),
        ("OFF", False),
        ("true", True),
        ("71.5", 71.5),
        ("-3", -3),
        ("1e3", 1000.0),
        ("rain", "rain"),
        ("0", 0),
    ],
)
def test_simulate_sends_what_was_meant(node: Path, text: str, value: object) -> None:
    result = outstation("simulate", "door", text, "--for", "1m", "--data", node)
    assert (result.exit_code, result.stdout) == (0, f"door reads {text} for 1m.\n")
    ((method, path, body),) = _Node.asked
    assert (method, path, body) == ("POST", "/api/simulate", {"sensor": "door", "value": value, "for": "1m"})
    assert type(body["value"]) is type(value)


def test_simulate_says_why_not(node: Path) -> None:
    result = outstation("simulate", "lamp", "on", "--data", node)
    assert (result.exit_code, result.stderr) == (1, 'There is no sensor "lamp".\n')
    result = outstation("simulate", "door", "on", "--for", "soon", "--data", node)
    assert result.exit_code == 2
    assert 'expected a duration such as "30s"' in result.stderr


def test_an_answer_without_words_is_told_by_its_number(node: Path) -> None:
    result = outstation("keys", "revoke", "broken", "--data", node)
    assert (result.exit_code, result.stderr) == (1, "The node answered 500 Internal Server Error.\n")


def test_a_name_cannot_leave_its_place_in_the_path(node: Path) -> None:
    outstation("keys", "revoke", "../status?x", "--data", node)
    assert _Node.asked == [("DELETE", "/api/keys/..%2Fstatus%3Fx", None)]


@pytest.mark.parametrize("number", ["-habcdef", "--abcdef", "-1"])
def test_an_id_that_looks_like_an_option_is_an_id(node: Path, number: str) -> None:
    assert outstation("keys", "revoke", number, "--data", node).stdout == f"Key {number} is revoked.\n"
    assert _Node.asked == [("DELETE", f"/api/keys/{number}", None)]


def test_the_unit_is_printed_whole() -> None:
    result = outstation("service", "print")
    assert result.exit_code == 0
    assert "\n[Service]\n" in result.stdout
    assert result.stdout.endswith("WantedBy=multi-user.target\n")


def test_the_help_of_demo_names_the_speed_it_has() -> None:
    assert f"[default: {defaults.DEMO_SPEED:g}]" in outstation("demo", "--help").stdout
