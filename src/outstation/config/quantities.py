"""One table for a chip that measures several things: `quantities` makes one sensor of each.

Whoever looks at a config after this sees sensors that take one `quantity` each, whatever their driver is.
"""

from __future__ import annotations

from typing import Any

from outstation.config.mistakes import Place
from outstation.config.sensors import parse_quantities


def expanded(place: Place, raw: dict[str, Any]) -> list[tuple[Place, dict[str, Any]]]:
    """Return one table for each quantity, and how to speak of it; the table as it is where it names none rightly."""
    try:
        wanted = parse_quantities(raw["quantities"])
    except (KeyError, ValueError):
        return [(place, raw)]
    written = {"quantity": "quantities"}
    if isinstance(wanted, dict):
        written["unit"] = "quantities"
        return [(place._replace(written=written), _one(raw, name) | {"unit": unit}) for name, unit in wanted.items()]
    return [(place._replace(written=written), _one(raw, name)) for name in wanted]


def mistakes(place: Place, raw: dict[str, Any]) -> list[str]:
    """Return what is said twice in a table with quantities."""
    said = {"quantity": "quantity"} | ({"unit": "units"} if isinstance(raw.get("quantities"), dict) else {})
    return [
        place.says(key, f"expected the {words} in quantities alone, found both")
        for key, words in said.items()
        if "quantities" in raw and key in raw
    ]


def _one(raw: dict[str, Any], quantity: str) -> dict[str, Any]:
    """Return the table of one quantity: it is called by its own name behind the table's."""
    table = {key: value for key, value in raw.items() if key != "quantities"} | {"quantity": quantity}
    if isinstance(name := raw.get("name"), str):
        table["name"] = f"{name}_{quantity.lower()}"
    if isinstance(label := raw.get("label"), str) and label:
        table["label"] = f"{label} {quantity.replace('_', ' ')}"
    return table
