"""Schemathesis asks a running node what its own document says, and a lot that it does not."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.running import KEY, Running
from tests.web.table import CONFIG

CHECKS = Path(__file__).with_name("schemathesis.toml")

DIALECTS = r"^/(update|s/update|channels|stream|write|query|ping|health|api/v2)"

ENDLESS = ("--exclude-path", "/api/stream")
"""What never ends is not waited for; tests/web/test_stream.py has it."""

LONG = [pytest.mark.long, pytest.mark.timeout(1800)]

thoroughly = pytest.param("examples,coverage,fuzzing,stateful", 100, marks=LONG, id="thoroughly")
"""Its phases, and how many examples of each operation chance makes."""


@pytest.fixture(scope="module")
def node(folder: Path) -> Iterator[Running]:
    with Running(folder / "data", CONFIG, module="tests.web.unlimited") as running:
        running.post("/api/readings", {"sensor": "porch/temperature", "value": 1})
        yield running


@pytest.mark.parametrize(("phases", "examples"), [pytest.param("coverage", 1, id="briefly"), thoroughly])
def test_all_checks_find_nothing_in_the_native_routes(
    node: Running, tmp_path: Path, phases: str, examples: int
) -> None:
    asked(node, tmp_path, phases, examples, "--checks", "all", *ENDLESS, "--exclude-path-regex", DIALECTS)


@pytest.mark.parametrize(("phases", "examples"), [pytest.param("fuzzing", 3, id="briefly"), thoroughly])
def test_the_dialects_answer_in_documented_shapes_and_never_with_a_fault(
    node: Running, tmp_path: Path, phases: str, examples: int
) -> None:
    checks = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
    asked(node, tmp_path, phases, examples, "--checks", checks, "--include-path-regex", DIALECTS)


def asked(node: Running, folder: Path, phases: str, examples: int, *words: str) -> None:
    """Run it; the log has every answer that nobody foresaw."""
    program = [str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(CHECKS), "run"]
    program += [f"http://127.0.0.1:{node.port}/openapi.json", "--header", f"X-API-Key: {KEY}", "--no-color"]
    program += ["--max-examples", str(examples), "--phases", phases, "--seed", "1", "--warnings", "off", *words]
    found = subprocess.run(program, capture_output=True, text=True, cwd=folder, timeout=1700, check=False)
    assert found.returncode == 0, found.stdout[-20_000:] + found.stderr[-2_000:]
    assert "Traceback" not in node.log.read_text()
