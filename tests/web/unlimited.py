"""A node where wrong keys are 401 however many there were. `python -m tests.web.unlimited run ...`."""

from __future__ import annotations

from outstation.__main__ import main
from outstation.engine import guesses

if __name__ == "__main__":
    guesses.OF_ONE_ADDRESS = guesses.OF_ONE_BEGINNING = 1_000_000
    main()
