"""A key as people and programs read it: everything but the secret."""

from __future__ import annotations

from outstation import clock
from outstation.store.keys import SCOPES, Key


def key_document(key: Key) -> dict[str, object]:
    """Return one key; `revoked` is when it was, null while it is valid."""
    return {
        "id": key.id,
        "name": key.name,
        "scopes": sorted(key.scopes, key=SCOPES.index),
        "device": key.device,
        "last4": key.last4,
        "created": clock.iso(key.created),
        "revoked": None if key.revoked is None else clock.iso(key.revoked),
    }
