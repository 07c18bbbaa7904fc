"""Apprise itself, in its short-lived process: what it reaches, what it says else, and what it may not reach."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from outstation.engine import receivers
from outstation.engine.notifier import Notifier, Trial
from outstation.engine.receivers import MISSING, Receiver
from outstation.store.database import Store
from outstation.store.deliveries import Delivery, add
from outstation.store.journal import Journal
from tests.engine.receiving import Server, answer, until
from tests.engine.telling import hot, tell, telling
from tests.store.given import in_store


def phone(url: str, timeout: int = 10_000) -> Receiver:
    return Receiver("phone", "apprise", url, timeout=timeout)


def tried(folder: Path, receiver: Receiver) -> str:
    """What a test of this receiver says."""

    async def story(store: Store) -> list[Trial]:
        return await Notifier(store, [receiver], "greenhouse", print).test()

    return in_store(folder, story)[0].error


def test_an_alert_arrives_in_words(tmp_path: Path) -> None:
    async def story(store: Store) -> None:
        async with Server().up() as server:
            async with telling(store, [phone(f"json://127.0.0.1:{server.port}/")]) as notifier:
                await tell(store, notifier, hot(1, "critical"))
                await tell(store, notifier, hot(1, "critical"), "cleared")
                await until(lambda: len(server.seen) == 2 and not notifier.queue()["phone"].waiting)
            told = [json.loads(seen.body) for seen in server.seen]
            assert [(one["title"], one["message"], one["type"]) for one in told] == [
                ("greenhouse: too hot", "31.4 °C", "failure"),
                ("greenhouse: too hot (cleared)", "31.4 °C", "success"),
            ]

    in_store(tmp_path, story)


def test_what_it_cannot_deliver_waits_and_what_it_does_not_know_is_said(tmp_path: Path) -> None:
    assert tried(tmp_path, phone("json://127.0.0.1:9/")) == "Apprise could not deliver it"
    assert tried(tmp_path, phone("nonsense://secret")) == "Apprise does not know what to do with its URL"


def test_what_another_version_has_left_makes_room(tmp_path: Path) -> None:
    async def story(store: Store) -> None:
        left = Delivery("phone", 1, "info", 0, '{"in": "another form"}', "key")
        await store.write(lambda connection: add(connection, [left]))
        async with telling(store, [phone("json://127.0.0.1:9/")]):
            await until(lambda: Journal(store).newest(1))
        assert "cannot put into words" in Journal(store).newest(1)[0].text

    in_store(tmp_path, story)


def test_one_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receivers, "LOADING", 2_000)

    async def story(store: Store) -> None:
        async with Server().up() as silent:
            silent.otherwise, silent.stays_open = b"", True
            notifier = Notifier(store, [phone(f"json://127.0.0.1:{silent.port}/", 500)], "greenhouse", print)
            trying = asyncio.create_task(notifier.test())
            await until(lambda: silent.seen)
            assert "outstation.engine.apprise_child" in running()
            assert f"{silent.port}" not in running()  # the URL may be a secret, and arguments are not
            assert (await trying)[0].error == "Apprise did not end within 2.5 s"
            assert "outstation.engine.apprise_child" not in running()

    in_store(tmp_path, story)


def running() -> str:
    """The arguments of this process's children."""
    words = ["ps", "--no-headers", "-o", "args", "--ppid", str(os.getpid())]
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout


@pytest.mark.parametrize("host", ["169.254.169.254", "[::ffff:169.254.169.254]", "2852039166", "0.0.0.0"])
def test_nothing_goes_to_metadata_by_way_of_apprise(host: str) -> None:
    """Tried where a connection would be made: by the hook, before the kernel is asked."""
    program = f"""
import socket, sys
from outstation.engine.apprise_child import _watch
sys.addaudithook(_watch)
try:
    socket.create_connection(({host.strip("[]")!r}, 80), timeout=0.5)
except OSError as error:
    print(error)
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "not for messages" in ended.stdout


def test_nor_by_a_redirect_that_apprise_follows(tmp_path: Path) -> None:
    async def story(store: Store) -> None:
        async with Server().up() as server:
            server.otherwise = answer(307, f"Location: http://0.0.0.0:{server.port}/stolen")  # Linux: this machine
            notifier = Notifier(store, [phone(f"json://127.0.0.1:{server.port}/")], "greenhouse", print)
            assert (await notifier.test())[0].error == "Apprise could not deliver it"
            assert [seen.line for seen in server.seen if "stolen" in seen.line] == []

    in_store(tmp_path, story)


def test_without_the_extra_the_cure_is_said_before_any_alert(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "apprise" else find(name))

    async def story(store: Store) -> None:
        notifier = Notifier(store, [phone("json://127.0.0.1:9/")], "greenhouse", print)
        assert notifier.troubles() == [f'Alerts do not reach "phone": {MISSING}; 0 wait.']
        assert (await notifier.test())[0].error == MISSING

    in_store(tmp_path, story)


def test_a_receiver_never_shows_what_it_must_not() -> None:
    assert repr(phone("tgram://secret")) == "Receiver('phone', 'apprise')"
