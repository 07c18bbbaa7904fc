"""From the command `outstation run` to two processes: this one becomes the supervisor, its child the first server.

The law of this file: whatever keeps a node from starting is found before anything is begun: whose the data
are, who has the port. A second node on the same data ends here, and the first one's outputs stay as they are.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import sys
import zlib
from pathlib import Path
from typing import NoReturn

from outstation import plugins
from outstation.config import ActuatorTable, Config, WebTable
from outstation.devices.gpio import GpioActuator, GpioOptions, line_of
from outstation.devices.pwm import PwmActuator, PwmOptions, chip_of
from outstation.owner import Owner
from outstation.plugins import ActuatorDriver
from outstation.store import file, keys
from outstation.supervised import Supervision
from outstation.supervisor.notify import Notify, Progress
from outstation.web.listen import handed_over, open_boards, open_port
from outstation.web.peers import public_address
from outstation.wire import outputs, terms

log = logging.getLogger(__name__)

_SUPERVISOR = Path(__file__).parent / "supervisor" / "__main__.py"


def supervise(
    config: Config,
    *,
    data: Path,
    host: str | None,
    port: int | None,
    temporary: bool = False,
    beside: int | None = None,
) -> Supervision:
    """Fork: this process becomes the supervisor, and the call returns in its child, the first server.

    The child goes on with what has been loaded, so that being supervised costs no time at the start.
    temporary: the data are removed at the end. beside: a pidfd of another process, which is ended before that.
    Raises OutstationError when the node cannot start.
    """
    _keep_standard_streams_free()
    # Ctrl-Z, and what a terminal does to its background: a node that stands still holds its outputs where they are.
    for signum in (signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU):
        signal.signal(signum, signal.SIG_IGN)
    owner = Owner(data).__enter__()
    try:
        _bring_up_to_date(data / file.NAME)
        bound, boards = _opened(config, host, port)
        known = _outputs(config, data)
        write_down(known, data)
        memory, notebook, told = _in_memory(known), os.memfd_create("kept"), terms.in_memory(_terms(config, data))
        mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        reading, writing = os.pipe()
        os.set_blocking(writing, False)  # who reads may be stopped: a server waits for nobody's ear
        child = os.fork()
    except BaseException:
        owner.close()
        raise
    if child == 0:
        mine.close()
        os.environ.pop("NOTIFY_SOCKET", None)  # the supervisor speaks for both
        os.dup2(writing, 2)
        for descriptor in (reading, writing, memory, told):
            os.close(descriptor)
        return Supervision(theirs, owner.fileno(), bound, data, notebook, boards)
    theirs.close()
    given = [mine.fileno(), owner.fileno(), bound.fileno(), reading, writing, memory, notebook, told]
    also = [boards.fileno() if boards else None, beside]
    for descriptor in (*given, *(number for number in also if number is not None)):
        os.set_inheritable(descriptor, True)
    ends = [str(data) if temporary else "", *("" if number is None else str(number) for number in also)]
    words = [*map(str, given), str(child), str(data), *ends]
    again = [sys.executable, *sys.orig_argv[1:]]
    return _become([sys.executable, "-I", "-S", str(_SUPERVISOR), *words, *again])


def _bring_up_to_date(path: Path) -> None:
    """Migrate a file of an older program; systemd hears that it goes on, and gives it the time that it takes."""
    notify = Notify(os.environ.get("NOTIFY_SOCKET", ""))
    try:
        file.bring_up_to_date(path, Progress(notify, f"{path} is brought up to date."))
    finally:
        notify.close()


def _opened(config: Config, host: str | None, port: int | None) -> tuple[socket.socket, socket.socket | None]:
    """Return the sockets for everybody and for boards alone, once it is known that the node can speak TLS.

    Raises OutstationError.
    """
    web = config.web
    if web.tls_cert:
        from outstation.web.tls import Certificate, tls_files  # noqa: PLC0415 - most have none, or a proxy has it

        if files := tls_files(config):
            Certificate(files)
    handed = handed_over()
    bound = open_port(web.host if host is None else host, web.port if port is None else port, handed=handed)
    boards = open_boards(web.dialect_listen, handed=handed)
    for unwanted in handed:  # of an older config
        unwanted.close()
    return bound, boards


def join(config: Config) -> Supervision | None:
    """Return the supervision of a server that was started in the place of one that died; None for any other process.

    The config may have been edited since the first server began: before anything is opened the supervisor
    holds what is in it now. Raises OutstationError.
    """
    supervision = Supervision.inherited()
    if supervision is not None:
        known = _outputs(config, supervision.folder)
        supervision.adopt(outputs.text(known), _drivers(config))
        write_down(known, supervision.folder)
        told = terms.in_memory(_terms(config, supervision.folder))
        supervision.hand_terms(told)
        os.close(told)
    return supervision


def _terms(config: Config, data: Path) -> terms.Terms:
    """Return on what terms the reduced node answers: it has no config, and opens no data file."""
    web = config.web
    known = keys.readers(data / file.NAME)
    return terms.Terms(_readers(web), web.hosts, web.tls_cert or "", web.tls_key or "", keys=known)


def _readers(web: WebTable) -> str:
    """Tell who reads /api/health without a key: it is among what a public page asks for."""
    if "/" in web.public:
        return "all"
    if web.reads == "key":
        return "key"
    return "here" if public_address() and "reads" not in web.model_fields_set else "near"


def _become(command: list[str]) -> NoReturn:
    os.execv(command[0], command)  # noqa: S606 - there is no shell, which is the point


def _keep_standard_streams_free() -> None:
    """A shell may have closed them (`>&-`): then the lock or a line would get their number, and be written to."""
    while (opened := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(opened, True)
    os.close(opened)


def _outputs(config: Config, data: Path) -> list[outputs.Output]:
    # Off first: of two that are interlocked, the one is off before the other is on.
    return sorted((_output(table, data.resolve()) for table in config.actuators), key=lambda each: each.safe)


def _drivers(config: Config) -> str:
    """Return what is another one when an option of an output that is no pin has changed."""
    kept = [table for table in config.actuators if not issubclass(_kind(table), GpioActuator | PwmActuator)]
    return str(zlib.crc32(repr([(table.name, table.options) for table in kept]).encode()))


def write_down(known: list[outputs.Output], data: Path) -> None:
    """Have DATA/outputs say these. On a full disk no file is better than one with the pins of an older config."""
    path = data / outputs.NAME
    if _says(path, known):
        return
    try:
        outputs.write(str(path), known)
    except OSError as error:
        if _says(path, known):  # it is there, only perhaps not on disk yet
            return
        with contextlib.suppress(OSError):
            path.unlink()
        left = "drives those of an older config" if path.exists() else "will not know the outputs"
        why = os.strerror(error.errno or 0).lower()
        log.warning("`outstation outputs --safe` %s: %s cannot be written: %s", left, path, why)


def _says(path: Path, known: list[outputs.Output]) -> bool:
    try:
        return path.read_bytes() == outputs.text(known).encode()
    except OSError:
        return False


def _in_memory(known: list[outputs.Output]) -> int:
    """Return a file of the outputs in memory, which no full disk keeps away."""
    memory = os.memfd_create(outputs.NAME)
    os.write(memory, outputs.text(known).encode())
    return memory


def _output(table: ActuatorTable, data: Path) -> outputs.Output:
    kind = _kind(table)
    safe = table.safe == "on"
    if issubclass(kind, PwmActuator):
        channel: PwmOptions = kind.Options.model_validate(table.options)
        place = str(chip_of(channel, data))
        return outputs.Output("pwm", table.name, place, channel.channel, active_low=channel.active_low, safe=safe)
    if not issubclass(kind, GpioActuator):
        return outputs.Output("driver", table.name, table.driver, -1, active_low=False, safe=safe)
    options: GpioOptions = kind.Options.model_validate(table.options)
    where, chip = line_of(options, data)
    return outputs.Output(where, table.name, chip, options.pin, active_low=options.active_low, safe=safe)


def _kind(table: ActuatorTable) -> type[ActuatorDriver]:
    found: type[ActuatorDriver] = plugins.load("actuators", table.driver)
    return found
