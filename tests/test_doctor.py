"""The doctor: what is wrong, and its cure, on machines and nodes of all kinds; and nothing is other afterwards."""

from __future__ import annotations

import json
import os
import pwd
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from outstation import cli, clock
from outstation.__main__ import root
from outstation.cli import control
from outstation.cli.offline import boot
from outstation.errors import OutstationError
from outstation.ops import doctor, doctor_node
from outstation.ops.doctor import Finding
from outstation.ops.hardware import Roots
from outstation.store.database import Store
from outstation.supervisor import reduced
from outstation.wire import terms
from tests.running import KEY, Running, free_port
from tests.system.waiting import until
from tests.web.test_tls import certify


@pytest.fixture
def roots(tmp_path: Path) -> Roots:
    made = Roots(*(tmp_path / name for name in ("sys", "dev", "proc", "boot")))
    for folder in (made.sys, made.dev, made.proc, made.boot / "firmware"):
        folder.mkdir(parents=True)
    return made


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def pi(roots: Roots) -> None:
    write(roots.proc / "device-tree" / "model", "Raspberry Pi 4 Model B Rev 1.5\0")


def found(roots: Roots, topic: str, *drivers: str) -> Finding:
    return next(one for one in doctor.machine(roots, drivers) if one.topic == topic)


def test_a_bus_that_the_config_needs_is_to_be_switched_on(roots: Roots) -> None:
    pi(roots)
    needed, other = found(roots, "I2C", "i2c"), found(roots, "1-Wire", "i2c")
    assert (needed.state, other.state, other.cure) == ("mend", "note", "")
    assert "dtparam=i2c_arm=on" in needed.cure
    write(roots.dev / "i2c-1", "")
    assert found(roots, "I2C", "i2c") == Finding("I2C", f"{roots.dev}/i2c-1, and this user may use it")


def test_a_chip_that_cannot_be_asked_is_named(roots: Roots) -> None:
    assert found(roots, "released lines").text == "There are no pins."
    chip = write(roots.dev / "gpiochip0", "")
    assert found(roots, "released lines").text == f"{chip} cannot be asked: inappropriate ioctl for device."


THROTTLED = "devices/platform/soc/soc:firmware/get_throttled"


@pytest.mark.parametrize(
    ("word", "state", "text"),
    [
        ("0", "ok", "enough since the start"),
        ("50005", "mend", "the voltage is too low now; the processor is throttled now; the voltage was too low"),
        ("80000", "mend", "it was so hot that it ran slower since the start"),
    ],
)
def test_a_raspberry_pi_tells_of_its_power(roots: Roots, word: str, state: str, text: str) -> None:
    write(roots.sys / THROTTLED, f"{word}\n")
    power = found(roots, "power")
    assert power.state == state
    assert power.text.startswith(f"/sys/{THROTTLED}")
    assert text in power.text
    assert bool(power.cure) == (state == "mend")


def test_where_the_kernel_does_not_say_the_firmwares_program_does(
    roots: Roots, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pi(roots)
    write(tmp_path / "bin" / "vcgencmd", "#!/bin/sh\necho throttled=0x10000\n").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    assert "vcgencmd get_throttled 0x10000: the voltage was too low" in found(roots, "power").text


def test_a_clock_with_an_empty_battery_is_told_from_none(roots: Roots) -> None:
    assert found(roots, "rtc").state == "note"
    write(roots.sys / "class" / "rtc" / "rtc0" / "name", "rtc-ds3231\n")
    seconds = write(roots.sys / "class" / "rtc" / "rtc0" / "since_epoch", str(clock.at() // 1000))
    assert found(roots, "rtc") == Finding("rtc", "rtc-ds3231")
    seconds.write_text("946684800")
    assert found(roots, "rtc").state == "mend"


def kind(roots: Roots, folder: Path, mount: str) -> Finding:
    write(roots.proc / "mounts", mount)
    return [*doctor.disk(folder, roots)][-1]


def test_a_disk_is_told_by_its_kind(roots: Roots, tmp_path: Path) -> None:
    number = tmp_path.stat().st_dev
    partition = roots.sys / "block" / "mmcblk0" / "mmcblk0p2"
    write(partition / "partition", "2")
    write(roots.sys / "block" / "mmcblk0" / "device" / "type", "SD")
    (roots.sys / "dev" / "block").mkdir(parents=True)
    (roots.sys / "dev" / "block" / f"{os.major(number)}:{os.minor(number)}").symlink_to(partition)
    card = kind(roots, tmp_path / "not" / "yet", "/dev/mmcblk0p2 / ext4 rw,noatime 0 0")
    assert (card.state, card.text[:27]) == ("note", "ext4 on an SD card (mmcblk0")
    assert "back up" in card.text
    assert kind(roots, tmp_path, "/dev/mmcblk0p2 / ext4 ro,noatime 0 0").state == "mend"
    assert kind(roots, tmp_path, "host:/x / nfs4 rw 0 0").state == "mend"
    assert kind(roots, tmp_path, f"/dev/x / ext4 rw 0 0\ntmpfs {tmp_path} tmpfs rw 0 0").state == "mend"


CONFIG = """
[node]
clock = "trust"

[[sensors]]
name = "load"
driver = "system"
quantity = "cpu_load"
"""


def ask(folder: Path, *options: str) -> dict[str, dict[str, Any]]:
    done = CliRunner().invoke(root, ["doctor", "--json", "--data", str(folder / "data"), *options])
    document = json.loads(done.output)
    findings = {one["topic"]: one for one in document["findings"]}
    assert done.exit_code == (0 if document["well"] else 1)
    assert document["well"] == all(one["state"] != "mend" for one in findings.values())
    return findings


def test_secrets_of_the_service_are_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(tmp_path / "environment", '# of the unit\nHUB_KEY="a.b"\nOTHER = 1\n')
    monkeypatch.setenv("OTHER", "mine")
    monkeypatch.setenv("HUB_KEY", "")
    monkeypatch.delenv("HUB_KEY")
    cli.doctor._take_environment(file)
    assert (os.environ["HUB_KEY"], os.environ["OTHER"]) == ("a.b", "mine")


def tree(folder: Path) -> dict[str, tuple[int, int]]:
    """Return what is there, but for the index of a write-ahead log, which every reader keeps up."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".db-shm"]
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in files}


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OUTSTATION_API_KEY", raising=False)


def test_without_a_config_and_without_data_it_says_what_to_do_next(tmp_path: Path) -> None:
    findings = ask(tmp_path)
    assert [findings[topic]["state"] for topic in ("config", "node", "data file")] == ["note"] * 3
    assert "outstation init" in findings["config"]["cure"]
    assert tree(tmp_path) == {}


def test_a_config_with_mistakes_is_one_finding_among_the_others(tmp_path: Path) -> None:
    config = write(tmp_path / "outstation.toml", "[web]\nprot = 80\n[node]\nclok = 1\n")
    findings = ask(tmp_path, "--config", str(config))
    assert findings["config"]["state"] == "mend"
    assert "clok" in findings["config"]["text"]
    assert "1 more: outstation check" in findings["config"]["cure"]
    assert {"python", "clock", "disk space", "node"} <= findings.keys()
    assert ask(tmp_path, "--config", str(tmp_path / "none.toml"))["config"]["state"] == "mend"


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    port = free_port()
    config = f"{CONFIG}\n[web]\nport = {port}\n"
    with Running(tmp_path_factory.mktemp("hub") / "data", config, port=port) as running:
        yield running


def test_beside_a_node_that_runs_well_there_is_nothing_to_mend(hub: Running) -> None:
    hub.post("/api/keys", {"name": "phone", "scopes": ["read"]})
    findings = ask(hub.data.parent, "--config", str(hub.config_file))
    assert [one for one in findings.values() if one["state"] == "mend"] == []
    assert "It runs" in findings["node"]["text"]
    assert "is sound" in findings["data file"]["text"]
    assert f"listens on {hub.port}" in findings["port"]["text"]


def test_a_node_on_another_port_than_the_configs_is_not_taken_for_who_is_there(hub: Running, tmp_path: Path) -> None:
    config = f"{CONFIG}\n[web]\nport = {hub.port}\n"
    with Running(tmp_path / "data", config) as elsewhere:
        port = ask(tmp_path, "--config", str(elsewhere.config_file))["port"]
    assert port["text"].startswith(f"The node listens on {elsewhere.port}: it was started with another --port")


def test_a_proxy_that_the_config_does_not_know_is_named_by_the_caller(hub: Running) -> None:
    place = f"https://localhost:{free_port()}"
    findings = ask(hub.data.parent, "--config", str(hub.config_file), "--through", place)
    said = [findings[topic] for topic in ("https://localhost", "proxy at https://localhost")]
    assert [(one["state"], "does not answer" in one["text"]) for one in said] == [("mend", True)] * 2
    for wrong in ("iot.example.com", "http://iot.example.com", "https://x:y"):
        assert CliRunner().invoke(root, ["doctor", "--through", wrong]).exit_code == 2


def test_a_port_that_somebody_else_has_is_named_with_who(hub: Running, tmp_path: Path) -> None:
    config = write(tmp_path / "other.toml", f"{CONFIG}\n[web]\nport = {hub.port}\n")
    port = ask(tmp_path, "--config", str(config))["port"]
    assert port["state"] == "mend"
    assert f"Port {hub.port} is in use by process {hub.pid}" in port["text"]


def test_a_node_that_crashes_again_and_again_is_no_stranger_on_its_port(tmp_path: Path) -> None:
    port, log = free_port(), os.memfd_create("log")
    os.write(log, b"The node ended 5 times.\0")
    certificate, key = certify(tmp_path, "crashing")
    web = f'port = {port}\ntls_cert = "{certificate}"\ntls_key = "{key}"\n'
    config = write(tmp_path / "crashing.toml", f"{CONFIG}\n[web]\n{web}")
    told = terms.in_memory(terms.Terms("near", (), str(certificate), str(key), keys={}))
    with socket.create_server(("127.0.0.1", port)) as door:
        given = (log, told, door.fileno())
        command = [sys.executable, reduced.__file__, str(log), str(told), str(door.fileno())]
        answering = subprocess.Popen(command, pass_fds=given)
    try:
        said = ask(tmp_path, "--config", str(config))["port"]
    finally:
        answering.kill()
        answering.wait()
        os.close(log)
        os.close(told)
    assert (said["state"], said["text"]) == ("mend", "The node cannot run: The node ended 5 times.")


def test_an_uplink_is_tried_with_its_key(hub: Running, tmp_path: Path) -> None:
    key = hub.post("/api/nodes", {"name": "greenhouse-1"}).json["key"]
    tables = [("right", hub.port, key), ("wrong", hub.port, "nobodys.key"), ("away", 9, key)]
    text = "".join(
        f'[[uplinks]]\nname = "{name}"\nkind = "outstation"\nurl = "http://127.0.0.1:{port}"\nkey = "{word}"\n'
        for name, port, word in tables
    )
    findings = ask(tmp_path, "--config", str(write(tmp_path / "outstation.toml", text)))
    states = {name: findings[f"uplink {name}"]["state"] for name, _, _ in tables}
    assert states == {"right": "ok", "wrong": "mend", "away": "mend"}
    assert "outstation nodes renew" in findings["uplink wrong"]["cure"]
    assert key not in str(findings)


@pytest.mark.parametrize(
    ("lines", "state"),
    [
        ("", "note"),
        ('trusted_proxies = ["127.0.0.1"]', "note"),
        ('trusted_proxies = ["127.0.0.1"]\nhost = "127.0.0.1"', "ok"),
        ('trusted_proxies = ["0.0.0.0/0"]', "mend"),
    ],
)
def test_whom_a_node_believes_is_looked_at(tmp_path: Path, lines: str, state: str) -> None:
    config = write(tmp_path / "outstation.toml", f"{CONFIG}\n[web]\n{lines}\n")
    assert ask(tmp_path, "--config", str(config))["proxy headers"]["state"] == state


def test_simulated_pins_need_no_hardware(tmp_path: Path) -> None:
    text = '[[actuators]]\nname = "vent"\ndriver = "pwm"\nchannel = 0\nsimulate = true\n'
    findings = ask(tmp_path, "--config", str(write(tmp_path / "outstation.toml", f"{CONFIG}\n{text}")))
    assert (findings["config"]["state"], findings["PWM"]["state"]) == ("ok", "note")


def test_a_key_that_cannot_be_sent_is_not_shown(hub: Running, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{hub.port}"
    text = f'[[uplinks]]\nname = "hub"\nkind = "outstation"\nurl = "{url}"\nkey = "se\u2026cret"\n'
    said = ask(tmp_path, "--config", str(write(tmp_path / "letters.toml", text)))["uplink hub"]
    assert said["state"] == "mend"
    assert said["text"] == f"{url} does not answer: its key or its address has letters that cannot be sent"


def test_far_ends_are_asked_all_at_once_and_none_is_waited_for() -> None:
    gone = threading.Event()

    def silent(topic: str) -> Finding:
        gone.wait(20)
        return Finding(topic, "It answers")

    def refuses() -> Finding:
        raise OutstationError("There is no such kind.", cure="Install it.")

    ways = {name: partial(silent, name) for name in ("one", "two", "three")} | {"four": refuses}
    found = [*doctor_node.all_at_once(ways, 0.1)]
    gone.set()
    assert [one.text for one in found] == ["It does not answer within 0.1 s."] * 3 + ["There is no such kind."]
    assert {one.state for one in found} == {"mend"}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
def test_what_this_user_may_not_see_is_one_finding(tmp_path: Path) -> None:
    (tmp_path / "closed" / "data").mkdir(parents=True)
    config = write(tmp_path / "closed" / "outstation.toml", CONFIG)
    (tmp_path / "closed").chmod(0)
    assert ask(tmp_path / "closed", "--config", str(config))["config"]["state"] == "ok", "and all is imported"
    os.seteuid(pwd.getpwnam("nobody").pw_uid)
    try:
        findings = ask(tmp_path / "closed", "--config", str(config))
    finally:
        os.seteuid(0)
    assert [findings[topic]["state"] for topic in ("config", "node", "data file")] == ["mend"] * 3
    assert {"python", "disk space", "disk kind"} <= findings.keys()


def test_damage_is_found_and_mended_by_nobody(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    with Store(tmp_path / "data", boot=boot()):
        path = tmp_path / "data" / "outstation.db"
    findings = ask(tmp_path)
    assert "is sound" in findings["data file"]["text"]
    assert findings["keys"]["state"] == "mend"
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(os.urandom(8_192))
    before = tree(tmp_path)
    findings = ask(tmp_path)
    assert "is damaged" in findings["data file"]["text"]
    assert "keys" not in findings, "nobody knows"
    assert tree(tmp_path) == before


SITES = [
    (b'{"status": "healthy", "problems": []}', 200, "ok"),
    (b'{"status": "unhealthy", "problems": ["no disk"]}', 503, "ok"),
    (b'{"error": "This needs a key."}', 401, "ok"),
    (b'{"error": "The node does not answer; try again."}', 503, "mend"),
    (b'<html><a href="/">Welcome to nginx!</a></html>', 200, "mend"),
    (b'{"hello": "world"}', 200, "mend"),
    (b"<html></html>", 401, "mend"),
]


@pytest.mark.parametrize(("body", "status", "state"), SITES)
def test_only_a_node_behind_a_proxy_is_well(body: bytes, status: int, state: str) -> None:
    assert doctor_node.site("https://x", status, body).state == state


def test_it_prints_a_line_each(tmp_path: Path) -> None:
    done = CliRunner().invoke(root, ["doctor", "--data", str(tmp_path / "data")])
    lines = done.output.splitlines()
    assert lines[0].startswith("ok    python: Outstation ")
    assert sys.prefix in lines[0]
    assert {line[:6] for line in lines} <= {"ok    ", "note  ", "MEND  "}
    assert KEY not in done.output


def has_ended(node: Running) -> bool:
    """Tell whether a killed node is gone altogether: while the kernel tears it down its sockets still take callers."""
    try:
        control.ask(node.data, "GET", "/api/traffic")
    except control.NotRunningError:
        return True
    except OutstationError:
        return False
    return False


def test_a_file_of_a_node_that_was_killed_is_read_and_left_as_it_is(hub: Running) -> None:
    hub.post("/api/readings", {"sensor": "porch/temperature", "value": 1})
    hub.kill()
    until(lambda: has_ended(hub))
    folder = hub.data.parent
    before = tree(folder)
    assert (hub.data / "outstation.db-wal").stat().st_size
    findings = ask(folder, "--config", str(hub.config_file))
    if "reset by peer" in findings["node"]["text"]:  # asked in the moment in which it died
        findings = ask(folder, "--config", str(hub.config_file))
    assert findings["node"]["text"].startswith("No node runs")
    assert "is sound" in findings["data file"]["text"]
    assert tree(folder) == before


def test_a_certificate_that_is_not_there_is_told_before_a_start(tmp_path: Path) -> None:
    config = write(tmp_path / "outstation.toml", f'{CONFIG}\n[web]\ntls_cert = "/none.pem"\ntls_key = "/none.pem"\n')
    found = ask(tmp_path, "--config", str(config))["certificate"]
    assert (found["state"], "/none.pem cannot be used: No such file" in found["text"]) == ("mend", True)
    checked = CliRunner().invoke(root, ["check", str(config)])
    assert (checked.exit_code, "There is no certificate" in checked.output) == (1, True)
