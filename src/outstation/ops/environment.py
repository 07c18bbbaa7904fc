"""A Python environment of its own for an installed program, made of what the environment has that calls.

The law of this file: no network and no compiler is needed, since what runs here runs there; only what the program needs
goes along, not the tools of whoever develops it.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
import sysconfig
import tempfile
import venv
import zipfile
import zlib
from collections.abc import Callable, Iterator
from email.parser import HeaderParser
from importlib.metadata import Distribution, distributions
from pathlib import Path, PurePosixPath

import outstation
from outstation.errors import OutstationError
from outstation.ops.service import in_home

_OURS = "outstation"
_LEFT_HERE = "dev"
"""The extra with the tools of developers."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z.!+_-]{0,99}")
_LOCK = re.compile(r"[^/]+\.dist-info/extra_metadata/requirements\.lock")
_LOCKED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*==[0-9A-Za-z.!+_-]+")
_LOCK_BYTES = 256 * 1024
_EXTRA = re.compile(r"""extra\s*==\s*['"]([\w-]+)['"]""")
_SCRIPT = """\
#!{python}
from outstation.__main__ import main

main()
"""


def refuse_home(python: Path) -> None:
    """Raise OutstationError where the Python itself lies where a service may not look."""
    if in_home(python):
        raise OutstationError(
            f"This Python lies in {python}, where a service sees nothing.",
            cure="Make .venv anew with the system's: rm -r .venv; PYTHON=/usr/bin/python3 scripts/install",
        )


def make(target: Path, *, program: bool = True) -> None:
    """Make an environment. program: with the program itself, as it is here. Raises OutstationError, OSError."""
    here = Path(sys.prefix)
    shared = "include-system-site-packages = true" in _read(here / "pyvenv.cfg")
    venv.EnvBuilder(system_site_packages=shared, symlinks=True, clear=True).create(target)
    packages = site_packages(target)
    for each in needed():
        if _name(each) != _OURS:
            _copy(each, packages)
    if program:
        _copy_program(packages)
    _compile(target)


def write_command(target: Path, runs_at: Path) -> None:
    """Write what calls the program of an environment that will be at `runs_at`."""
    script = target / "bin" / _OURS
    script.write_text(_SCRIPT.format(python=runs_at / "bin" / "python"))
    script.chmod(0o755)


def add_wheel(target: Path, wheel: Path, say: Callable[[str], None]) -> None:
    """Install a wheel of the program in an environment: with what it needs besides, from beside it or the network.

    In the versions that its tests passed with; where these cannot be had, the packages that are there stay, and it is
    said. Raises OutstationError.
    """
    python = str(target / "bin" / "python")
    pip = [python, "-I", "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"]
    asked = [*pip, "--no-cache-dir", *beside(wheel), str(wheel)]
    with tempfile.TemporaryDirectory() as folder:
        constraint = _locked(wheel, Path(folder))
        try:
            _run([*asked, *constraint], f"filled from {wheel}")
        except OutstationError as error:
            if not constraint:
                raise
            _run(asked, f"filled from {wheel}")
            say(f"{error} So it has the packages that are here, in versions that its tests may not have seen.")
    _compile(target)


def _locked(wheel: Path, folder: Path) -> list[str]:
    """Return how pip is told of the versions that a wheel was tested with, if it has them in it.

    Names and versions, and nothing else that pip would do there, such as asking another index.
    """
    with zipfile.ZipFile(wheel) as opened:
        locks = [name for name in opened.namelist() if _LOCK.fullmatch(name)]
        if not locks:
            return []
        with opened.open(locks[0]) as lock:
            lines = lock.read(_LOCK_BYTES).decode("utf-8", "replace").splitlines()
    constraint = folder / "requirements.lock"
    constraint.write_text("".join(f"{line}\n" for line in lines if _LOCKED.fullmatch(line)))
    return ["--constraint", str(constraint)]


def beside(wheel: Path) -> list[str]:
    """Return how pip is told of the wheel's folder: not of /tmp, where everybody may put what root would run."""
    return [] if wheel.parent.stat().st_mode & stat.S_IWOTH else ["--find-links", str(wheel.parent)]


def version_of(wheel: Path) -> str:
    """Return the version of the program in a wheel. Raises OutstationError where it is none of ours."""
    try:
        with zipfile.ZipFile(wheel) as opened:
            names = [name for name in opened.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", name)]
            fields = HeaderParser().parsestr(opened.read(names[0]).decode() if names else "")
            broken = opened.testzip()
    except FileNotFoundError:
        raise OutstationError(
            f"There is no file {wheel}.", cure="Name a wheel: outstation-X.Y.Z-py3-none-any.whl"
        ) from None
    except (OSError, EOFError, RuntimeError, UnicodeDecodeError, zipfile.BadZipFile, zlib.error) as error:
        raise OutstationError(f"{wheel} is no wheel: {error}.", cure="Fetch it again. Nothing was changed.") from error
    if broken:
        raise OutstationError(f"{wheel} is damaged, at {broken}.", cure="Fetch it again. Nothing was changed.")
    if (fields.get("Name") or "").lower() != _OURS:
        what = fields.get("Name") or "nothing that pip knows"
        raise OutstationError(f"{wheel} holds {what}, not Outstation.", cure="Name another. Nothing was changed.")
    version = fields.get("Version") or ""
    if not _VERSION.fullmatch(version):  # it becomes the name of a folder
        raise OutstationError(f"{wheel} has no version: {version!r}.", cure="Name another. Nothing was changed.")
    return version


def knows_version(environment: Path) -> int:
    """Return up to which version of the data file the program in an environment knows."""
    return len(list((site_packages(environment) / _OURS / "store" / "migrations").glob("*.sql")))


def site_packages(environment: Path) -> Path:
    """Return where an environment of this Python keeps its packages."""
    at = {"base": str(environment), "platbase": str(environment)}
    return Path(sysconfig.get_path("purelib", "venv", vars=at))


def needed() -> list[Distribution]:
    """Return what the program needs and who extends it, as far as it is installed here; and pip, for the next one."""
    here = {_name(each): each for each in distributions() if Path(str(each.locate_file(""))).is_relative_to(sys.prefix)}
    plugins = [name for name, each in here.items() if any(e.group.startswith(f"{_OURS}.") for e in each.entry_points)]
    found: dict[str, Distribution] = {}
    waiting = [_OURS, "pip", *plugins]
    while waiting:
        name = waiting.pop()
        if name in here and name not in found:
            found[name] = here[name]
            waiting += _requires(here[name])
    return list(found.values())


def _requires(distribution: Distribution) -> Iterator[str]:
    """Return names. Of ours also those of extras, as far as somebody has installed them."""
    for line in distribution.requires or ():
        extra, name = _EXTRA.search(line), _NAME.match(line)
        if name and (extra is None or (_name(distribution) == _OURS and extra[1] != _LEFT_HERE)):
            yield _plain(name[0])


def _copy(distribution: Distribution, packages: Path) -> None:
    for file in distribution.files or ():
        place = PurePosixPath(os.path.normpath(file))
        if place.parts[0] == "..":  # scripts of its own, which name the other environment
            continue
        source = Path(str(distribution.locate_file(file)))
        if source.is_file():
            _copy_file(source, packages / place)


def _copy_program(packages: Path) -> None:
    """Copy the program from where it is imported: a clone's .venv only has a pointer to it."""
    source = Path(outstation.__file__).parent
    shutil.copytree(source, packages / _OURS, copy_function=_copy_file)
    told = next(each for each in distributions() if _name(each) == _OURS)
    folder = packages / f"{_OURS}-{outstation.__version__}.dist-info"
    folder.mkdir()
    for name in ("METADATA", "WHEEL", "entry_points.txt"):
        (folder / name).write_text(told.read_text(name) or "")
    (folder / "INSTALLER").write_text("outstation service install\n")
    files = (file.relative_to(packages) for part in (packages / _OURS, folder) for file in part.rglob("*"))
    (folder / "RECORD").write_text("".join(f"{file},,\n" for file in sorted(files) if (packages / file).is_file()))


def _copy_file(source: str | Path, target: str | Path) -> None:
    """Copy a file with its time, which says that what was compiled from it is right; not its rights."""
    Path(target).parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    there = Path(source).stat()
    os.utime(target, ns=(there.st_atime_ns, there.st_mtime_ns))


def _compile(target: Path) -> None:
    """Compile what is not yet: nobody may write it once the service runs."""
    _run([str(target / "bin" / "python"), "-I", "-m", "compileall", "-q", str(site_packages(target))], "compiled")


def _run(command: list[str], what: str) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True, errors="replace")
    if done.returncode:
        said = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        raise OutstationError(
            f"The new environment could not be {what}: {' '.join(said[-3:])[:600]}.",
            cure="Nothing that runs was touched.",
        )


def _name(distribution: Distribution) -> str:
    return _plain(distribution.metadata["Name"] or "")


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
