"""GET /api/rules/spells: from when to when rules fired that have to do with a sensor."""

from __future__ import annotations

from pathlib import Path

from tests.running import Running

CONFIG = """
[[rules]]
name = "frost"
when = "porch/temperature < 2"
alert = { message = "cold" }

[[rules]]
name = "heat"
when = "shed/temperature > 30"
alert = { message = "hot" }
"""


def test_a_spell_has_an_end_when_the_rule_clears_and_is_told_to_whoever_asks_for_its_sensor(tmp_path: Path) -> None:
    with Running(tmp_path / "data", CONFIG) as node:

        def spells(query: str) -> list[dict[str, str | None]]:
            found: list[dict[str, str | None]] = node.get(f"/api/rules/spells?{query}").json["spells"]
            return found

        def fires(sensor: str, value: float, *, firing: bool) -> None:
            node.post("/api/readings", {"sensor": sensor, "value": value})
            while node.get("/api/rules").json["rules"][sensor.startswith("shed")]["firing"] is not firing:
                pass

        assert spells("sensor=porch/temperature") == []
        fires("porch/temperature", 1, firing=True)
        fires("shed/temperature", 31, firing=True)
        (still,) = spells("sensor=porch/temperature")
        assert still["rule"] == "frost"
        assert still["start"]
        assert still["end"] is None
        fires("porch/temperature", 5, firing=False)
        (over,) = spells("sensor=porch/temperature")
        assert over["start"] == still["start"]
        assert over["end"] is not None
        assert over["end"] >= over["start"]
        both = spells("sensor=porch/temperature&sensor=shed/temperature")
        assert [spell["rule"] for spell in both] == ["frost", "heat"]
        assert spells(f"sensor=porch/temperature&end={still['start']}") == []
        assert spells(f"sensor=porch/temperature&start={over['end']}") == spells("sensor=porch/temperature")
        assert spells("sensor=porch/temperature&start=2099-01-01T00:00:00Z&end=2099-01-02T00:00:00Z") == []
