"""CircuitPython's own modules are stood in for while a library is imported, whatever other threads import meanwhile."""

from __future__ import annotations

import importlib
import sys
import threading
import types

from outstation.devices.wiring import stand_ins


def test_they_are_there_for_the_one_who_imports_and_gone_afterwards() -> None:
    with stand_ins.imports():
        assert importlib.import_module("busio").I2C
    assert "busio" not in sys.modules


def test_other_threads_import_meanwhile() -> None:
    done = threading.Event()

    def import_others() -> None:
        while not done.is_set():
            for number in range(200):
                sys.modules[f"of_another_thread_{number}"] = types.ModuleType("another")
            for number in range(200):
                del sys.modules[f"of_another_thread_{number}"]

    other = threading.Thread(target=import_others)
    other.start()
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(200):
            with stand_ins.imports():
                pass
    finally:
        sys.setswitchinterval(interval)
        done.set()
        other.join()
