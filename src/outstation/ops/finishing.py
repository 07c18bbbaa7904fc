"""Brings an upgrade to its end, forward or back, from wherever it was left.

The law of this file: it may be killed anywhere, and is then begun anew by systemd, also at the next boot: each step is
noted before it is done, and does no harm when it is done twice. Until the one order that stops the old node and starts
the new one the old one runs; whatever happens afterwards, what ran before runs again, on the data that it left.
"""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path
from typing import Any

import msgspec

from outstation.errors import OutstationError
from outstation.ops import environment, plan, safekeeping, service
from outstation.ops.deploying import clear
from outstation.ops.places import UNIT, Places, alone, give, give_to_node, put_all
from outstation.ops.site import Site, waited

_LOG = "All of its log: outstation service logs"


def finish(site: Site) -> None:
    """Bring the upgrade that was begun to its end, if there is one."""
    with alone(site.places, "finishing"):
        try:
            begun = plan.unfinished(site.places)
        except OutstationError as error:
            _give_up(site, error)
            return
        if begun is not None:
            _Upgrade(site, begun).finish()


def _give_up(site: Site, error: OutstationError) -> None:
    """Leave what there is, and have it run: nothing else can be known."""
    aside = plan.put_aside(site.places)
    site.say(f"{error.message} It is called {aside} now, and what is installed stays as it is.")
    if site.places.wants(UNIT).is_symlink():
        site.systemd.start()


class _Upgrade:
    def __init__(self, site: Site, begun: plan.Plan) -> None:
        self._plan, self._places, self._systemd = begun, site.places, site.systemd
        self._tell = site.say
        self._site = msgspec.structs.replace(site, say=self._say)

    def finish(self) -> None:
        new, old = self._plan.new, self._plan.old
        if not self._plan.why:
            self._try()
        taken = not self._plan.why
        words = self._taken() if taken else self._not_taken()
        if taken:
            clear(self._places, {new, old})
        plan.end(self._places, plan.Outcome(new, taken, words, self._plan.said))
        self._tell(words)
        if not taken and self._places.version() != new:  # where there was no way back, it is the only one
            shutil.rmtree(self._places.program / "versions" / new, ignore_errors=True)

    def _try(self) -> None:
        try:
            if not self._plan.copied:
                self._keep_data()
            self._put_in_place()
            if self._plan.run:
                self._start()
        except Exception as error:  # noqa: BLE001 - whatever it was, what ran before is to run again
            self._plan = msgspec.structs.replace(self._plan, why=f"{error}\n{self._last_words()}".rstrip())
            with contextlib.suppress(OSError):  # there may be no room, and no reason not to go back
                plan.note(self._places, self._plan)

    def _keep_data(self) -> None:
        _hand_over(self._places)  # root may have been at work there
        kept = safekeeping.keep(self._site, lambda: self._note(stopped=True))
        version = safekeeping.data_version(self._places)
        self._note(copied=True, copy=str(kept.path or ""), damaged=kept.damaged, version=version)

    def _put_in_place(self) -> None:
        put_all(self._plan.wanted)
        self._systemd.make_user()
        _hand_over(self._places)
        self._systemd.reload()

    def _start(self) -> None:
        if self._plan.invocation is None:
            if self._plan.ran and not self._plan.stopped and not self._systemd.is_active():
                self._note(run=False)  # somebody has stopped it meanwhile
                return
            self._note(invocation=self._systemd.invocation())
        self._site.say(self._starting())
        if self._systemd.invocation() == self._plan.invocation:
            self._systemd.restart()
        else:  # the order was given before this process began, or the machine has started anew
            self._systemd.start()
        if trouble := waited(self._site):
            if not self._systemd.is_active():  # systemd starts again what ends by itself
                self._note(ran=False)
                raise OutstationError("Somebody has stopped the node before it was known to be well.")
            raise OutstationError(f"The node was not well within {self._site.within_s:g} s: {trouble}")

    def _last_words(self) -> str:
        try:
            return self._systemd.last_words()
        except OutstationError:
            return ""

    def _starting(self) -> str:
        known = environment.knows_version(self._places.program / "versions" / self._plan.new)
        if 0 < self._plan.version < known:
            form = f"from version {self._plan.version} to {known}"
            return f"Starting it. First the data file is brought {form}, which may take long ..."
        return "Starting it ..."

    def _taken(self) -> str:
        done = self._plan
        copy = f"\nThe data as they were before: {done.copy}" if done.copy else ""
        place = f" in the place of {done.old}" if done.old else ""
        if done.run:
            return f"{done.new} runs{place}, and is well.{copy}"
        boot = "" if self._places.wants(UNIT).is_symlink() else "\nAt each boot: sudo systemctl enable outstation"
        return (
            f"{done.new} is{place}. The node was stopped, and stays so: the new version has found the config right, "
            f"and was not started.{copy}\nTo start it: sudo systemctl start outstation{boot}"
        )

    def _not_taken(self) -> str:
        try:
            if not self._plan.back:
                self._go_back()
                with contextlib.suppress(OSError):
                    self._note(back=True)
            how = self._runs_again()
        except Exception as error:  # noqa: BLE001 - else it would be begun anew, and stop the node each time
            how = f"What ran before does not run as it did: {error} {_LOG}; copy: {self._plan.copy or 'none'}"
        rescued = [safekeeping.rescue(self._places, self._plan.new, each, self._plan.begun) for each in self._aside()]
        return "\n".join([f"{self._plan.new} was not taken: {self._plan.why}", how, *rescued])

    def _go_back(self) -> None:
        """Have everything as it was; also the data file if the new program has changed its form."""
        before = self._plan
        if not before.copied:  # nothing was put in place
            if before.ran and not self._systemd.is_active():
                self._systemd.start()
            return
        with contextlib.suppress(OutstationError):
            self._systemd.stop()
        try:
            if before.copy and safekeeping.data_version(self._places) != before.version:
                copy = Path(before.copy)  # first: without it the old program would refuse to start
                safekeeping.restore(self._places, copy, before.version, older=before.older, damaged=before.damaged)
            put_all(dict(reversed(before.before.items())))
        finally:
            self._systemd.reload()
            if before.ran:
                with contextlib.suppress(OutstationError):  # what is wrong is seen by asking it, and says less
                    self._systemd.start()

    def _runs_again(self) -> str:
        """Return what is as it was. Raises OutstationError where that does not run."""
        if self._plan.ran and (trouble := waited(self._site)):
            raise OutstationError(trouble)
        what = (
            "Program and data are as they were" if self._aside() else "Everything is as it was, and no reading is lost"
        )
        return f"{what}: {f'{self._places.version()} runs again' if self._plan.ran else 'nothing runs'}. {_LOG}"

    def _aside(self) -> list[Path]:
        """Return what was put aside since the upgrade began, by whichever process: what the new program wrote."""
        return [each for each in safekeeping.put_aside(self._places) if each.name not in self._plan.aside]

    def _note(self, **changed: Any) -> None:
        self._plan = msgspec.structs.replace(self._plan, **changed)
        plan.note(self._places, self._plan)

    def _say(self, text: str) -> None:
        """Tell who reads the journal, and who follows the plan."""
        self._tell(text)
        self._note(said=(*self._plan.said, text))


def _hand_over(places: Places) -> None:
    """Give the node what is its own, and let it read its config."""
    if not places.is_here:
        return
    for folder in (places.data, places.at(service.BACKUPS)):
        if folder.exists():
            for path in (folder, *folder.iterdir()):
                give_to_node(path, places)
    for path in places.config.parent.rglob("*"):
        if path != places.at(service.SECRETS):
            give(path, "root", "outstation")
