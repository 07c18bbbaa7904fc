"""Keys: shown once, kept as a hash, refused the moment they are revoked."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import apsw
import pytest

from outstation.errors import RefusedError, UnknownNameError
from outstation.store.database import Store
from outstation.store.keys import SCOPES, Keys
from tests.store.given import in_store


def test_a_key_opens_what_it_was_made_for(tmp_path: Path) -> None:
    async def story(store: Store) -> None:
        keys = Keys(store)
        key, text = await keys.create("pump", ["write"], device="shed")
        assert keys.check(text) == key
        assert (key.name, key.scopes, key.device, key.last4) == ("pump", frozenset({"write"}), "shed", text[-4:])
        assert len(text.partition(".")[0]) == 8
        assert len(text.partition(".")[2]) == 43  # 256 bits

    in_store(tmp_path, story)


def test_it_still_does_after_a_restart(tmp_path: Path) -> None:
    async def make(store: Store) -> str:
        return (await Keys(store).create("pump", SCOPES))[1]

    async def use(store: Store) -> None:
        found = Keys(store).check(text)
        assert found
        assert found.scopes == frozenset(SCOPES)

    text = in_store(tmp_path, make)
    in_store(tmp_path, use)


@pytest.mark.parametrize(
    "wrong",
    ["", ".", "{}", "{id}", "{id}.", ".{secret}", "{id}.{secret}x", "x{id}.{secret}", "{id}.{half}", "{id}.{SECRET}",
     "{id} .{secret}", "{id}..{secret}", "{id}.{secret}.", "zzzzzzzz.{secret}", "{id}.\ud800", "{id}.\xff"],
)  # fmt: skip
def test_nothing_else_is_a_key(tmp_path: Path, wrong: str) -> None:
    async def story(store: Store) -> None:
        keys = Keys(store)
        key, text = await keys.create("pump", ["read"])
        secret = text.partition(".")[2]
        parts = {"{id}": key.id, "{secret}": secret, "{half}": secret[:20], "{SECRET}": secret.swapcase()}
        tried = wrong
        for name, part in parts.items():
            tried = tried.replace(name, part)
        assert keys.check(tried) is None
        assert keys.check(text) == key

    in_store(tmp_path, story)


def test_revoked_means_refused_at_the_next_request(tmp_path: Path) -> None:
    async def story(store: Store) -> None:
        keys = Keys(store)
        key, text = await keys.create("pump", ["read"])
        other, other_text = await keys.create("fan", ["read"])
        await keys.revoke(key.id)
        assert keys.check(text) is None
        assert keys.check(other_text) == other
        assert Keys(store).check(text) is None
        assert [(one.name, one.revoked is not None) for one in keys.list()] == [("pump", True), ("fan", False)]
        with pytest.raises(UnknownNameError, match=key.id):
            await keys.revoke(key.id)

    in_store(tmp_path, story)


def test_revoked_holds_also_when_whoever_asked_has_gone(tmp_path: Path) -> None:
    entered, go_on = threading.Event(), threading.Event()

    def hold(_: apsw.Connection) -> None:
        entered.set()
        assert go_on.wait(10)

    async def story(store: Store) -> None:
        keys = Keys(store)
        key, text = await keys.create("pump", ["read"])
        held = store.write(hold)
        assert await asyncio.to_thread(entered.wait, 10)
        asking = asyncio.create_task(keys.revoke(key.id))
        await asyncio.sleep(0)
        asking.cancel()
        go_on.set()
        await held
        await store.flush()
        assert keys.check(text) is None
        assert keys.list()[0].revoked

    in_store(tmp_path, story)


def test_the_secret_is_nowhere_in_the_file(tmp_path: Path) -> None:
    async def story(store: Store) -> str:
        return (await Keys(store).create("pump", ["read"]))[1]

    text = in_store(tmp_path, story)
    assert text.partition(".")[2].encode() not in (tmp_path / "outstation.db").read_bytes()
    assert text.partition(".")[2][-4:].encode() in (tmp_path / "outstation.db").read_bytes()


@pytest.mark.parametrize("scopes", [[], ["root"], ["read", "everything"]])
def test_scopes_are_four(tmp_path: Path, scopes: list[str]) -> None:
    async def story(store: Store) -> None:
        with pytest.raises(RefusedError, match="read, write, control, admin"):
            await Keys(store).create("pump", scopes)

    in_store(tmp_path, story)


def test_a_fixed_key_is_any_text_and_is_not_kept(tmp_path: Path) -> None:
    async def story(store: Store) -> None:
        keys = Keys(store)
        keys.fix("environment", "correct.horse.battery")
        found = keys.check("correct.horse.battery")
        assert found
        assert found.scopes == frozenset(SCOPES)
        assert keys.check("correct.horse") is None
        assert keys.list() == []
        assert Keys(store).check("correct.horse.battery") is None

    in_store(tmp_path, story)
