"""/api/keys: made once, shown once, revoked for good."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from outstation.routes import SCOPES
from tests.running import KEY, Answer, Running


def create(node: Running, **document: Any) -> Answer:
    return node.post("/api/keys", {"name": "phone", "scopes": ["read"], **document})


def listed(node: Running, number: str) -> dict[str, Any]:
    found = [key for key in node.get("/api/keys", key=KEY).json["keys"] if key["id"] == number]
    assert len(found) == 1
    return dict(found[0])


def test_a_key_is_made_and_shown_this_once(node: Running) -> None:
    answer = create(node, name="my phone", scopes=["control", "read"])
    made = answer.json
    assert answer.status == 201
    assert made["key"].startswith(f"{made['id']}.")
    assert len(made["key"]) > 43
    assert (made["name"], made["scopes"], made["device"], made["revoked"]) == (
        "my phone",
        ["read", "control"],
        None,
        None,
    )
    secret = made.pop("key").partition(".")[2]
    assert secret.endswith(made["last4"])
    assert listed(node, made["id"]) == made
    assert secret not in node.get("/api/keys", key=KEY).body.decode()
    assert node.get("/api/status", key=f"{made['id']}.{secret}").status == 200


def test_its_secret_is_in_no_file_and_no_log(node: Running) -> None:
    secret = create(node).json["key"].partition(".")[2].encode()
    node.post("/api/readings", {"sensor": "porch/a", "value": 1})
    for file in node.data.iterdir():
        assert not file.is_file() or secret not in file.read_bytes()
    assert secret not in node.log.read_bytes()


def test_two_keys_are_never_alike(node: Running) -> None:
    keys = {create(node).json["key"] for _ in range(20)}
    assert len(keys) == len({key.partition(".")[0] for key in keys}) == 20


def test_a_revoked_key_stays_in_the_list_and_is_refused(node: Running) -> None:
    made = create(node).json
    assert node.get("/api/status", key=made["key"]).status == 200
    answer = node.request("DELETE", f"/api/keys/{made['id']}", key=KEY)
    assert (answer.status, answer.json) == (200, {"revoked": made["id"]})
    assert node.get("/api/status", key=made["key"]).status == 401
    assert listed(node, made["id"])["revoked"].endswith("Z")
    assert node.request("DELETE", f"/api/keys/{made['id']}", key=KEY).status == 404


def test_a_revoked_key_stays_refused_after_a_restart(tmp_path: Path) -> None:
    with Running(tmp_path / "data") as node:
        kept, gone = create(node).json, create(node).json
        node.request("DELETE", f"/api/keys/{gone['id']}", key=KEY)
        node.kill()
        node.start()
        assert node.get("/api/status", key=kept["key"]).status == 200
        assert node.get("/api/status", key=gone["key"]).status == 401


@pytest.mark.parametrize("number", ["nobody", "%00", "..", "<script>", "x" * 5_000, "environment", KEY])
def test_what_is_no_key_cannot_be_revoked(node: Running, number: str) -> None:
    answer = node.request("DELETE", f"/api/keys/{number}", key=KEY)
    assert answer.status == 404
    assert len(answer.body) < 600
    assert b"<" not in answer.body


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"name": "x" * 65},
        {"name": "a\nb"},
        {"name": "a\x1b[31m"},
        {"name": "<script>"},
        {"name": "phone\n"},
        {"name": None},
        {"name": 5},
        {"scopes": []},
        {"scopes": ["everything"]},
        {"scopes": ["read", "root"]},
        {"scopes": "read"},
        {"scopes": None},
        {"scopes": [["read"]]},
        {"device": ""},
        {"device": "Porch"},
        {"device": "porch/a"},
        {"device": "../porch"},
        {"device": "x" * 65},
        {"device": 5},
        {"expires": "never"},
        {"<script>": 1},
    ],
)
def test_what_is_no_key_cannot_be_made(node: Running, wrong: dict[str, Any]) -> None:
    before = len(node.get("/api/keys", key=KEY).json["keys"])
    answer = create(node, **wrong)
    assert answer.status == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert len(answer.body) < 800
    assert b"<" not in answer.body
    assert len(node.get("/api/keys", key=KEY).json["keys"]) == before


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"\xff", b"[" * 100_000, b'{"a":' * 40_000, b"9" * 5_000, b'{"name": "\xff", "scopes": ["read"]}'],
)
def test_what_is_no_json_makes_no_key(node: Running, body: bytes) -> None:
    answer = node.post("/api/keys", body, {"Content-Type": "application/json"})
    assert answer.status in {400, 422}
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("scope", SCOPES)
def test_a_scope_is_that_and_no_more(node: Running, scope: str) -> None:
    key = create(node, scopes=[scope]).json["key"]
    asked = {
        "read": node.get("/api/status", key=key),
        "write": node.post("/api/readings", {"sensor": "porch/a", "value": 1}, key=key),
        "control": node.post("/api/led", {"action": "release"}, key=key),
        "admin": node.get("/api/keys", key=key),
    }
    assert {name: answer.status for name, answer in asked.items()} == {
        name: 200 if name == scope else 403 for name in SCOPES
    }
