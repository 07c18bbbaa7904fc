r"""What the server and its supervisor say to each other: messages on a SOCK_SEQPACKET socket pair.

The server inherits its end and finds it by OUTSTATION_SUPERVISED: the numbers of descriptors, this end, the lock of the
data folder (the flock is shared: it lasts until both are gone), the notebook, the listening socket, and that for boards
alone if there is one; then, after a newline, the data folder. The first server is forked, and has them without that.
It says:

    beat                                 after each `handle` of a Tick, at least once a second: rules are alive
    refused                              it will end and has told why: no crash, if no server has run before
    line \t KIND \t CHIP \t PIN \t LOW   wants an output line; carries a socket for the answer (SCM_RIGHTS)
    outputs \t DRIVERS                   each server but the first, before it opens anything: the outputs of its config;
                                         carries a socket for the answer and a file in memory, written as DATA/outputs
                                         is. DRIVERS stands for the options of those that are no pins: another one,
                                         and the keeper is started anew
    terms                                the same servers, after that: on what terms the reduced node answers; carries a
                                         file in memory, as wire/terms.py has it

and is answered on that socket, so that any thread may ask at any time:

    ok                                   to `line` with its request's descriptor, by which either may set the level
    refused \t STAGE \t ERRNO \t DETAIL  as in RefusedError

The supervisor says "heard" to each beat, and nothing by itself. The end of the pair is the message: when the server's
end is gone, so is the server; when the supervisor's is, or it hears beats no more, the server makes its outputs safe
and stops.

The keeper, a process for outputs that are no pins, has a pair of its own, by OUTSTATION_KEEPER: the number of its
end, a newline, the data folder. It says "ready SECONDS", how long its slowest driver may take; it is told "safe",
and says "done". While it is at work no server is started.
"""

from __future__ import annotations

import errno
import os
import socket

from outstation.wire import RefusedError

ENVIRONMENT = "OUTSTATION_SUPERVISED"

KEEPER = "OUTSTATION_KEEPER"

BEAT, REFUSED, LINE, OUTPUTS, TERMS = b"beat", b"refused", b"line", b"outputs", b"terms"
HEARD = b"heard"
READY, SAFE, DONE = b"ready", b"safe", b"done"

ANSWER_S = 1.5
"""What the supervisor has for an answer: less than the 2 s that an output has for all of its order."""

ADOPTION_S = 10.0
"""What the supervisor has to take over the outputs of another config: each simulated chip has a second for it."""

LONGEST = 4_096
"""Bytes of a message: a path has at most as many (PATH_MAX)."""


def say(channel: socket.socket, message: bytes) -> None:
    """Send a message that has no answer. Nobody waits, and nobody minds when the other one is gone."""
    try:
        channel.send(message, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
    except OSError:
        return


def ask_line(channel: socket.socket, kind: str, chip: str, pin: int, *, active_low: bool) -> int:
    """Return a descriptor of the request of an output line. Raises RefusedError, OSError."""
    mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with mine:
        mine.settimeout(ANSWER_S)
        with theirs:
            words = "\t".join([LINE.decode(), kind, chip, str(pin), str(int(active_low))])
            socket.send_fds(channel, [words.encode()], [theirs.fileno()], socket.MSG_NOSIGNAL)
        answer, lines, _, _ = socket.recv_fds(mine, LONGEST, 1)
    if lines:
        os.set_inheritable(lines[0], False)
        return lines[0]
    _raise_refusal(answer)
    raise ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))


def ask_to_adopt(channel: socket.socket, text: str, drivers: str) -> None:
    """Have the supervisor hold the outputs of this text from now on. Raises RefusedError, OSError."""
    memory = os.memfd_create("outputs", os.MFD_CLOEXEC)
    try:
        os.write(memory, text.encode())
        mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with mine:
            mine.settimeout(ADOPTION_S)
            with theirs:
                words = OUTPUTS + b"\t" + drivers.encode()
                socket.send_fds(channel, [words], [theirs.fileno(), memory], socket.MSG_NOSIGNAL)
            _raise_refusal(mine.recv(LONGEST))
    finally:
        os.close(memory)


def hand_terms(channel: socket.socket, memory: int) -> None:
    """Hand over on what terms the reduced node answers. Raises OSError."""
    socket.send_fds(channel, [TERMS], [memory], socket.MSG_NOSIGNAL)


def answer_adopted(answer_to: int) -> None:
    """Say that the outputs were taken over. Raises OSError."""
    with socket.socket(fileno=os.dup(answer_to)) as there:
        there.send(b"ok", socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)


def answer_line(answer_to: int, line: int) -> None:
    """Send the descriptor of a line. Raises OSError."""
    with socket.socket(fileno=os.dup(answer_to)) as there:
        socket.send_fds(there, [b"ok"], [line], socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)


def answer_refusal(answer_to: int, refusal: RefusedError) -> None:
    """Say why a line cannot be had. Raises OSError."""
    with socket.socket(fileno=os.dup(answer_to)) as there:
        text = "\t".join(["refused", refusal.stage, str(refusal.number), refusal.detail])
        there.send(text.encode(), socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)


def _raise_refusal(answer: bytes) -> None:
    if not answer:
        raise ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))
    word, *refusal = answer.decode().split("\t", 3)
    if word == "refused":
        stage, number, detail = refusal
        raise RefusedError(stage, int(number), detail)
