"""Asking for a line: answered in any thread, never waited for long, and an end of the pair is no answer."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from outstation.wire import RefusedError, supervision


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """The server's end and the supervisor's."""
    server, supervisor = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with server, supervisor:
        yield server, supervisor


def test_answers_reach_whoever_asked(pair: tuple[socket.socket, socket.socket]) -> None:
    server, supervisor = pair

    def serve() -> None:
        for _ in range(20):
            message, answers, _, _ = socket.recv_fds(supervisor, supervision.LONGEST, 1)
            word, kind, chip, pin, active_low = message.decode().split("\t")
            assert (word, kind, chip, active_low) == ("line", "gpio", "/dev/gpiochip0", "1")
            if pin == "13":
                supervision.answer_refusal(answers[0], RefusedError("request", 22, "some\tdetail"))
            else:
                reading, writing = os.pipe()
                os.write(writing, pin.encode())
                supervision.answer_line(answers[0], reading)
                for descriptor in (reading, writing):
                    os.close(descriptor)
            os.close(answers[0])

    def ask(pin: int) -> int:
        try:
            line = supervision.ask_line(server, "gpio", "/dev/gpiochip0", pin, active_low=True)
        except RefusedError as refusal:
            return -pin if refusal.args == ("request", 22, "some\tdetail") else 0
        assert not os.get_inheritable(line)
        answer = int(os.read(line, 10))
        os.close(line)
        return answer

    serving = threading.Thread(target=serve)
    serving.start()
    with ThreadPoolExecutor(5) as threads:
        assert list(threads.map(ask, range(20))) == [-pin if pin == 13 else pin for pin in range(20)]
    serving.join()


def test_a_supervisor_that_stands_still_is_not_waited_for(pair: tuple[socket.socket, socket.socket]) -> None:
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        supervision.ask_line(pair[0], "gpio", "", 17, active_low=False)
    assert time.monotonic() - began < 2, "the time that an output has for all of its order"


def test_a_supervisor_that_is_gone_is_no_answer_and_beats_go_nowhere(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    pair[1].close()
    with pytest.raises(OSError, match=r"pipe|reset"):
        supervision.ask_line(pair[0], "gpio", "", 17, active_low=False)
    supervision.say(pair[0], supervision.BEAT)


def test_beats_that_nobody_takes_do_not_block(pair: tuple[socket.socket, socket.socket]) -> None:
    for _ in range(10_000):
        supervision.say(pair[0], supervision.BEAT)
