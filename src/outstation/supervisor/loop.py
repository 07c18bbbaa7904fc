"""Watches over one server: hands it the lines, hears its beats, and makes the outputs safe when it dies or freezes.

The law of this file: first the outputs, then anything else; and nothing here waits for another process,
the simulated chip's answers excepted, which have a second.
"""

from __future__ import annotations

import errno
import math
import os
import select
import signal
import socket
import time

from outstation.supervisor import children
from outstation.supervisor.keeper import Keeper
from outstation.supervisor.notify import Notify
from outstation.supervisor.passage import Passage
from outstation.supervisor.pins import Pins
from outstation.supervisor.substitute import Substitute
from outstation.supervisor.times import Times
from outstation.wire import RefusedError, outputs, supervision

_LOOK_MS, _SOON_MS = 1_000, 100
_ASLEEP_S = 2.0
"""Longer than this between two looks, and this process was stopped itself: it knows nothing about the server."""

_LATE_S = 2.0
"""Seconds of silence that a server may add to its time to stop: outputs are safe 12 s after the last beat."""

_MESSAGES = 64
"""As many of a server are heard in a turn: one that speaks without end must not keep the others from being heard."""

_DYING_S = 2.0
"""A killed process has gone by then, unless the kernel itself is held up."""

STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)


class Server:
    """The server that runs now."""

    def __init__(self, pid: int, channel: socket.socket, now: float) -> None:
        self.pid, self.channel = pid, channel
        self.began, self.heard = now, now
        self.beats = self.drives = False
        self.frozen = self.gone = False
        channel.setblocking(False)


class Supervisor:
    """The loop, and what it knows: the server or the reduced node, past crashes, when to start the next."""

    def __init__(self, first: Server, *, pins: Pins, passage: Passage, times: Times, again: Again) -> None:
        self._server: Server | None = first
        self._pins, self._passage, self._times, self._again = pins, passage, times, again
        self._notify = Notify(os.environ.pop("NOTIFY_SOCKET", ""))  # no child is to speak there
        self._keeper = Keeper(again.keeper if pins.others else None)
        self._drivers = b""
        self._substitute = Substitute(again.reduced)
        self._next_at: float | None = None
        self._crashes: list[float] = []
        self._failed_tries = -1
        """How often the whole node failed since it was reduced; -1: it is not."""
        self._proven = False
        self._refused = False
        self._stop_until: float | None = None
        self._status = 0
        self._complaints: list[str] = []
        self._told_stop = False
        self._woken, waking = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(waking, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for signum in STOPPING:
            if signum == signal.SIGHUP and signal.getsignal(signum) is signal.SIG_IGN:
                continue  # nohup(1): it is meant to outlive its terminal
            signal.signal(signum, self._asked_to_stop)

    def run(self) -> int:
        """Supervise until told to stop; return the exit status."""
        looked = time.monotonic()
        while True:
            self._hear(self._timeout_ms())
            now = time.monotonic()
            if self._server is not None and now - looked > _ASLEEP_S:
                self._server.heard = now
            looked = now
            self._bury()
            self._look(now)
            if self._has_stopped(now):
                return self._end()

    def _has_stopped(self, now: float) -> bool:
        if self._stop_until is None:
            return False
        if self._server is not None:  # killed and still there: it waits for a disk, and will never run again
            return self._server.frozen and now > self._stop_until + _DYING_S
        return not self._keeper.busy(now) or now > self._stop_until + self._times.stop

    def _asked_to_stop(self, *_: object) -> None:
        self._told_stop = True

    def _timeout_ms(self) -> int:
        if self._next_at is None:
            return _LOOK_MS
        if self._keeper.busy(time.monotonic()):
            return _SOON_MS
        return min(_LOOK_MS, max(0, int((self._next_at - time.monotonic()) * 1000) + 1))

    def _hear(self, timeout_ms: int) -> None:
        poll = select.poll()
        poll.register(self._woken, select.POLLIN)
        poll.register(self._passage.fileno(), select.POLLIN)
        if self._server is not None and not self._server.gone:
            poll.register(self._server.channel, select.POLLIN)
        if self._keeper.fileno() >= 0:
            poll.register(self._keeper, select.POLLIN)
        for descriptor, _ in poll.poll(timeout_ms):
            if descriptor == self._woken:
                os.read(self._woken, 4096)
            elif descriptor == self._passage.fileno():
                self._passage.carry()
            elif descriptor == self._keeper.fileno():
                self._keeper.hear()
            elif self._server is not None:
                self._listen(self._server)
        self._passage.flush()

    def _listen(self, server: Server) -> None:
        """Take the server's messages. The end of them is the server's end, of which its exit tells in a moment."""
        for _ in range(_MESSAGES):
            try:
                message, answers, _, _ = socket.recv_fds(server.channel, supervision.LONGEST, 4)
            except OSError:
                return
            if not message:
                if self._stop_until is None:
                    children.end(server.pid)
                self._server_is_gone(server)
                return
            self._obey(server, message, answers)
            for each in answers:
                os.close(each)

    def _obey(self, server: Server, message: bytes, answers: list[int]) -> None:
        if message == supervision.BEAT:
            self._take_beat(server)
        elif message == supervision.REFUSED:
            self._refused = True
        elif message.startswith(supervision.LINE) and answers and not server.frozen:
            server.heard, server.drives = time.monotonic(), True
            self._give_line(message, answers[0])
        elif message.startswith(supervision.OUTPUTS) and len(answers) == 2 and not server.frozen:
            self._adopt(message, answers[0], answers[1])
        elif message == supervision.TERMS and answers:
            self._again.take_terms(answers[0])

    def _take_beat(self, server: Server) -> None:
        server.heard = time.monotonic()
        self._notify.say("WATCHDOG=1")
        supervision.say(server.channel, supervision.HEARD)
        if not server.beats:
            server.beats = True
            self._proven = True
            self._notify.say("READY=1", "STATUS=")

    def _give_line(self, message: bytes, answer_to: int) -> None:
        try:
            _, kind, chip, pin, active_low = message.decode().split("\t")
            try:
                line = self._pins.line(kind, chip, int(pin), active_low=active_low == "1")
            except RefusedError as refusal:
                supervision.answer_refusal(answer_to, refusal)
            else:
                supervision.answer_line(answer_to, line)
        except (OSError, ValueError):
            return  # who asked is gone, or gave up

    def _adopt(self, drivers: bytes, answer_to: int, written: int) -> None:
        """Take over the outputs of a server whose config may be another one than that of those before it."""
        try:
            try:
                wanted = outputs.read_from(written)
            except ValueError as error:
                supervision.answer_refusal(answer_to, RefusedError("config", errno.EINVAL, str(error)))
            else:
                self._hold(wanted, drivers)
                supervision.answer_adopted(answer_to)
        except OSError:
            return  # as above

    def _hold(self, wanted: list[outputs.Output], drivers: bytes) -> None:
        others = outputs.text(wanted) != outputs.text(self._pins.outputs)
        if others:
            self._passage.say("the config has changed: its outputs and safe states count from now on")
            self._complain(self._pins.adopt(wanted))
        if others or drivers != self._drivers:
            self._drivers = drivers
            self._keeper.renew(self._again.keeper if self._pins.others else None)

    def _look(self, now: float) -> None:
        """Do what is due."""
        server = self._server
        if server is None or server.frozen or not server.beats or self._stop_until is not None:
            self._notify.say("WATCHDOG=1")  # there are no rules to be alive, yet or any more
        if self._told_stop and self._stop_until is None:
            self._begin_to_stop(now)
        elif self._stop_until is not None:
            if server is not None and not server.frozen and now > self._stop_until:
                self._kill(server, f"did not stop within {self._times.stop:g} s")
        elif server is not None:
            self._judge(server, now)
        elif self._next_at is not None and now >= self._next_at and not self._keeper.busy(now):
            self._start()
        if self._complaints and self._server is None:
            self._make_safe()
        if self._stop_until is None:
            self._keeper.look(now)
            self._substitute.look(now)

    def _judge(self, server: Server, now: float) -> None:
        # From its first output on it is a danger: all of them are open within 7 s, and then it beats.
        limit = self._times.silent if server.beats or server.drives else self._times.start
        if now - server.heard > limit and not server.frozen:
            self._kill(server, f"said nothing for {limit:g} s")
        if server.beats and now - server.began > self._times.healthy and self._failed_tries >= 0:
            self._failed_tries = -1
            self._crashes.clear()

    def _kill(self, server: Server, why: str) -> None:
        """End a server that cannot be relied on: before the outputs, so that it cannot undo what is done to them."""
        children.end(server.pid)
        server.frozen = True
        self._make_safe()
        self._keeper.order_safe()
        self._passage.say(f"the server {why}: it was killed, {self._state()}")

    def _server_is_gone(self, server: Server) -> None:
        """The process is ending or has ended: what it held open is closed already."""
        server.gone = True
        self._make_safe()
        if self._stop_until is None and not server.frozen:
            self._keeper.order_safe()

    def _bury(self) -> None:
        """Take note of children that have ended."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            self._keeper.buried(pid)
            self._substitute.buried(pid)
            if self._server is not None and pid == self._server.pid:
                self._buried(self._server, os.waitstatus_to_exitcode(status))

    def _buried(self, server: Server, code: int) -> None:
        if not server.gone:
            self._server_is_gone(server)
        self._make_safe()  # once more: it may have been in the middle of a call that set a line
        if self._stop_until is not None and code and not server.frozen:
            self._keeper.order_safe()
        server.channel.close()
        self._server = None
        self._passage.carry()
        if self._stop_until is not None or (self._refused and not self._proven):
            # A server that has just begun knows of no signals yet, and is ended by the one that asks it to stop.
            self._status = 0 if code == -signal.SIGTERM else 1 if code < 0 else code
            self._stop_until = time.monotonic()
            return
        self._plan(server, children.how_it_ended(code))

    def _plan(self, server: Server, how: str) -> None:
        """Decide what comes after a crash: the next server soon, or the reduced node for longer."""
        now = time.monotonic()
        if self._crashes and now - self._crashes[-1] >= self._times.healthy:
            self._crashes.clear()
        self._crashes.append(now)
        if self._failed_tries < 0 and len(self._crashes) < self._times.crashes:
            pause = self._times.pause(len(self._crashes))
            self._passage.say(f"the server {how}: {self._state()}, the next one starts in {pause:g} s")
            self._next_at = now + pause
            return
        self._failed_tries += 1
        pause = self._times.again[min(self._failed_tries, len(self._times.again) - 1)]
        self._next_at = now + pause
        often = f"ended {len(self._crashes)} times within {math.ceil(now - self._crashes[0])} s"
        often = "was tried once more and ended again" if self._failed_tries else often
        why = f"The node {often}; the last one {how}. The {self._state()}. It is tried again in {pause:g} s."
        self._passage.say(why)
        self._start_reduced(why)

    def _start(self) -> None:
        self._next_at = None
        self._substitute.end()
        self._make_safe()
        self._refused = False
        try:
            pid, channel = self._again.server()
        except OSError as error:
            self._passage.say(f"the server could not be started: {error.strerror}")
            self._next_at = time.monotonic() + self._times.longest_pause
            return
        self._server = Server(pid, channel, time.monotonic())

    def _start_reduced(self, why: str) -> None:
        try:
            self._substitute.begin(why, bytes(self._passage.ring))
        except OSError as error:
            self._passage.say(f"nobody answers meanwhile: {error.strerror}")
        self._notify.say("READY=1", "STATUS=" + why)

    def _make_safe(self) -> None:
        self._complain(self._pins.make_safe())

    def _complain(self, complaints: list[str]) -> None:
        for complaint in complaints:
            if complaint not in self._complaints:
                self._passage.say(complaint)
        self._complaints = complaints

    def _state(self) -> str:
        which = "pins" if self._pins.others else "outputs"
        return "; ".join(self._complaints) or f"{which} are in their safe state"

    def _begin_to_stop(self, now: float) -> None:
        self._notify.say("STOPPING=1")
        self._stop_until = now + self._times.stop
        if self._server is not None:
            if self._server.beats:  # who stops a node because it is frozen shall not wait for longer than who does not
                self._stop_until = min(self._stop_until, self._server.heard + self._times.stop + _LATE_S)
            try:
                os.kill(self._server.pid, signal.SIGTERM)
            except ProcessLookupError:
                return

    def _end(self) -> int:
        self._substitute.end()
        self._keeper.end()
        self._make_safe()
        self._passage.carry()
        return self._status


class Again:
    """How the next server is started, and the reduced node: with what the first one was given."""

    def __init__(
        self, command: list[str], folder: str, *, lock: int, ports: list[int], stderr: int, notebook: int, terms: int
    ) -> None:
        """ports: that for everybody, and that for boards alone if there is one. terms: as wire/terms.py has them."""
        self._command, self._folder, self._terms = command, folder, terms
        self._lock, self._ports, self._stderr, self._notebook = lock, ports, stderr, notebook

    def server(self) -> tuple[int, socket.socket]:
        """Start a server; return its pid and the end of the socket pair to hear it by. Raises OSError."""
        mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            given = [theirs.fileno(), self._lock, self._notebook, *self._ports]
            words = " ".join(map(str, given)) + "\n" + self._folder
            environment = {**os.environ, supervision.ENVIRONMENT: words}
            return children.start(self._command, environment, given, self._stderr), mine

    def keeper(self) -> tuple[int, socket.socket]:
        """Start the process that makes safe what is no pin; return its pid and the end to order it by."""
        mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            environment = {**os.environ, supervision.KEEPER: f"{theirs.fileno()}\n{self._folder}"}
            return children.start(self._command, environment, [theirs.fileno()], self._stderr), mine

    def take_terms(self, terms: int) -> None:
        """Have the reduced node go by these from now on; where there is no descriptor left, by those that it has."""
        try:
            old, self._terms = self._terms, os.dup(terms)
        except OSError:
            return
        os.close(old)

    def reduced(self, why: str, log: bytes) -> int:
        """Start the reduced node. Raises OSError."""
        kept = os.memfd_create("log", os.MFD_CLOEXEC)
        try:
            os.write(kept, why.encode() + b"\0" + log)
            command = children.script("reduced.py", str(kept), str(self._terms), *map(str, self._ports))
            return children.start(command, dict(os.environ), [*self._ports, kept, self._terms], self._stderr)
        finally:
            os.close(kept)
