"""Web addresses, as they are written in a config and told in a message."""

from __future__ import annotations

from urllib.parse import urlsplit


def is_address(url: str) -> bool:
    """Tell whether a text is one that can be asked: http or https, printable ASCII, without a name and a password."""
    try:
        parts = urlsplit(url)
        fits = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 80) > 0
    except ValueError:
        return False
    return fits and "@" not in parts.netloc and url.isascii() and url.isprintable() and " " not in url


def shown(url: str) -> str:
    """Return an address for people: without its query, which may be a secret."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}{parts.path}"
