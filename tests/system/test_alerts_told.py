"""A receiver that was down has each alert once and in order, also when the node was killed meanwhile."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.engine.receiving import Server
from tests.running import Running

CONFIG = """
[node]
name = "greenhouse"
clock = "trust"

[[devices]]
name = "porch"
channel = 1
write_key = "MZ7T4KQ9WPX2B6RD"
fields = ["temperature", "humidity", "co2"]

[[rules]]
name = "too hot"
when = "porch/temperature > 30"
alert = {{ severity = "warning", message = "{{porch/temperature:.1f}} °C on the porch" }}

[[rules]]
name = "too damp"
when = "porch/humidity > 90"
alert = {{ message = "{{porch/humidity:.1f}} % on the porch" }}

[[rules]]
name = "stuffy"
when = "porch/co2 > 1000"
alert = {{ message = "{{porch/co2:.1f}} ppm on the porch" }}

[[webhooks]]
name = "hub"
url = "{url}"
"""


def measure(node: Running, field: str, *values: float) -> None:
    for value in values:
        assert node.post("/api/readings", {"sensor": f"porch/{field}", "value": value}).status == 200


@pytest.mark.parametrize(
    "down_s", [0.5, pytest.param(600, marks=[pytest.mark.long, pytest.mark.timeout(900)], id="ten minutes")]
)
def test_a_receiver_that_was_down_has_each_alert_once(tmp_path: Path, down_s: float) -> None:
    async def story() -> None:
        server = Server()
        async with server.up():
            pass  # its port is known now, and closed
        with Running(tmp_path / "data", CONFIG.format(url=server.url)) as node:
            measure(node, "temperature", 31, 20)
            measure(node, "humidity", 95)
            node.kill()
            node.start()
            measure(node, "humidity", 50)
            measure(node, "co2", 1200.5)
            await asyncio.sleep(down_s)
            if down_s > 65:
                assert any('do not reach "hub"' in words for words in node.get("/api/health").json["problems"])
            async with server.up():
                async with asyncio.timeout(90):
                    while len(server.seen) < 5:  # noqa: ASYNC110  nobody rings when it comes
                        await asyncio.sleep(0.05)
                await asyncio.sleep(0.5)
                told = [seen.alert for seen in server.seen]
        spells = list(dict.fromkeys(number for number, _ in told))
        assert told == [(number, what) for number in spells for what in ("raised", "cleared")][:5]
        assert len({seen.key for seen in server.seen}) == 5
        assert "1200.5 ppm on the porch" in server.seen[-1].body.decode()

    asyncio.run(story())
