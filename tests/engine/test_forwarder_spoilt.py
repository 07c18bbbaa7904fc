"""Summaries and alerts on their way to those who answer in ways that nobody should: nothing waits for ever."""

from __future__ import annotations

import asyncio
from pathlib import Path

import apsw
import msgspec
import pytest

from outstation import clock
from outstation.core import delivery
from outstation.core.readings import Note
from outstation.engine import failing, forwarding
from outstation.protocols.influxdb.uplink import InfluxdbUplink
from outstation.protocols.json.uplink import JsonUplink
from outstation.protocols.outstation import wire
from outstation.store.database import Store
from outstation.store.outbox import Outbox
from tests.engine.receiving import OK, Seen, Server, answer, until
from tests.engine.reporting import NOON, Hub, at_work, facts, native, raised, sending, standing, summed_up, waiting
from tests.store.given import BOOT, in_store
from tests.store.test_disk_full import fill_up, small_disk

__all__ = ["small_disk"]

REASON = "it is unknown here, and [web] accept_new_sensors is false"


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "FIRST", 10)
    monkeypatch.setattr(forwarding, "LONGEST_BATCH", 50)


class Slow(Hub):
    """A hub of another version, that takes a few at once and says so; or wants none of them, for a long reason."""

    takes = 1_000_000
    wants = True

    def answer_to(self, seen: Seen) -> bytes:
        batch = wire.decode_batch(wire.unpacked(seen.body) if "content-encoding" in seen.headers else seen.body)
        cursor = min(batch.upto, batch.after + self.takes)
        refused: list[wire.Refused] = []
        if self.wants:
            self.has |= {(one.sensor, one.start): one for one in batch.summaries[: cursor - batch.after]}
        else:
            refused += [wire.Refused("summaries", place, "air", 0, REASON) for place in range(len(batch.summaries))]
        receipt = wire.Receipt(wire.VERSION, batch.epoch, cursor, "t", NOON, refused=tuple(refused))
        return answer(200, "Content-Type: application/json", body=wire.encode(receipt))


def test_a_receipt_that_names_a_thousand_refused_is_one(tmp_path: Path) -> None:
    """It is longer than answers of strangers are read; and the journal needs no line for each."""
    hub, notes = Slow(), list[Note]()
    hub.wants = False

    async def story(store: Store) -> None:
        await summed_up(store, range(1_000))
        async with hub.up(), at_work(store, native(hub.url)):
            await until(lambda: not waiting(store))
        assert Outbox(store).account("hub").parked == 1_000
        notes.extend(note for note in store_notes(store) if note.kind == "summary refused")

    in_store(tmp_path, story)
    (note,) = notes
    assert note.text.startswith("it does not want 1000 summaries, 2026-03-01T12:00:00.000Z to 2026-03-04T23:15:00.000Z")
    assert REASON in note.text


def store_notes(store: Store) -> list[Note]:
    with store.read() as connection:
        rows = connection.execute("SELECT kind, subject, text FROM journal").fetchall()
    return [Note(str(kind), str(subject), str(text), 0) for kind, subject, text in rows]


def test_a_hub_that_takes_a_few_at_once_has_all_in_the_end(tmp_path: Path) -> None:
    hub = Slow()
    hub.takes = 7

    async def story(store: Store) -> None:
        await summed_up(store, range(40))
        async with hub.up(), at_work(store, native(hub.url)):
            await until(lambda: not waiting(store))
        assert len(hub.has) == 40

    in_store(tmp_path, story)


def test_a_hub_that_follows_nothing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failing, "FAILING_AFTER", 0)
    hub = Server()
    hub.otherwise = standing(0)

    async def story(store: Store) -> None:
        await summed_up(store, range(3))
        async with hub.up(), at_work(store, native(f"http://127.0.0.1:{hub.port}")) as forwarder:
            await until(forwarder.troubles)
            assert "it does not follow" in forwarder.troubles()[0]

    in_store(tmp_path, story)


class Forgetful(Server):
    """An InfluxDB that keeps nothing that is older than a time."""

    since = NOON // 1_000
    requests = 0

    def __init__(self) -> None:
        super().__init__()
        self.has: set[int] = set()

    def answer_to(self, seen: Seen) -> bytes:
        self.requests += 1
        body = wire.unpacked(seen.body) if "content-encoding" in seen.headers else seen.body
        times = {int(line.rsplit(b" ", 1)[1]) for line in bytes(body).split(b"\n")}
        if min(times) < self.since:
            return answer(400, body=b'{"error": "partial write: points beyond retention policy"}')
        self.has |= times
        return OK


def test_after_an_outage_nothing_waits_behind_what_is_too_old_for_the_other_side(tmp_path: Path) -> None:
    """It takes the newest: so it is not a mistake of a person that it refuses one after another."""
    server = Forgetful()
    server.since += 60 * 300

    async def story(store: Store) -> None:
        await summed_up(store, range(80))
        one = sending(InfluxdbUplink, url=f"http://127.0.0.1:{server.port}", database="garden", fields=["mean"])
        async with server.up(), at_work(store, one) as forwarder:
            await until(lambda: not waiting(store))
            assert (await forwarder.reports())["hub"].parked == 60
        assert len(server.has) == 20

    in_store(tmp_path, story)
    assert server.requests < 100


def test_answers_that_no_decoder_survives_are_receipts_all_the_same(tmp_path: Path) -> None:
    server = Server()
    server.otherwise = answer(200, "Content-Type: application/json", body=b'{"a": ' + b"[" * 5_000)

    async def story(store: Store) -> None:
        await summed_up(store, range(3))
        async with server.up(), at_work(store, sending(JsonUplink, url=server.url)):
            await until(lambda: not waiting(store))
        assert len(server.seen) == 3

    in_store(tmp_path, story)


def test_a_stop_in_the_middle_doubles_nothing_that_was_confirmed(tmp_path: Path) -> None:
    server = Server()

    async def story(store: Store) -> None:
        await summed_up(store, range(30))
        async with server.up():
            server.on_answered = hang
            async with at_work(store, sending(JsonUplink, url=server.url)):
                await until(lambda: len(server.seen) >= 12)
            server.stays_open = False
            server.on_answered = lambda: None
            async with at_work(store, sending(JsonUplink, url=server.url)):
                await until(lambda: not waiting(store))
        assert len({seen.body for seen in server.seen}) == 30
        assert len(server.seen) <= 31  # the one that was under way at the stop

    def hang() -> None:
        server.stays_open = len(server.seen) >= 11

    in_store(tmp_path, story)


def test_an_alert_of_another_version_holds_up_no_other(tmp_path: Path) -> None:
    server = Server()

    async def story(store: Store) -> None:
        async with at_work(store, sending(JsonUplink, url=server.url)) as forwarder:
            await raised(store, forwarder, 1)
        await store.write(spoil)
        async with server.up(), at_work(store, sending(JsonUplink, url=server.url)) as forwarder:
            await raised(store, forwarder, 2)
            await until(lambda: not waits(store))
        assert [msgspec.json.decode(seen.body)["id"] for seen in server.seen] == [2]
        assert any(note.kind == "delivery refused" for note in store_notes(store))

    def spoil(connection: apsw.Connection) -> None:
        connection.execute("""UPDATE deliveries SET body = '{"key": 1}' WHERE alert = 1""")

    in_store(tmp_path, story)


def waits(store: Store) -> int:
    with store.read() as connection:
        count: int = connection.execute("SELECT count(*) FROM deliveries").get
    return count


def test_it_is_said_why_alerts_and_summaries_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server()
    server.otherwise = answer(503)
    monkeypatch.setattr(forwarding, "UNSURE", clock.now() + 60_000)

    async def story(store: Store) -> None:
        known = facts(is_believed=lambda: False)
        async with server.up(), at_work(store, sending(JsonUplink, url=server.url), known=known) as forwarder:
            await raised(store, forwarder, 1)
            await until(lambda: server.seen)
            await asyncio.sleep(0.05)
            assert (await forwarder.reports())["hub"].last_error == "it answered 503"
            server.otherwise = OK
            await until(lambda: not waits(store))
            assert not (await forwarder.reports())["hub"].last_error
            await summed_up(store, range(2))
            assert (await forwarder.reports())["hub"].last_error.startswith("the clock of this node was not set yet")

    in_store(tmp_path, story)


def test_while_the_disk_is_full_nothing_is_sent_twice(small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And all goes on when there is room."""
    monkeypatch.setattr(forwarding, "STORE_AGAIN", 0.05)
    server, many = Server(), 1_000  # a cursor is stored for some dozens at once, and the last page has room for three

    async def main() -> None:
        with Store(small_disk, boot=BOOT) as store:
            await summed_up(store, range(many))
            server.on_answered = lambda: fill_up(small_disk) if len(server.seen) == 3 else None
            async with server.up(), at_work(store, sending(JsonUplink, url=server.url)):
                await until(lambda: store.stats().error)
                await asyncio.sleep(0.5)
                assert len(server.seen) < many
                (small_disk / "ballast").unlink()
                await until(lambda: len({seen.body for seen in server.seen}) == many and not waiting(store))
        assert len(server.seen) == many

    asyncio.run(main())


def test_a_sign_of_life_from_a_full_disk_moves_no_cursor(small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forwarding, "STORE_AGAIN", 0.05)
    hub = Slow()
    hub.takes = 7

    async def main() -> None:
        with Store(small_disk, boot=BOOT) as store:
            await summed_up(store, range(40))
            hub.on_answered = lambda: fill_up(small_disk) if len(hub.has) == 14 else None
            async with hub.up(), at_work(store, native(hub.url)):
                await until(lambda: store.stats().error)
                requests, summaries = len(hub.seen), len(hub.has)
                await until(lambda: len(hub.seen) >= requests + 3)
                assert len(hub.has) == summaries < 40
                hub.on_answered = lambda: None
                (small_disk / "ballast").unlink()
                await until(lambda: len(hub.has) == 40 and not waiting(store))

    asyncio.run(main())
