"""One process owns a data folder, and whoever comes second is told who it is."""

from __future__ import annotations

import os
import resource
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from outstation.errors import OutstationError, OwnedError
from outstation.owner import Owner, holder_of_port, process

HOLD = "import sys, time; from pathlib import Path; from outstation.owner import Owner\n"
HOLD += "with Owner(Path(sys.argv[1])): print('mine', flush=True); time.sleep(20)"


def test_the_second_is_told_which_process_is_the_first(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == b"mine\n"
        with pytest.raises(OwnedError, match=rf"belong to process {first.pid} \(.*python.*\)\. .*--data") as caught:
            Owner(tmp_path).__enter__()
        assert str(tmp_path) in str(caught.value)
        first.send_signal(signal.SIGKILL)
        first.wait()
        with Owner(tmp_path):
            assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"


def test_it_can_be_had_again_and_let_go_twice(tmp_path: Path) -> None:
    owner = Owner(tmp_path)
    with owner:
        pass
    owner.close()
    with Owner(tmp_path):
        pass


def test_without_room_for_the_name_it_is_owned_all_the_same(tmp_path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))  # a write fails, as on a full disk
    try:
        with Owner(tmp_path), pytest.raises(OwnedError, match="belong to another process"), Owner(tmp_path):
            pass
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (tmp_path / "lock").read_bytes() == b""


def test_a_child_does_not_inherit_it(tmp_path: Path) -> None:
    with Owner(tmp_path):
        child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    with Owner(tmp_path):
        child.communicate()


def test_a_folder_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(OutstationError, match=r"There are no data in .*none.*outstation run"), Owner(tmp_path / "none"):
        pass
    assert not (tmp_path / "none").exists()


def test_what_is_no_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutstationError, match=r"file cannot be used: not a directory"), Owner(tmp_path / "file"):
        pass


def test_a_lock_without_a_number_is_still_a_lock(tmp_path: Path) -> None:
    with Owner(tmp_path):
        (tmp_path / "lock").write_text("")
        with pytest.raises(OwnedError, match="belong to another process"):
            Owner(tmp_path).__enter__()


def test_who_listens_on_a_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert holder_of_port(port) == process(os.getpid())
    assert holder_of_port(port) == "another process"


def test_a_process_that_is_gone_has_only_its_number() -> None:
    assert process(2**22 + 1) == f"process {2**22 + 1}"
