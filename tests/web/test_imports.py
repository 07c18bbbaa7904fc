"""Nothing that serves one feature is imported before the feature is used: a small machine pays for what it uses."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.running import KEY, Running

WAITING = {
    "fastapi": "the API's framework",
    "starlette": "the API's framework",
    "anyio": "the API's framework",
    "outstation.web.api.questions": "the API's framework",
    "outstation.web.api.document": "the API's document",
    "gpiod": "pins that are not simulated",
    "outstation.devices.recorded": "recordings",
    "outstation.devices.python_file": "a sensor of the owner's own making",
    "outstation.cli.control": "commands to a running node",
    "outstation.cli.offline": "commands without one",
}
"""Modules, and the feature that each waits for."""

NEVER = (
    "sqlite3",
    "http.client",
    "http.server",
    "unittest",
    "xml",
    "pdb",
    "doctest",
    "websockets",
    "h11",
    "jinja2",
    "httpx",
    "pytest",
    "outstation.testing",
)
"""What no running node has a use for."""


def loaded_after(folder: Path, use: Callable[[Running], object], config: str | None = None) -> set[str]:
    """Return the modules that a node has at its end, after it was used so."""
    file = folder / "loaded"
    with Running(folder / "data", config, module="tests.web.loaded", env={"LOADED": str(file)}) as node:
        use(node)
    return set(file.read_text().split())


def use_the_device(node: Running) -> None:
    """What the default device is for, all but the history."""
    assert node.get("/api/status").status == 200
    assert node.get("/api/health").status == 200
    assert node.get("/").status == 200
    assert node.get("/docs").status == 200
    assert node.post("/api/readings", {"sensor": "porch/temperature", "value": 1}).status == 200
    assert node.post("/api/led", {"action": "on"}).status == 200
    assert node.post("/api/led", {"action": "on"}, key=KEY[:-1]).status == 401


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    return loaded_after(tmp_path_factory.mktemp("loaded"), use_the_device)


@pytest.mark.parametrize("module", WAITING)
def test_a_feature_that_nobody_used_is_not_loaded(loaded: set[str], module: str) -> None:
    assert module not in loaded, f"this serves {WAITING[module]} alone"


@pytest.mark.parametrize("module", NEVER)
def test_what_no_node_needs_is_not_loaded(loaded: set[str], module: str) -> None:
    assert module not in loaded


@pytest.mark.parametrize("module", WAITING)
def test_each_name_is_that_of_a_module(module: str) -> None:
    assert find_spec(module)


def test_a_feature_is_loaded_when_it_is_used(tmp_path: Path) -> None:
    def use(node: Running) -> None:
        assert node.get("/api/readings").status == 200
        assert node.get("/openapi.json").status == 200

    loaded = loaded_after(tmp_path, use)
    waiting = {module for module, feature in WAITING.items() if feature.startswith("the API")}
    assert waiting <= loaded
