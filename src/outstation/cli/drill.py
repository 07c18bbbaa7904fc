"""`drill`: whether the outputs are safe in time when the node dies, seen at the pins."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from outstation.cli.root import config_option, data_option, json_option, print_json, root
from outstation.errors import OutstationError, OwnedError

if TYPE_CHECKING:
    from outstation.config import Config
    from outstation.ops.drill import Outcome

_CHIPS = {"kept": "keeps", "floating": "lets go", "real": "real"}


@root.command()
@config_option
@data_option
@click.option("--hardware", is_flag=True, help="Drill the real pins. Their node must be stopped; needs root.")
@click.option("--yes", is_flag=True, help="Do not ask before real outputs are switched.")
@json_option
def drill(config: Path | None, data: Path, *, hardware: bool, yes: bool, as_json: bool) -> None:
    """Kill, freeze and stop a node; say how soon its outputs were safe.

    It is a node of its own, with the outputs of the config and without its rules. Their pins are simulated, each on
    a chip that keeps a line that nobody holds and on one that lets go. The node that runs here is not touched.
    Takes some 20 s. Exits 1 when an output was not safe in time or did not stay so.

    \b
    Examples:
      outstation drill
      outstation drill --config greenhouse.toml --json
      sudo outstation drill --hardware --data /var/lib/outstation
    """
    from outstation.ops import drill as ops
    from outstation.ops.drill_pins import of_config

    pins, left_out = of_config(_config(config), hardware=hardware)
    if not pins:
        raise OutstationError(" ".join(["There is no output to drill.", *(f"{each}." for each in left_out)]))
    if hardware and not yes:
        _confirm(sorted({pin.actuator for pin in pins}))
    for signum in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, _end)
    with _none_runs(data) if hardware else contextlib.nullcontext():
        outcomes = list(ops.drill(_program(), pins, _progress()))
    passed = all(each.passed for each in outcomes)
    if as_json:
        print_json(_document(outcomes, left_out, passed=passed))
    else:
        for line in _words(outcomes, left_out):
            click.echo(line)
    click.get_current_context().exit(0 if passed else 1)


def _config(option: Path | None) -> Config:
    from outstation import defaults
    from outstation.config import find, load
    from outstation.devices.gpio import has_header

    file = find(option)
    return load(file) if file else defaults.device(simulate=not has_header())


def _confirm(names: list[str]) -> None:
    if not sys.stdin.isatty():
        raise click.UsageError("--hardware switches real outputs: say --yes where nobody can be asked.")
    click.echo(f"This switches real outputs to where they are not safe, several times: {', '.join(names)}.")
    if click.prompt("Type yes to go on", default="no", show_default=False) != "yes":
        raise OutstationError("Nothing was switched.")


@contextlib.contextmanager
def _none_runs(data: Path) -> Iterator[None]:
    """Hold the lock of the node whose outputs these are. Raises OutstationError while it runs."""
    from outstation.owner import Owner

    with contextlib.ExitStack() as held:
        try:
            if data.exists():
                held.enter_context(Owner(data))
        except OwnedError as error:
            raise OutstationError(error.message, cure="Its real outputs can be drilled when it is stopped.") from error
        yield


def _end(signum: int, _: object) -> None:
    """End in order: what was started ends, too."""
    sys.exit(128 + signum)


def _program() -> list[str]:
    """Return the words with which this very program was called, up to its command."""
    words = sys.orig_argv
    called = words[1 : words.index("drill")] if "drill" in words else ["-m", "outstation"]
    return [sys.executable, *called]


def _progress() -> Callable[[str], None]:
    """Return what tells a person what goes on; in a pipe it tells nobody."""
    return (lambda text: click.echo(text, err=True)) if sys.stderr.isatty() else (lambda _: None)


def _words(outcomes: list[Outcome], left_out: list[str]) -> Iterator[str]:
    from outstation.cli.questions import columns

    yield from columns(
        [("node", "output", "safe is", "chip", "safe after", "limit", "stayed so"), *map(_row, outcomes)]
    )
    yield from (f"{each}." for each in left_out)
    failed = sum(not each.passed for each in outcomes)
    yield f"FAILED: {failed} of {len(outcomes)}." if failed else f"All {len(outcomes)} were safe in time and stayed so."


def _row(each: Outcome) -> tuple[str, ...]:
    after = "never" if each.safe_after_ms is None else f"{each.safe_after_ms:.0f} ms"
    limit = f"{each.limit_ms / 1000:g} s"
    return each.blow, each.actuator, each.safe, _CHIPS[each.chip], after, limit, each.stayed


def _document(outcomes: list[Outcome], left_out: list[str], *, passed: bool) -> dict[str, object]:
    import msgspec

    return {"passed": passed, "outcomes": msgspec.to_builtins(outcomes), "not_drilled": left_out}
