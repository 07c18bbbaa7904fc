"""Summaries and alerts on their way to a hub: once, in order, past whatever is in the way."""

from __future__ import annotations

from pathlib import Path

import pytest

from outstation import clock
from outstation.core import delivery
from outstation.core.readings import Millis, Note
from outstation.core.windows import FIVE_MINUTES
from outstation.engine import failing, forwarding, line
from outstation.errors import UnknownNameError
from outstation.plugins import Outcome, Parcel
from outstation.protocols.outstation import wire
from outstation.protocols.outstation.uplink import NativeUplink
from outstation.store.database import Store
from outstation.store.outbox import Outbox
from tests.engine.receiving import Seen, answer, until
from tests.engine.reporting import NOON, Hub, at_work, facts, native, raised, sending, standing, summed_up, waiting
from tests.store.given import in_store

PORTAL = answer(200, "Content-Type: text/html", body=b"<html>Please log in</html>")
FOREIGN = answer(
    200, "Content-Type: application/json", body=wire.encode(wire.Receipt(wire.VERSION, "another file", 3, "t", NOON))
)


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "FIRST", 10)
    monkeypatch.setattr(forwarding, "LONGEST_BATCH", 50)
    for module in (delivery, forwarding):
        monkeypatch.setattr(module, "SELDOM", 50)
    monkeypatch.setattr(line, "STORE_AGAIN", 0.05)


def starts(*numbers: int) -> set[Millis]:
    return {NOON + number * FIVE_MINUTES for number in numbers}


def had(hub: Hub) -> set[Millis]:
    return {start for _, start in hub.has}


def test_summaries_and_alerts_come_to_the_hub(tmp_path: Path) -> None:
    hub = Hub()

    async def story(store: Store) -> None:
        await summed_up(store, range(3), "air", "soil")
        async with hub.up(), at_work(store, native(hub.url)) as forwarder:
            await until(lambda: hub.has)
            await raised(store, forwarder, 1, tell=False)
            await until(lambda: hub.alerts_by_key)
            await summed_up(store, [3])
            await until(lambda: len(hub.has) == 7 and not waiting(store))
        first = next(batch for batch in hub.batches if batch.summaries)
        assert [one.sensor for one in first.summaries] == ["air", "soil"] * 3
        assert hub.has["air", NOON + FIVE_MINUTES].max == 1.0
        assert first.sensors["air"].unit == "°C"
        assert not any(batch.sensors for batch in hub.batches if batch is not first and batch.epoch)
        (told,) = hub.alerts_by_key.values()
        assert (told.subject, told.happened, told.values) == ("too hot", "raised", {"air": 31.4})

    in_store(tmp_path, story)


@pytest.mark.parametrize(
    "refusal",
    [
        PORTAL,
        FOREIGN,
        answer(204),
        answer(200, "Content-Type: application/json", body=b'{"version": 1'),
        answer(302, "Location: http://login.example/"),
        answer(503, "Retry-After: 0"),
        answer(401),
        answer(404),
        b"",
    ],
    ids=["portal", "another epoch", "no body", "cut off", "redirect", "busy", "key", "address", "nothing"],
)
def test_what_is_no_receipt_moves_nothing(tmp_path: Path, refusal: bytes) -> None:
    hub = Hub()

    async def story(store: Store) -> None:
        await summed_up(store, range(3))
        hub.answers.extend([refusal] * 2)
        hub.on_answered = lambda: seen.append(waiting(store))
        async with hub.up(), at_work(store, native(hub.url)):
            await until(lambda: not waiting(store))
        assert seen[:2] == [3, 3]
        assert had(hub) == starts(0, 1, 2)
        assert not Outbox(store).parked("hub")

    seen: list[int] = []
    in_store(tmp_path, story)


def test_nothing_waits_behind_a_bad_one(tmp_path: Path) -> None:
    hub, notes = Hub(), list[Note]()
    hub.poison = frozenset(starts(7, 31))

    async def story(store: Store) -> None:
        await summed_up(store, range(40))
        async with hub.up(), at_work(store, native(hub.url), notes=notes) as forwarder:
            await until(lambda: waiting(store) == 0)
            assert had(hub) == starts(*range(40)) - starts(7, 31)
            assert (await forwarder.reports())["hub"].parked == 2
            assert len(hub.seen) < 40
            assert len({batch.epoch for batch in hub.batches}) == 1
            hub.poison = frozenset()
            assert await forwarder.resend("hub") == 2
            await until(lambda: had(hub) == starts(*range(40)))
            await until(lambda: not waiting(store))
            with pytest.raises(UnknownNameError):
                await forwarder.resend("nub")
        assert {parked.reason for parked in Outbox(store).parked("hub")} == set()

    in_store(tmp_path, story)


def test_who_refuses_everything_is_given_time_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forwarding, "PARKED_IN_A_ROW", 3)
    monkeypatch.setattr(forwarding, "SELDOM", 60_000)
    hub = Hub()
    hub.poison = frozenset(starts(*range(9)))

    async def story(store: Store) -> None:
        await summed_up(store, range(9))
        async with hub.up(), at_work(store, native(hub.url)) as forwarder:
            await until(forwarder.troubles)
            assert "one summary after another: it answered 422" in forwarder.troubles()[0]
            assert len(Outbox(store).parked("hub")) == 3
            hub.poison = frozenset()
            await forwarder.resend("hub")
            await until(lambda: len(had(hub)) == 9 and not forwarder.troubles())

    in_store(tmp_path, story)


def test_what_the_hub_objects_to_is_parked_and_the_rest_is_there(tmp_path: Path) -> None:
    hub = Hub()
    hub.objects_to = frozenset(starts(1))

    async def story(store: Store) -> None:
        await summed_up(store, range(3))
        async with hub.up(), at_work(store, native(hub.url)):
            await until(lambda: not waiting(store))
        (parked,) = Outbox(store).parked("hub")
        assert (parked.sensor, parked.summary.start, parked.reason) == ("air", NOON + FIVE_MINUTES, "it is odd")
        assert had(hub) == starts(0, 2)

    in_store(tmp_path, story)


def test_a_restored_hub_is_sent_what_it_misses_under_a_new_epoch(tmp_path: Path) -> None:
    hub, notes = Hub(), list[Note]()

    async def story(store: Store) -> None:
        await summed_up(store, range(5))
        async with hub.up(), at_work(store, native(hub.url), notes=notes):
            await until(lambda: not waiting(store))
            before = hub.batches[-1]
            hub.has.clear()
            hub.cursor = 2
            await until(lambda: hub.has)
        after = next(batch for batch in hub.batches if batch.epoch not in ("", before.epoch))
        assert (after.after, after.before[0]) == (2, before.epoch)
        assert had(hub) == starts(2, 3, 4)
        assert "air" in after.sensors
        assert "summaries again" in {note.kind for note in notes}

    in_store(tmp_path, story)


def test_a_cloned_node_stops_and_says_so_but_its_alerts_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub, notes = Hub(), list[Note]()
    monkeypatch.setattr(forwarding, "SELDOM", 60_000)

    async def story(store: Store) -> None:
        await summed_up(store, range(5))
        hub.answers.append(standing(0, cloned=True))
        async with hub.up(), at_work(store, native(hub.url), notes=notes) as forwarder:
            await until(forwarder.troubles)
            assert not hub.has
            assert "It is not known here" in forwarder.troubles()[0]
            assert [note.kind for note in notes] == ["uplink failed"]
            await raised(store, forwarder, 1)
            await until(lambda: hub.alerts_by_key)

    in_store(tmp_path, story)


def test_while_there_is_a_backlog_the_newest_go_ahead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(NativeUplink, "batch", 100)
    monkeypatch.setattr(forwarding, "own_moment", lambda *_: 0)
    hub = Hub()

    async def story(store: Store) -> None:
        await summed_up(store, range(250), "air", "soil")
        async with hub.up(), at_work(store, native(hub.url, every=10_000)):
            await until(lambda: not waiting(store))
        first, *others = [batch for batch in hub.batches if batch.summaries]
        assert {(one.sensor, one.start) for one in first.ahead} == {(name, *starts(249)) for name in ("air", "soil")}
        assert not any(batch.ahead for batch in others)
        assert len(hub.has) == 500
        assert [batch.token for batch in (first, *others)] == ["", "1", "2", "3", "4"]

    in_store(tmp_path, story)


def test_windows_of_a_clock_that_is_not_trusted_wait_but_the_node_is_heard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub, believed = Hub(), list[bool]()
    monkeypatch.setattr(forwarding, "UNSURE", clock.now() + 60_000)

    async def story(store: Store) -> None:
        await summed_up(store, range(2))
        async with hub.up(), at_work(store, native(hub.url), known=facts(is_believed=lambda: bool(believed))):
            await until(lambda: len(hub.batches) > 2)
            assert not hub.has
            believed.append(True)
            await until(lambda: not waiting(store))
            monkeypatch.setattr(forwarding, "UNSURE", clock.now())
            believed.clear()
            await summed_up(store, [2])
            await until(lambda: had(hub) == starts(0, 1, 2))

    in_store(tmp_path, story)


def test_who_fails_for_long_is_named_and_holds_up_nobody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failing, "FAILING_AFTER", 100)
    hub, away = Hub(), Hub()

    async def story(store: Store) -> None:
        await summed_up(store, range(2))
        notes = list[Note]()
        async with at_work(store, native(hub.url), native(away.url, name="away"), notes=notes) as forwarder:
            async with hub.up():
                await until(lambda: not waiting(store))
                await until(forwarder.troubles)
                assert len(forwarder.troubles()) == 1
                assert forwarder.troubles()[0].startswith('Summaries do not reach "away": it could not be reached')
                assert forwarder.troubles()[0].endswith("; 2 wait.")
            async with away.up():
                await until(lambda: not waiting(store, "away") and not forwarder.troubles())
            assert (await forwarder.reports())["away"].last_ok

    in_store(tmp_path, story)


class Slow(Hub):
    """A hub at the end of a link that carries a hundred summaries in time, and no more."""

    def answer_to(self, seen: Seen) -> bytes:
        self.stays_open = len(seen.body) > 4_000
        return b"" if self.stays_open else super().answer_to(seen)


def test_over_a_slow_link_less_goes_at_once(tmp_path: Path) -> None:
    hub = Slow()

    async def story(store: Store) -> None:
        await summed_up(store, range(400))
        async with hub.up(), at_work(store, native(hub.url, timeout=100)):
            await until(lambda: not waiting(store))
        assert len(had(hub)) == 400

    in_store(tmp_path, story)


def test_a_stranger_s_mistake_is_said_and_the_next_parcel_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forwarding, "STORE_AGAIN", 0.05)
    hub = Hub()

    class Careless(NativeUplink):
        mistakes = 0

        async def send(self, parcel: Parcel) -> Outcome:
            if self.mistakes < 2:
                self.mistakes += 1
                raise ValueError(self.name)
            return await super().send(parcel)

    async def story(store: Store) -> None:
        await summed_up(store, range(3))
        notes = list[Note]()
        careless = sending(Careless, url=hub.url, key="a key of the hub")
        async with hub.up(), at_work(store, careless, notes=notes):
            await until(lambda: not waiting(store))
        assert [note.kind for note in notes] == ["uplink failed", "uplink well"]
        assert "ValueError" in notes[0].text

    in_store(tmp_path, story)


def test_two_thousand_nodes_are_spread_over_the_minute() -> None:
    moments = [delivery.own_moment(forwarding._chance(f"node-{number}"), 300_000) for number in range(2_000)]
    tenths = [sum(moment // 6_000 == tenth for moment in moments) for tenth in range(10)]
    assert 150 < min(tenths) <= max(tenths) < 250
