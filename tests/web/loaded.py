"""A node that writes at its end which modules it has loaded. `python -m tests.web.loaded run ...`."""

from __future__ import annotations

import atexit
import os
import sys
from pathlib import Path

from outstation.__main__ import main

if __name__ == "__main__":
    atexit.register(lambda: Path(os.environ["LOADED"]).write_text("\n".join(sorted(sys.modules))))
    main()
