"""Outputs: nobody waits for ever, an order given up is never carried out, and one to be safe is never given up."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest

from outstation.core.readings import Level
from outstation.engine import outputs as engine
from outstation.engine.bus import Buses
from outstation.engine.outputs import Outputs
from outstation.errors import DeviceError, MissingDeviceError
from outstation.plugins import ActuatorDriver, DriverOptions, Place

HERE = Place(Path(), Path())
T = TypeVar("T")


class Relay(ActuatorDriver):
    """Keeps what was asked of it; fails and hangs when told to."""

    def __init__(self, bus: str = "") -> None:
        super().__init__("relay", DriverOptions(), HERE)
        self.bus = bus or f"bus {id(self)}"
        self.done: list[tuple[str, Level | None]] = []
        self.error: Exception | None = None
        self.errors: list[Exception] = []
        self.seconds = 0.0
        self.may_go_on = threading.Event()
        self.may_go_on.set()
        self.is_busy = threading.Event()

    def open(self, level: Level) -> None:
        self._do("open", level)

    def set(self, level: Level) -> None:
        self._do("set", level)

    def close(self) -> None:
        self.done.append(("close", None))

    def _do(self, what: str, level: Level) -> None:
        self.is_busy.set()
        self.may_go_on.wait(30)
        time.sleep(self.seconds)
        self.is_busy.clear()
        if self.errors:
            raise self.errors.pop(0)
        if self.error:
            raise self.error
        self.done.append((what, level))


def _hold(busy: threading.Event, go_on: threading.Event) -> None:
    busy.set()
    go_on.wait(10)


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits that tests can wait for."""
    for limit in ("LIMIT_S", "QUEUE_S", "SAFE_S"):
        monkeypatch.setattr(engine, limit, 0.05)


def test_the_limits_are_what_is_promised() -> None:
    assert engine.LIMIT_S == engine.SAFE_S == 2.0
    assert engine.SAFE_S + engine.LAST_CHANCE_S + engine.LET_GO_S <= 3.5


def test_outputs_are_opened_at_their_level_and_then_set() -> None:
    led, vent = Relay(), Relay()
    outputs = Outputs({"led": led, "vent": vent})

    async def story() -> None:
        assert await outputs.open_all({"led": False, "vent": True}) == {}
        await outputs.set("led", True)

    run(story())
    outputs.close()
    outputs.close()
    assert led.done[:3] == [("open", False), ("set", True), ("close", None)]
    assert vent.done[:2] == [("open", True), ("close", None)]


def test_those_that_cannot_be_opened_are_named_and_the_others_work() -> None:
    led, vent = Relay(), Relay()
    led.error = MissingDeviceError("There is no pin 99.")
    outputs = Outputs({"led": led, "vent": vent})

    async def story() -> dict[str, DeviceError]:
        failed = await outputs.open_all({"led": False, "vent": False})
        await outputs.set("vent", True)
        return failed

    failed = run(story())
    outputs.close()
    assert {name: str(error) for name, error in failed.items()} == {"led": "There is no pin 99."}
    assert isinstance(failed["led"], MissingDeviceError)
    assert vent.done[:2] == [("open", False), ("set", True)]


def test_one_that_failed_is_opened_anew() -> None:
    led = Relay()
    outputs = Outputs({"led": led})

    async def story() -> None:
        await outputs.open_all({"led": False})
        led.error = DeviceError("The chip is gone.")
        with pytest.raises(DeviceError, match="The chip is gone"):
            await outputs.set("led", True)
        led.error = None
        await outputs.set("led", True)

    run(story())
    outputs.close()
    assert led.done[:2] == [("open", False), ("open", True)]


def test_a_strangers_mistake_is_a_device_error() -> None:
    led = Relay()
    led.error = KeyError("voltage")
    outputs = Outputs({"led": led})
    with pytest.raises(DeviceError, match=r"led: KeyError\('voltage'\)"):
        run(outputs.set("led", True))
    outputs.close()


def test_one_that_hangs_is_an_error_in_time_and_delays_no_other_bus(
    short: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "LIMIT_S", 0.3)  # longer than a busy machine takes for the other one
    led, vent = Relay(), Relay()
    outputs = Outputs({"led": led, "vent": vent})

    async def story() -> float:
        await outputs.open_all({"led": False, "vent": False})
        led.may_go_on.clear()
        started = time.monotonic()
        slow = asyncio.create_task(outputs.set("led", True))
        await outputs.set("vent", True)
        assert not slow.done()
        with pytest.raises(DeviceError, match=r"led did not answer within 0\.3 s: its state is unknown"):
            await slow
        return time.monotonic() - started

    assert run(story()) < 1
    led.may_go_on.set()
    outputs.close()


def test_an_order_that_was_given_up_is_not_carried_out_later(short: None) -> None:
    led = Relay()
    outputs = Outputs({"led": led})

    async def story() -> None:
        await outputs.open_all({"led": False})
        led.may_go_on.clear()
        hanging = asyncio.create_task(outputs.set("led", False))
        assert await asyncio.to_thread(led.is_busy.wait, 1)
        given_up = asyncio.create_task(outputs.set("led", True))
        await asyncio.gather(hanging, given_up, return_exceptions=True)
        led.may_go_on.set()
        await asyncio.sleep(0.02)

    run(story())
    outputs.close()
    assert ("set", True) not in led.done


def test_safe_comes_before_all_that_waits_and_nothing_after_it() -> None:
    led = Relay(bus="one")
    vent = Relay(bus="one")
    outputs = Outputs({"led": led, "vent": vent})

    async def story() -> None:
        await outputs.open_all({"led": False, "vent": False})
        vent.may_go_on.clear()
        busy = asyncio.create_task(outputs.set("vent", False))
        assert await asyncio.to_thread(vent.is_busy.wait, 1)
        waiting = asyncio.create_task(outputs.set("led", True))
        await asyncio.sleep(0)
        safe = asyncio.create_task(outputs.make_safe({"led": False, "vent": True}))
        await asyncio.sleep(0)
        vent.may_go_on.set()
        assert await safe == {}
        await busy
        for late in (waiting, outputs.set("led", True)):
            with pytest.raises(DeviceError, match="the node is stopping"):
                await late

    run(story())
    outputs.close()
    assert led.done == [("open", False), ("set", False), ("close", None)]
    assert vent.done == [("open", False), ("set", False), ("set", True), ("close", None)]


def test_safe_does_not_wait_for_one_that_hangs(short: None) -> None:
    led, vent = Relay(), Relay()
    outputs = Outputs({"led": led, "vent": vent})

    async def story() -> dict[str, DeviceError]:
        await outputs.open_all({"led": True, "vent": False})
        led.may_go_on.clear()
        return await outputs.make_safe({"led": False, "vent": True})

    started = time.monotonic()
    failed = run(story())
    outputs.close()
    assert list(failed) == ["led"]
    assert time.monotonic() - started < 1.8
    assert vent.done[:2] == [("open", False), ("set", True)]
    led.may_go_on.set()


def test_a_slow_order_under_way_does_not_outlast_the_safe_one(short: None) -> None:
    led = Relay()
    outputs = Outputs({"led": led})

    async def story() -> dict[str, DeviceError]:
        await outputs.open_all({"led": False})
        led.may_go_on.clear()
        slow = asyncio.create_task(outputs.set("led", True))
        assert await asyncio.to_thread(led.is_busy.wait, 1)
        failed = await outputs.make_safe({"led": False})
        led.may_go_on.set()
        await asyncio.gather(slow, return_exceptions=True)
        return failed

    assert list(run(story())) == ["led"]
    outputs.close()
    assert led.done == [("open", False), ("set", True), ("set", False), ("close", None)]


def test_the_last_of_many_on_one_slow_bus_becomes_safe_too(short: None) -> None:
    relays = {f"relay_{number}": Relay(bus="one") for number in range(4)}
    outputs = Outputs(relays)

    async def story() -> dict[str, DeviceError]:
        for relay in relays.values():
            relay.seconds = 0.03
        return await outputs.make_safe(dict.fromkeys(relays, False))

    assert "relay_3" in run(story())
    outputs.close()
    assert all(relay.done == [("open", False), ("close", None)] for relay in relays.values())


def test_what_goes_off_does_so_before_the_other_comes_on() -> None:
    order: list[str] = []

    class Direction(Relay):
        def set(self, level: Level) -> None:
            order.append("on" if level else "off")

    outputs = Outputs({"up": Direction(bus="one"), "down": Direction(bus="one")})

    async def story() -> None:
        await outputs.open_all({"up": False, "down": True})
        assert await outputs.make_safe({"up": True, "down": False}) == {}

    run(story())
    outputs.close()
    assert order == ["off", "on"]


def test_an_error_that_passes_is_tried_again_at_the_stop() -> None:
    led = Relay()
    outputs = Outputs({"led": led})

    async def story() -> dict[str, DeviceError]:
        await outputs.open_all({"led": True})
        led.errors = [DeviceError("The bus is busy."), DeviceError("The bus is busy.")]
        return await outputs.make_safe({"led": False})

    assert run(story()) == {}
    outputs.close()
    assert led.done == [("open", True), ("open", False), ("close", None)]


def test_an_order_to_be_safe_outlives_a_machine_without_threads() -> None:
    led = Relay()
    outputs = Outputs({"led": led})

    async def story() -> dict[str, DeviceError]:
        await outputs.open_all({"led": True})
        led.errors = [DeviceError("noise"), DeviceError("noise")]
        before = threading.stack_size(1 << 46)  # more than there are addresses: no thread can be started
        try:
            return await outputs.make_safe({"led": False})
        finally:
            threading.stack_size(before)

    assert run(story()) == {}
    outputs.close()
    assert led.done[:2] == [("open", True), ("open", False)]


def test_an_error_that_passes_after_the_wait_is_tried_again_until_the_end(short: None) -> None:
    led = Relay()
    outputs = Outputs({"led": led})

    async def story() -> dict[str, DeviceError]:
        await outputs.open_all({"led": True})
        led.error = DeviceError("The chip is gone.")
        return await outputs.make_safe({"led": False})

    assert {name: str(error) for name, error in run(story()).items()} == {"led": "The chip is gone."}
    led.error = None
    outputs.close()
    assert led.done == [("open", True), ("open", False), ("close", None)]


@pytest.mark.parametrize("freed", ["before close", "after close"])
def test_an_output_of_a_bus_that_was_only_busy_becomes_safe_as_soon_as_it_is_free(short: None, freed: str) -> None:
    buses = Buses()
    led = Relay(bus="i2c-1")
    outputs = Outputs({"led": led}, buses)
    busy, go_on, ended = threading.Event(), threading.Event(), threading.Event()

    async def story() -> dict[str, DeviceError]:
        await outputs.open_all({"led": True})
        buses["i2c-1"].at(0, lambda: _hold(busy, go_on))
        assert await asyncio.to_thread(busy.wait, 1)
        return await outputs.make_safe({"led": False})

    assert list(run(story())) == ["led"]
    if freed == "before close":
        go_on.set()
    outputs.close()
    go_on.set()
    buses["i2c-1"].at(time.monotonic(), ended.set)
    assert ended.wait(1)
    buses.close()
    assert led.done == [("open", True), ("set", False), ("close", None)]


def test_one_that_never_becomes_safe_is_named_and_let_go_in_time(short: None, caplog: pytest.LogCaptureFixture) -> None:
    led = Relay()
    outputs = Outputs({"led": led})
    led.error = DeviceError("The chip is gone.")
    assert list(run(outputs.make_safe({"led": False}))) == ["led"]
    started = time.monotonic()
    outputs.close()
    assert time.monotonic() - started < 1.5
    assert led.done == [("close", None)]
    assert "led may not be in its safe state: The chip is gone." in caplog.text


def test_waiting_for_the_bus_does_not_count_as_the_drivers_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "LIMIT_S", 0.15)
    led, vent = Relay(bus="one"), Relay(bus="one")
    led.seconds = vent.seconds = 0.1
    outputs = Outputs({"led": led, "vent": vent})
    assert run(outputs.open_all({"led": False, "vent": False})) == {}
    outputs.close()


def test_buses_are_shared_with_the_sensors() -> None:
    buses = Buses()
    led = Relay(bus="i2c-1")
    outputs = Outputs({"led": led}, buses)
    busy, go_on = threading.Event(), threading.Event()

    def read_a_sensor() -> None:
        busy.set()
        go_on.wait(1)

    async def story() -> None:
        buses["i2c-1"].at(0, read_a_sensor)
        assert await asyncio.to_thread(busy.wait, 1)
        setting = asyncio.create_task(outputs.set("led", True))
        await asyncio.sleep(0.01)
        assert led.done == []
        go_on.set()
        await setting

    run(story())
    outputs.close()
    buses.close()
    assert led.done == [("open", True), ("close", None)]
