"""What the stories of the dialect begin with: two boards, one of which everybody may read."""

from __future__ import annotations

WRITE, READ, OTHER = "Q7WK2ZB9XHT4RM6C", "A1PD8SJ3VNE5GU0L", "M9TR4KX2ZQ8WB6HC"


def config(channel: int = 1) -> str:
    """Return the config of a node. channel: that of the first board."""
    return f"""
[node]
clock = "trust"

[[devices]]
name = "porch"
channel = {channel}
write_key = "{WRITE}"
read_key = "{READ}"
fields = ["temperature", "humidity"]

[[devices]]
name = "shed"
channel = 2
write_key = "{OTHER}"
public = true
fields = ["weight"]
"""
