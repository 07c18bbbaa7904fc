"""Outstation: an edge-first IoT server."""

__version__ = "0.1.0"
