"""The fixtures that authors of drivers have."""

from __future__ import annotations

from outstation.testing import place

__all__ = ["place"]
