"""From another machine: two network namespaces with a cable between them, the node in one and curl in the other."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from outstation.cli import control
from outstation.devices.gpio import has_header
from outstation.errors import OutstationError
from tests.running import KEY, Running
from tests.system.conftest import end_chips

NODE, OTHER = f"outstation-{os.getpid()}-a", f"outstation-{os.getpid()}-b"
"""The namespaces. Nothing outside of them is touched."""

ADDRESS, NEIGHBOUR = "10.77.5.1", "10.77.5.2"
ADDRESS_6, NEIGHBOUR_6 = "fd77:5::1", "fd77:5::2"
STRANGER, STRANGER_6 = "198.51.100.9", "2001:db8:100::9"
"""Public addresses as far as the node can tell (set aside for documentation: RFC 5737, RFC 3849), a hop away."""

CABLE = f"""
ip netns add {NODE}
ip netns add {OTHER}
ip -n {NODE} link add cable0 type veth peer name cable1 netns {OTHER}
ip -n {NODE} address add {ADDRESS}/24 dev cable0
ip -n {NODE} address add {ADDRESS_6}/64 dev cable0 nodad
ip -n {OTHER} address add {NEIGHBOUR}/24 dev cable1
ip -n {OTHER} address add {NEIGHBOUR_6}/64 dev cable1 nodad
ip -n {OTHER} address add {STRANGER}/32 dev lo
ip -n {OTHER} address add {STRANGER_6}/128 dev lo
ip -n {NODE} link set lo up
ip -n {OTHER} link set lo up
ip -n {NODE} link set cable0 up
ip -n {OTHER} link set cable1 up
ip -n {NODE} route add {STRANGER}/32 via {NEIGHBOUR}
ip -n {NODE} route add {STRANGER_6}/128 via {NEIGHBOUR_6}
"""

COMMANDS = """
curl http://localhost:5000/api/status
curl -X POST http://localhost:5000/api/led -H "Content-Type: application/json" -H "X-API-Key: KEY" -d '{"action": "on"}'
curl "http://localhost:5000/api/readings?limit=10"
curl http://localhost:5000/api/health
curl http://localhost:5000/docs
curl http://localhost:5000/
"""
"""As people read them; a browser at the last two."""

pytestmark = [
    pytest.mark.skipif(
        os.geteuid() != 0 or not shutil.which("ip") or not shutil.which("curl"),
        reason="making network namespaces needs root, ip (Debian: iproute2) and curl",
    ),
    pytest.mark.skipif(has_header(), reason="the default device would move a real pin of this machine"),
]


class Distant(Running):
    """The default device, in a namespace of its own, on the port that the documents name."""

    def __init__(self, data: Path) -> None:
        super().__init__(data, wrapper=("ip", "netns", "exec", NODE), port=5000)

    def answers(self) -> bool:
        """Ask through the data folder: it is the one way in that crosses namespaces."""
        try:
            return bool(control.ask(self.data, "GET", "/api/health"))
        except OutstationError:
            return False


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Distant]:
    folder = tmp_path_factory.mktemp("distant")
    made = subprocess.run(["sh", "-e"], input=CABLE, text=True, capture_output=True, check=False)
    try:
        if made.returncode:
            pytest.skip(f"no network namespace can be made here: {made.stderr.strip()}")
        with Distant(folder / "data") as node:
            yield node
    finally:
        end_chips(folder)
        for name in (NODE, OTHER):
            subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)


@pytest.mark.parametrize(
    ("namespace", "host"),
    [(NODE, "localhost"), (OTHER, ADDRESS), (OTHER, f"[{ADDRESS_6}]")],
    ids=["itself", "IPv4", "IPv6"],
)
def test_the_commands_of_the_readme_work_word_for_word(node: Distant, namespace: str, host: str) -> None:
    commands = COMMANDS.replace("localhost", host).replace("KEY", KEY).strip().splitlines()
    status, led, readings, health, docs, page = (_said(namespace, command) for command in commands)
    assert '"cpu_temp_c":' in status
    assert '"action":"on"' in led
    assert '"led_state":"on"' in led
    assert '"count":' in readings
    assert '"uptime_seconds":' in health
    assert "<!doctype html>" in docs.lower()
    assert "<!doctype html>" in page.lower()


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_a_browser_finds_html(node: Distant, path: str) -> None:
    assert _curl(ADDRESS, path, "-o", "/dev/null", "-w", "%{http_code} %{content_type}") == (
        "200 text/html; charset=utf-8"
    )


@pytest.mark.parametrize("host", [ADDRESS, f"[{ADDRESS_6}]"])
def test_a_name_that_is_not_this_machines_is_refused(node: Distant, host: str) -> None:
    assert _status(host, "/api/status", "-H", "Host: evil.example") == 421
    assert _status(host, "/api/status", "-H", f"Host: {NEIGHBOUR}:5000") == 421
    assert _status(host, "/api/status", "-H", f"Host: {host}") == 200


@pytest.mark.parametrize("host", [ADDRESS, f"[{ADDRESS_6}]"])
def test_moving_an_output_needs_a_key_from_everywhere(node: Distant, host: str) -> None:
    on = ("-H", "Content-Type: application/json", "-d", '{"action": "on"}')
    assert _status(host, "/api/led", *on) == 401
    assert _status(host, "/api/led", *on, "-H", "X-API-Key: wrong") == 401
    assert _status(host, "/api/led", *on, "-H", f"X-API-Key: {KEY}") == 200


@pytest.mark.parametrize(("host", "stranger"), [(ADDRESS, STRANGER), (f"[{ADDRESS_6}]", STRANGER_6)])
def test_reading_from_afar_needs_a_key_too(node: Distant, host: str, stranger: str) -> None:
    for path in ("/api/status", "/api/readings", "/", "/docs"):
        assert _status(host, path, "--interface", stranger) == 401
    assert _status(host, "/api/status", "--interface", stranger, "-H", f"X-API-Key: {KEY}") == 200


def test_over_a_link_local_address_too(node: Distant) -> None:
    words = ["ip", "-n", NODE, "-json", "address", "show", "dev", "cable0", "scope", "link"]
    (link,) = json.loads(subprocess.run(words, capture_output=True, check=True).stdout)
    (address,) = (found["local"] for found in link["addr_info"] if found.get("local"))
    patience = ("--retry", "9", "--retry-delay", "1", "--retry-all-errors")  # until the other end has one as well
    assert _status(f"[{address}%25cable1]", "/api/status", *patience) == 200


def test_reading_through_a_proxy_that_nobody_trusts_needs_a_key_too(node: Distant) -> None:
    assert _status(ADDRESS, "/api/status", "-H", f"X-Forwarded-For: {NEIGHBOUR}") == 401


def test_the_addresses_that_it_printed_are_the_ones_that_work(node: Distant) -> None:
    printed = node.log.read_text()
    assert f"http://{ADDRESS}:5000/" in printed
    assert f"http://[{ADDRESS_6}]:5000/" in printed


def _said(namespace: str, command: str) -> str:
    """Run a line of shell in a namespace, as a person there would."""
    words = ["ip", "netns", "exec", namespace, "sh", "-c", command]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=20)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _curl(host: str, path: str, *options: str) -> str:
    words = ["ip", "netns", "exec", OTHER, "curl", "-sS", "-g", *options, f"http://{host}:5000{path}"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=20)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _status(host: str, path: str, *options: str) -> int:
    return int(_curl(host, path, "-o", "/dev/null", "-w", "%{http_code}", *options))
