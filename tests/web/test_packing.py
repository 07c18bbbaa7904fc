from __future__ import annotations

import gzip

import pytest

from outstation.http import Peer, Request, Response
from outstation.web.dashboard.files import Files
from outstation.web.packing import packed

LONG = b"porch " * 1_000


def asked(accepted: bytes | None) -> Request:
    headers = [] if accepted is None else [(b"accept-encoding", accepted)]
    return Request("GET", "/", b"", headers, Peer("127.0.0.1"))


@pytest.mark.parametrize("accepted", [b"gzip", b"br, GZIP;q=0.5", b"*", b"deflate,gzip;q=1.0"])
def test_a_long_answer_is_packed_for_who_can_unpack_it(accepted: bytes) -> None:
    answer = packed(Response(LONG), asked(accepted))
    assert gzip.decompress(answer.body) == LONG
    assert dict(answer.headers) == {b"Vary": b"Accept-Encoding", b"Content-Encoding": b"gzip"}


@pytest.mark.parametrize("accepted", [None, b"", b"br", b"gzip;q=0", b"gzip; q=0.000, br"])
def test_for_others_it_is_as_it_is(accepted: bytes | None) -> None:
    answer = packed(Response(LONG), asked(accepted))
    assert answer.body == LONG
    assert dict(answer.headers) == {b"Vary": b"Accept-Encoding"}


def test_a_short_one_is_not_worth_it() -> None:
    assert packed(Response(b"short"), asked(b"gzip")).body == b"short"


def test_a_file_of_the_page_is_packed_once() -> None:
    files = Files()
    first, second = (files.get(_asked_for(files, "now.js")) for _ in range(2))
    assert isinstance(first, Response)
    assert isinstance(second, Response)
    assert gzip.decompress(first.body).startswith(b"// The page moves by itself")
    assert first.body is second.body


def _asked_for(files: Files, name: str) -> Request:
    request = asked(b"gzip")
    request.params = {"edition": files.edition, "file": name}
    return request
