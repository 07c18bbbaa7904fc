"""Keys for the tests, made by the API itself."""

from __future__ import annotations

from tests.running import KEY, Running


def make_key(node: Running, *scopes: str, device: str | None = None) -> str:
    """Return a new key with these scopes; `device` binds it."""
    answer = node.post("/api/keys", {"name": "test", "scopes": scopes, "device": device})
    assert answer.status == 201, answer.body
    text: str = answer.json["key"]
    return text


def revoke(node: Running, key: str) -> None:
    """Revoke a key."""
    assert node.request("DELETE", f"/api/keys/{key.partition('.')[0]}", key=KEY).status == 200
