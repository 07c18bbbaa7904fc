"""A node with little patience, so that a test need not have more. `python -m tests.web.impatient run ...`."""

from __future__ import annotations

import os

from outstation.__main__ import main
from outstation.web import connection, crowd
from outstation.web.api import stream

if __name__ == "__main__":
    connection.PATIENCE, connection.IDLE, connection.LINGER = 1, 1, 1
    crowd.MAX_CONNECTIONS = int(os.environ.get("IMPATIENT_MOST", "20"))
    stream._BEAT = 0.3
    main()
