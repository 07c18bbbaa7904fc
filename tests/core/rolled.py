"""An hour or a day by hand: from all windows that there are, whichever the closing of windows thought of."""

from __future__ import annotations

from collections.abc import Mapping

from outstation.core.summaries import Summary, total
from outstation.core.windows import Offset, Window, parts


def rolled(whole: Window, found: Mapping[Window, Summary], offset: Offset) -> Summary:
    """Return the summary of a longer window from those of its parts."""
    inside = [
        one
        for piece in parts(whole, offset)
        for key, one in sorted(found.items())
        if key.tier is piece.tier and piece.start <= key.start < piece.end
    ]
    return total(whole, inside)
