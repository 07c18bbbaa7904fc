"""Takes a person's config and data along into the installed service: copied, never moved, and never over what is there.

The law of this file: what a service cannot reach is told before anything is copied, and a node that runs keeps its data
to itself.
"""

from __future__ import annotations

import re
import shutil
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from outstation.errors import OutstationError
from outstation.ops import service
from outstation.ops.places import Places, give_to_node, write
from outstation.owner import Owner
from outstation.store import backup, file

_NO_QUOTES = re.compile(r"[\w@%+=:,./-]*", re.ASCII)

_SECRETS_HEAD = """\
# Secrets that /etc/outstation/outstation.toml names by env:NAME, one NAME="value" a line (EnvironmentFile= of
# systemd.exec(5)). Afterwards: sudo systemctl restart outstation
"""


class Luggage(msgspec.Struct, frozen=True):
    """What goes along with a config. files: that it names, relative to it. secrets: by the names in env:NAME."""

    config: Path
    files: tuple[str, ...]
    secrets: Mapping[str, str]


def packed(config: Path, environment: Mapping[str, str]) -> Luggage:
    """Return what goes along with a config. Raises OutstationError where a service could not reach it."""
    texts = list(_texts(tomllib.loads(config.read_text("utf-8"))))
    names = [text.removeprefix("env:") for text in texts if text.startswith("env:")]
    files = []
    for name in dict.fromkeys(text.removeprefix("file:") for text in texts):
        path = _file(config.parent, name)
        if path is None:
            continue
        if not Path(name).is_absolute() and path.resolve().is_relative_to(config.parent.resolve()):
            files.append(name)
        elif not Path(name).is_absolute() or service.in_home(path):
            raise OutstationError(
                f"{config} names {name}, which a service would not see.",
                cure=f"Put it beside the config, in {config.absolute().parent}, and name it by its name alone.",
            )
    return Luggage(config, tuple(files), {name: environment[name] for name in names if name in environment})


def take_config(luggage: Luggage, places: Places) -> None:
    """Copy a config, what it names, and its secrets. Nothing that is there is written over."""
    folder = places.config.parent
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    for name, source in [
        *((each, luggage.config.parent / each) for each in luggage.files),
        (places.config.name, luggage.config),
    ]:
        target = folder / name
        if target.exists():
            continue
        target.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        write(target, source.read_bytes(), 0o640)
    add_secrets(luggage.secrets, places)


def add_secrets(secrets: Mapping[str, str], places: Places) -> None:
    """Add secrets to the file of the service, which only root reads."""
    path = places.at(service.SECRETS)
    there = read_secrets(places)
    text = path.read_text("utf-8") if path.exists() else _SECRETS_HEAD
    text += "".join(f"{name}={_quoted(value)}\n" for name, value in secrets.items() if name not in there)
    write(path, text, 0o600)


def read_secrets(places: Places) -> dict[str, str]:
    """Return the secrets in the file of the service, as systemd reads them."""
    try:
        lines = places.at(service.SECRETS).read_text("utf-8").splitlines()
    except FileNotFoundError:
        return {}
    pairs = (line.strip().partition("=") for line in lines if line.strip()[:1] not in ("", "#", ";"))
    return {name.strip(): _unquoted(value.strip()) for name, _, value in pairs}


def take_data(source: Path, places: Places) -> backup.Restored:
    """Copy the data of a node that does not run: by the pages of the file, each looked at. Raises OutstationError."""
    places.data.mkdir(mode=0o750, parents=True, exist_ok=True)
    with Owner(source), Owner(places.data):
        done = backup.restore(source / file.NAME, places.data)
    for path in (places.data, *places.data.iterdir()):
        give_to_node(path, places)
    return done


def refuse_small_disk(source: Path, places: Places) -> None:
    """Raise OutstationError where the data would not fit."""
    needed, folder = (source / file.NAME).stat().st_size, places.data
    while not folder.exists():
        folder = folder.parent
    if (free := shutil.disk_usage(folder).free) < needed * 1.1:
        raise OutstationError(
            f"{source / file.NAME} has {needed / 1e6:,.0f} MB, and {places.data} has room for {free / 1e6:,.0f}.",
            cure="Make room, or begin without it: --fresh. Nothing was changed.",
        )


def _file(folder: Path, name: str) -> Path | None:
    """Return the file that a text of a config names, if it names one."""
    path = folder / (Path(name).expanduser() if name.startswith("~/") else Path(name))
    try:
        return path if name and path.is_file() else None
    except OSError:  # too long for a name: it is none
        return None


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)


def _quoted(value: str) -> str:
    if _NO_QUOTES.fullmatch(value):
        return value
    return '"' + re.sub(r'(["\\`$])', r"\\\1", value) + '"'


def _unquoted(value: str) -> str:
    if len(value) > 1 and value[0] == value[-1] == "'":
        return value[1:-1]
    if len(value) > 1 and value[0] == value[-1] == '"':
        return re.sub(r'\\(["\\`$])', r"\1", value[1:-1])
    return value
