"""Makes a version of the program beside the one that runs, and has systemd put it in the place of that.

The law of this file: whatever can be wrong with the new version is looked for before anything is touched; and what has
to be done then is written down, and done by a unit of systemd's, so that nobody's end, and no power cut, is in its way.
"""

from __future__ import annotations

import contextlib
import datetime
import itertools
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path

from outstation.config import Config
from outstation.errors import NewerFileError, OutstationError
from outstation.ops import environment, plan, safekeeping, service
from outstation.ops.places import FINISHER, SOCKET, UNIT, Content, Places, found, put, put_all, write
from outstation.ops.plan import Plan
from outstation.ops.site import Site
from outstation.store import file

_LOOKS_S = 0.5
_LOOKS_FOR_WORKER = 20
_DISTURBING = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)

Build = Callable[[Path], None]
"""Makes an environment in a folder."""


def build(site: Site, version: str, make: Build) -> Path:
    """Make a version beside those that there are; return its folder. Raises OutstationError: then nothing was left."""
    folder = _free(site.places.program / "versions", version)
    site.say(f"Making {folder} ...")
    with _words(folder):
        try:
            make(folder)
            environment.write_command(folder, Path("/") / folder.relative_to(site.places.root))
            _try_out(folder)
            os.sync()  # all of it is on the disk before a link leads there: the power may fail right afterwards
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
    return folder


def deploy(site: Site, new: Path, config: Config, *, judge: str = "", anyway: bool = False) -> str:
    """Have a version that was built take the place of the old one; return in words what became of it.

    judge: the version whose program decides, "": the new one. anyway: a node that does not run is started as well, and
    at each boot. Raises OutstationError: then what ran before runs.
    """
    places = site.places
    try:
        refuse_newer_data(site, new)
        with _words(places.current):
            if not places.live:
                return _into_image(places, new, config)
            write(places.unit(FINISHER), service.finisher(judge or new.name), 0o644)
            put(places.wants(FINISHER), f"/etc/systemd/system/{FINISHER}")
            site.systemd.reload()
            with _undisturbed():
                plan.note(places, planned(site, new, config, anyway=anyway))
                site.systemd.begin_finisher()
    except (OSError, OutstationError):
        plan.drop(places)
        shutil.rmtree(new)
        raise
    return follow(site)


def follow(site: Site) -> str:
    """Wait until an upgrade is at its end, and return in words what became of it. Raises OutstationError."""
    told, looks = 0, itertools.count(1)
    try:
        while (now := plan.unfinished(site.places)) is not None:
            for line in now.said[told:]:
                site.say(line)
            told = len(now.said)
            time.sleep(_LOOKS_S)
            if next(looks) % _LOOKS_FOR_WORKER == 0 and site.systemd.finisher_cannot():
                cure = "Its log: journalctl -u outstation-upgrade; to have it done: sudo outstation service finish"
                raise OutstationError("Nothing works on it: outstation-upgrade.service does not run.", cure=cure)
    except KeyboardInterrupt:
        raise OutstationError("It goes on without you.", cure="How it ends: outstation service status") from None
    done = plan.last(site.places)
    if done is None:
        raise OutstationError("How it ended could not be written down.", cure="outstation service status")
    for line in done.said[told:]:
        site.say(line)
    if not done.taken:
        raise OutstationError(done.words)
    return done.words


def finish_what_was_begun(site: Site) -> None:
    """Have an upgrade that was cut off brought to its end first, whichever that is."""
    if (cut_off := plan.unfinished(site.places)) is None:
        return
    site.say(f"The upgrade to {cut_off.new} of {cut_off.begun} was not at its end: that comes first.")
    site.systemd.begin_finisher()
    try:
        site.say(follow(site))
    except OutstationError as error:
        if plan.unfinished(site.places) is not None:  # somebody has no time for it: nor for what was to come then
            raise
        site.say(str(error))


def refuse_newer_data(site: Site, program: Path) -> None:
    """Raise NewerFileError where the data are of a newer program than this one."""
    known, there = environment.knows_version(program), safekeeping.data_version(site.places)
    if there > known:
        raise NewerFileError(
            f"{site.places.data / file.NAME} is of version {there}, and {program.name} knows {known}: "
            "it would not open it.",
            cure="Install the newer program again, or restore a backup of the older one's time. Nothing was changed.",
        )


def planned(site: Site, new: Path, config: Config, *, anyway: bool = False) -> Plan:
    """Return what is to be done, from what there is now. Nothing is done."""
    places = site.places
    if places.unit(UNIT).is_symlink():
        cure = "sudo systemctl unmask outstation; what it leads to is not replaced."
        raise OutstationError(f"{places.unit(UNIT)} is a link: somebody has masked the service.", cure=cure)
    wanted = {**_kept_unit(site), **_wanted(places, new, config, at_boot=anyway)}
    ran = site.systemd.is_active()
    return Plan(
        old=places.version(),
        new=new.name,
        begun=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        wanted=wanted,
        before=_as_it_is(wanted),
        ran=ran,
        run=ran or anyway,
        aside=tuple(each.name for each in safekeeping.put_aside(places)),
        older=safekeeping.kept_by_programs(places.data),
    )


def _wanted(places: Places, new: Path, config: Config, *, at_boot: bool) -> dict[str, Content]:
    """Return what is to be where. The link first: a new program runs by an old unit, not the other way round."""
    units = _units_of(places, new) or service.units(config)
    wanted: dict[Path, Content] = {places.current: f"versions/{new.name}"}
    for path, text in places.fixed_files().items():
        wanted[path] = (text.encode(), 0o755 if path == places.command else 0o644)
    for name in (UNIT, SOCKET):
        wanted[places.unit(name)] = (units[name].encode(), 0o644) if name in units else None
    if at_boot:
        wanted[places.wants(UNIT)] = f"/etc/systemd/system/{UNIT}"
    return {str(path): content for path, content in wanted.items()}


def _units_of(places: Places, new: Path) -> dict[str, str]:
    """Return the units that a version says it needs, by their names; none where it says nothing."""
    words = ["-I", "-m", "outstation", "service", "print", "--config", str(places.config)]
    python = new / "bin" / "python"
    if not python.exists():
        return {}
    done = subprocess.run([python, *words], check=False, capture_output=True, text=True, errors="replace", cwd="/")
    return service.printed(done.stdout) if done.returncode == 0 else {}


def _kept_unit(site: Site) -> dict[str, Content]:
    """Give a unit that somebody has written by hand another name: systemd knows none that ends so."""
    path = site.places.unit(UNIT)
    text = path.read_text() if path.exists() else ""
    if not text or text.startswith(service.HEAD):
        return {}
    kept = path.with_name(f"{UNIT}.before-install")
    site.say(f"{path} was not ours: it is kept as {kept}.")
    return {str(kept): (text.encode(), 0o644)}


def _as_it_is(wanted: Mapping[str, Content]) -> dict[str, Content]:
    return {path: found(Path(path)) for path in wanted}


def _into_image(places: Places, new: Path, config: Config) -> str:
    before, wanted = places.version(), _wanted(places, new, config, at_boot=True)
    there = _as_it_is(wanted)
    try:
        put_all(wanted)
    except OSError:
        put_all(there)
        raise
    clear(places, {new.name, before})
    return f"{new.name} is in {places.root}."


def clear(places: Places, kept: Collection[str]) -> None:
    """Remove versions but these, and what is left of those that were never whole."""
    for old in (places.program / "versions").iterdir():
        if old.name not in kept:
            shutil.rmtree(old, ignore_errors=True)


def _free(versions: Path, version: str) -> Path:
    names = [version, *(f"{version}-{number}" for number in range(2, 1_000))]
    return next(versions / name for name in names if not (versions / name).exists())


def _try_out(folder: Path) -> None:
    python = str(folder / "bin" / "python")
    done = subprocess.run(
        [python, "-I", "-m", "outstation", "--version"],
        check=False,
        capture_output=True,
        text=True,
        errors="replace",
        cwd="/",
    )
    if done.returncode:
        said = " ".join(done.stderr.split()[-40:])
        raise OutstationError(f"The new program does not start: {said}", cure="Nothing that runs was touched.")


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Let a terminal that goes, or a person's Ctrl-C, wait: a plan that is written and not begun comes by surprise."""
    came: list[int] = []
    before = {each: signal.signal(each, lambda number, _: came.append(number)) for each in _DISTURBING}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
        for number in came:
            signal.raise_signal(number)


@contextlib.contextmanager
def _words(place: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        why = os.strerror(error.errno or 0).lower()
        raise OutstationError(
            f"{error.filename or place} could not be written: {why}.", cure="Make room, or see to its rights."
        ) from error
