"""What a person is told at a start: where to look, the key once, and how to make another one."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.running import Running, free_port
from tests.system.waiting import until

LED = """
[[actuators]]
name = "led"
driver = "gpio"
pin = 17
simulate = true
"""

KEY = r"[\w-]{4,}\.[\w-]{30,}"
"""What a key looks like: it must stand nowhere that it should not."""

NO_KEY = {"OUTSTATION_API_KEY": ""}

PATH = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
"""With the command `outstation` on it, as for a person who has it installed."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with blanks in its name, in which a node is at home: its config, and later its data."""
    folder = tmp_path / "my greenhouse"
    folder.mkdir()
    (folder / "outstation.toml").write_text(LED)
    return folder


def test_at_a_terminal_the_key_is_shown_at_the_first_start_and_never_again(folder: Path) -> None:
    with _at_a_terminal(folder) as first:
        port, key = _port(first), _keys(first)[0]
        assert "shown this once" in first
        on = f"curl -X POST http://localhost:{port}/api/led -H 'Content-Type: application/json' -H 'X-API-Key: {key}'"
        (line,) = (line.strip() for line in first.splitlines() if "curl" in line)
        assert line == on + """ -d '{"action": "on"}'"""
        assert json.loads(_shell(line, folder))["state"] == "on"
    with _at_a_terminal(folder) as second:
        assert not _keys(second)
        assert "shown this once" not in second
        assert _shell(line.replace(str(port), str(_port(second)), 1), folder), "the key of the first start still works"


def test_every_address_that_is_printed_answers(folder: Path) -> None:
    with _at_a_terminal(folder) as said:
        urls = re.findall(r"http://\S+/", said.partition("Try it")[0])
        assert urls[0] == f"http://localhost:{_port(said)}/"
        for url in urls:
            assert _shell(f"curl -sS -g -o /dev/null -w '%{{http_code}}' '{url}'", folder) == "200"


def test_without_a_terminal_no_key_gets_into_the_journal(tmp_path: Path) -> None:
    with Running(tmp_path / "data", LED, env=NO_KEY) as node:
        until(lambda: "keys create" in node.log.read_text())
        said = node.log.read_text()
        assert f"http://localhost:{node.port}/" in said
        assert not _keys(said)
        assert _keys(_shell(_command(said), tmp_path)), "but it is told how to make one"
        assert not _keys(node.log.read_text())


def test_a_key_that_is_easy_to_guess_is_warned_of_and_never_shown(tmp_path: Path) -> None:
    with Running(tmp_path / "data", LED, env={"OUTSTATION_API_KEY": "gr33nhouse"}) as node:
        assert node.post("/api/led", {"action": "on"}, key="gr33nhouse").status == 200
        until(lambda: "To move outputs" in node.log.read_text())
        said = node.log.read_text()
    assert "warning: OUTSTATION_API_KEY" in said
    assert "16 characters" in said
    assert "gr33nhouse" not in said


def test_a_good_key_from_the_environment_is_not_warned_of(tmp_path: Path) -> None:
    with Running(tmp_path / "data", LED) as node:
        assert "warning" not in node.log.read_text()


@pytest.mark.parametrize("stdout", [">/dev/full", ">&-", "| true"])
def test_a_greeting_that_nobody_can_hear_does_not_end_the_node(folder: Path, stdout: str) -> None:
    environment = os.environ | PATH | NO_KEY
    line = f"{{ {{ outstation run --port 0; echo $? >status; }} {stdout}; }} 2>log"
    with subprocess.Popen(["sh", "-c", line], cwd=folder, env=environment) as shell:
        until(lambda: _answers(folder))
        time.sleep(0.5)
        assert _answers(folder)
        assert not (folder / "status").exists(), (folder / "log").read_text()
        lock = int((folder / "data" / "lock").read_text())
        os.kill(lock, signal.SIGTERM)
        shell.wait(10)
        until((folder / "status").exists)
    until(lambda: (folder / "status").read_text() == "0\n")
    assert "Traceback" not in (folder / "log").read_text()


def test_a_greeting_that_waits_for_a_reader_holds_nothing_up(folder: Path) -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with suppress(BlockingIOError):
        while True:
            os.write(writing, b"." * 4_096)
    os.set_blocking(writing, True)
    command = [sys.executable, "-m", "outstation", "run", "--port", str(free_port())]
    with (folder / "log").open("wb") as log, subprocess.Popen(command, cwd=folder, stdout=writing, stderr=log) as node:
        until(lambda: _answers(folder))
        time.sleep(2)
        assert _answers(folder), "its loop goes on"
        node.terminate()
        assert node.wait(10) == 0
    os.close(writing)
    os.close(reading)


@pytest.mark.parametrize("key", ["  padded-key-of-the-owner \n", "schlüssel-mit-umlaut"])
def test_a_key_from_the_environment_is_one_that_a_header_carries(tmp_path: Path, key: str) -> None:
    with Running(tmp_path / "data", LED, env={"OUTSTATION_API_KEY": key}) as node:
        until(lambda: "To move outputs" in node.log.read_text())
        if key.isascii():
            assert node.post("/api/led", {"action": "on"}, key=key.strip()).status == 200
            assert "will never match" not in node.log.read_text()
        else:
            until(lambda: "will never match" in node.log.read_text())


def test_a_padded_placeholder_is_warned_of(tmp_path: Path) -> None:
    with Running(tmp_path / "data", LED, env={"OUTSTATION_API_KEY": "changeme-changeme-changeme"}) as node:
        until(lambda: "easy to guess" in node.log.read_text())


def test_the_refusal_tells_how_to_make_a_key_and_that_command_works_as_it_stands(folder: Path) -> None:
    with _at_a_terminal(folder) as said:
        on = f"""curl -sS -X POST http://localhost:{_port(said)}/api/led -H 'Content-Type: application/json' """
        on += """-d '{"action": "on"}'"""
        error = json.loads(_shell(on, folder))["error"]
        (key,) = _keys(_shell(_command(error), folder))
        assert json.loads(_shell(f"{on} -H 'X-API-Key: {key}'", folder))["state"] == "on"


@contextmanager
def _at_a_terminal(folder: Path) -> Iterator[str]:
    """Run `outstation run` in a folder, at a terminal of its own; yield what it says until it is ready."""
    here, there = pty.openpty()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OUTSTATION_")} | PATH
    command = [sys.executable, "-m", "outstation", "run", "--port", str(free_port())]
    process = subprocess.Popen(command, cwd=folder, stdin=there, stdout=there, stderr=there, env=environment)
    os.close(there)
    try:
        yield _read(here)
    finally:
        process.terminate()
        assert process.wait(10) == 0
        os.close(here)


def _read(terminal: int) -> str:
    """Return what is printed, up to the last line of the greeting."""
    said, give_up = "", time.monotonic() + 20
    while not re.search(r"(Try it:|need a key.*)\r?\n.*\n", said):
        assert time.monotonic() < give_up, said
        said += os.read(terminal, 4096).decode()
    return said.replace("\r\n", "\n")


def _answers(folder: Path) -> bool:
    asked = subprocess.run(
        [sys.executable, "-m", "outstation", "status"], cwd=folder, capture_output=True, check=False, timeout=20
    )
    return asked.returncode == 0


def _port(said: str) -> int:
    found = re.search(r"http://localhost:(\d+)/", said)
    assert found, said
    return int(found[1])


def _keys(said: str) -> list[str]:
    return list(dict.fromkeys(re.findall(KEY, said)))


def _command(said: str) -> str:
    """Return the command that a message gives."""
    found = re.search(r"\S*outstation keys create .*?(?=[.;]?$)", said, re.MULTILINE)
    assert found, said
    return found[0]


def _shell(line: str, folder: Path) -> str:
    """Run a line as a person would who copied it."""
    environment = os.environ | PATH
    done = subprocess.run(
        ["sh", "-c", line], cwd=folder, capture_output=True, text=True, check=False, env=environment, timeout=20
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
