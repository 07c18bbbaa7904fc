"""Summaries and alerts for any web endpoint, one JSON document each."""
