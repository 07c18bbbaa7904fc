"""The numbers of sensors: what the log and the blocks call them."""

from __future__ import annotations

import apsw


class Ids(dict[str, int]):
    """The sensors of a file by name. A number is given once: the log may hold readings of a sensor that was deleted."""

    def __init__(self, connection: apsw.Connection) -> None:
        super().__init__(connection.execute("SELECT name, id FROM sensors"))
        self._last: int = connection.execute(
            "SELECT coalesce(max(id), 0) FROM (SELECT id FROM sensors UNION ALL SELECT id FROM gone)"
        ).get

    def give(self, name: str) -> int:
        """Return the number of a sensor that has none yet."""
        self._last += 1
        self[name] = self._last
        return self._last
