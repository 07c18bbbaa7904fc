"""A node that nobody supervises, which test_drill.py must notice: `python -m tests.system.unsupervised drill`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NoReturn

from outstation import app, launch
from outstation.__main__ import main
from outstation.config import Config


def _alone(
    config: Config,
    *,
    data: Path,
    host: str | None,
    port: int | None,
    temporary: bool = False,
    beside: int | None = None,
) -> NoReturn:
    sys.exit(app.run(config, config_file=None, data=data, host=host, port=port))


if __name__ == "__main__":
    launch.supervise = _alone
    main()
