"""Messages to servers that are slow, wrong, endless, elsewhere, or where nobody may send anything."""

from __future__ import annotations

import asyncio
import socket
import ssl
import subprocess
import time
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from pathlib import Path
from typing import Any

import msgspec
import pytest

from outstation.core.delivery import Answer
from outstation.engine import outgoing
from outstation.engine.outgoing import LookUp
from outstation.plugins import Request
from tests.engine.receiving import Server, answer

Rows = list[tuple[Any, ...]]


async def post(
    url: str, body: bytes, headers: dict[str, str], *, within: float, look_up: LookUp = socket.getaddrinfo
) -> Answer:
    """What came of a message, as one reads it; without what was counted."""
    said = await outgoing.post(url, body, headers, within=within, look_up=look_up)
    return msgspec.structs.replace(said, body=b"", type="", sent=0, received=0)


def answered(*raw: bytes, stays_open: bool = False, within: float = 5) -> Answer:
    """What comes of a message to a server that answers so."""

    async def story(server: Server) -> Answer:
        server.otherwise, server.stays_open = b"".join(raw), stays_open
        return await post(server.url, b"{}", {}, within=within)

    return with_server(story)


def with_server(story: Callable[[Server], Awaitable[Answer]], context: ssl.SSLContext | None = None) -> Answer:
    async def main() -> Answer:
        async with Server().up(context) as server:
            return await story(server)

    return asyncio.run(main())


def posted(url: str, look_up: LookUp = socket.getaddrinfo, within: float = 5) -> Answer:
    return asyncio.run(post(url, b"{}", {}, within=within, look_up=look_up))


def leads_to(*addresses: str) -> LookUp:
    """A resolver to whom every name is one of these."""

    def look_up(host: str, port: int, *_: object) -> Rows:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    return look_up


def test_what_goes_over_the_wire() -> None:
    async def story(server: Server) -> Answer:
        url = f"http://127.0.0.1:{server.port}/hooks/größe x?to=ann&how=a b#part"
        said = await post(url, b'{"a":1}', {"Outstation-Delivery": "k"}, within=5)
        seen = server.seen[0]
        assert seen.line == "POST /hooks/gr%C3%B6%C3%9Fe%20x?to=ann&how=a%20b HTTP/1.1"
        assert seen.headers["host"] == f"127.0.0.1:{server.port}"
        assert seen.headers["content-type"] == "application/json"
        assert seen.headers["outstation-delivery"] == "k"
        assert seen.headers["user-agent"].startswith("Outstation/")
        assert seen.body == b'{"a":1}'
        return said

    assert with_server(story) == Answer(204)


def test_a_redirect_is_not_followed_and_its_host_is_named_but_not_its_path() -> None:
    said = answered(answer(302, "Location: http://login.example/?token=secret"))
    assert said.status == 302
    assert (
        said.error
        == "it answered 302, a redirect to 'login.example', which is not followed: is there a login page in between?"
    )
    assert "secret" not in said.error
    assert "a redirect to None" in answered(answer(301)).error
    assert answered(answer(301, "Location: http://[")).error == "it answered 301"


def test_retry_after_in_a_year_that_no_calendar_has() -> None:
    for line in ("Mon, 01 Jan 99999999999999999999 00:00:00 GMT", "Mon, 01 Jan 2026 00:00:00 +99999999999999999999"):
        assert answered(answer(503, f"Retry-After: {line}")).retry_after is None


@pytest.mark.parametrize(
    ("line", "millis"),
    [("7", 7_000), ("0", 0), ("-1", None), ("soon", None), ("9" * 5_000, 999_999_999_000), ("", None), ("٣", None)],
)
def test_retry_after_in_seconds(line: str, millis: int | None) -> None:
    assert answered(answer(503, f"Retry-After: {line}")) == Answer(503, "it answered 503", millis)


def test_retry_after_as_a_date() -> None:
    found = answered(answer(429, f"Retry-After: {formatdate(time.time() + 30, usegmt=True)}")).retry_after
    assert found is not None
    assert 25_000 < found <= 30_000
    assert answered(answer(429, "Retry-After: Wed, 21 Oct 2015 07:28:00 GMT")).retry_after == 0


def test_of_an_endless_answer_little_is_read() -> None:
    written: list[bool] = []

    async def story(server: Server) -> Answer:
        server.otherwise = answer(200, body=b"x" * (64 << 20))
        server.on_answered = lambda: written.append(True)
        said = await post(server.url, b"{}", {}, within=5)
        await asyncio.sleep(0.1)
        return said

    assert with_server(story) == Answer(200)
    assert written == []


def test_an_endless_head_is_no_answer() -> None:
    said = answered(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100_000)
    assert said.status is None
    assert said.error


def test_a_head_in_time_is_the_answer_whatever_comes_of_the_rest() -> None:
    assert answered(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nx", stays_open=True, within=0.3) == Answer(200)
    assert answered(b"HTTP/1.1 500 So\r\nTransfer-Encoding: chunked\r\n\r\nnonsense").status == 500


def test_an_answer_in_between_is_none() -> None:
    assert answered(b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\n\r\n", answer(201)) == Answer(201)
    assert answered(b"HTTP/1.1 100 Continue\r\n\r\n").status is None


def test_no_answer_says_why() -> None:
    assert answered(stays_open=True, within=0.2) == Answer(None, "it did not answer within 0.2 s")
    assert answered() == Answer(None, "it closed the connection without an answer")
    assert answered(b"HTTP/1.1 20").error == "it closed the connection without an answer"
    assert answered(b"SSH-2.0-OpenSSH_9.2\r\n").error.startswith("its answer is no HTTP")
    assert posted("http://127.0.0.1:9/").error.startswith("it could not be reached")


@pytest.mark.parametrize(
    "url",
    ["http://169.254.169.254/latest/meta-data", "http://[fe80::1]/", "http://[fd00:ec2::254]/", "http://0.0.0.0/",
     "http://100.100.100.200/", "http://[::ffff:169.254.169.254]/", "http://[::ffff:a9fe:a9fe]:8080/",
     "http://2852039166/", "http://0xa9fea9fe/", "http://169.16689662/", "http://224.0.0.1/", "https://169.254.1.1/"],
)  # fmt: skip
def test_nothing_is_sent_to_metadata_however_it_is_written(url: str) -> None:
    said = posted(url)
    assert said.refused
    assert "nothing is sent there" in said.error


@pytest.mark.parametrize(
    "address", ["169.254.169.254", "::ffff:169.254.169.254", "fe80::1%eth0", "0.0.0.0", "fd00:ec2::254"]
)
def test_nor_to_a_name_that_leads_there(address: str) -> None:
    assert posted("http://rebound.example/", leads_to(address)).refused
    assert posted("http://rebound.example/", leads_to("127.0.0.1", address)).refused


def test_the_address_that_was_checked_is_the_one_that_is_used() -> None:
    """A name that leads elsewhere when asked again is asked once."""
    asked: list[str] = []

    async def story(server: Server) -> Answer:
        def look_up(host: str, port: int, *_: object) -> Rows:
            asked.append(host)
            return leads_to("127.0.0.1" if len(asked) == 1 else "169.254.169.254")(host, port)

        said = await post(f"http://two.faces:{server.port}/", b"{}", {}, within=5, look_up=look_up)
        assert server.seen[0].headers["host"] == f"two.faces:{server.port}"
        return said

    assert with_server(story) == Answer(204)
    assert asked == ["two.faces"]


def test_of_many_addresses_the_first_that_takes_us() -> None:
    async def story(server: Server) -> Answer:
        look_up = leads_to("127.0.0.2", "127.0.0.1")
        return await post(f"http://two.homes:{server.port}/", b"{}", {}, within=5, look_up=look_up)

    assert with_server(story) == Answer(204)


def test_the_address_that_took_us_is_tried_first_the_next_time() -> None:
    """Else a black hole before it would cost its share of the time again and again."""

    async def story(server: Server) -> Answer:
        url, look_up = f"http://one.of.two:{server.port}/", leads_to("127.0.0.2", "127.0.0.1")
        await post(url, b"{}", {}, within=5, look_up=look_up)
        elsewhere = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.2", server.port)
        async with elsewhere:
            return await post(url, b"{}", {}, within=5, look_up=look_up)

    assert with_server(story) == Answer(204)


def test_a_name_that_nobody_knows() -> None:
    assert "its name could not be resolved" in posted("http://no-such-host.invalid/").error
    assert "its name has no address" in posted("http://nothing.example/", leads_to()).error


@pytest.mark.parametrize("url", ["ftp://x/secret", "http://", "hub/secret", "", "http://[::1/secret", "http://x:99999/secret",
                                 "http://" + "a" * 70 + ".example/secret", "http://\ud800/secret"])  # fmt: skip
def test_what_is_no_url_is_refused_without_quoting_it(url: str) -> None:
    said = posted(url)
    assert said.refused
    assert "secret" not in said.error


def test_a_url_has_no_line_ends() -> None:
    """Nobody puts a header of their own into a request by way of the config."""

    async def story(server: Server) -> Answer:
        said = await post(f"http://127.0.0.1:{server.port}/a b\u2028c?d\x0be", b"{}", {}, within=5)
        assert server.seen[0].line == "POST /a%20b%E2%80%A8c?d%0Be HTTP/1.1"
        return said

    assert with_server(story) == Answer(204)


def test_a_certificate_is_verified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    words += ["-subj", "/CN=hub.example", "-addext", "subjectAltName=DNS:hub.example"]
    subprocess.run([*words, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)

    def sent_to(name: str) -> Answer:
        async def story(server: Server) -> Answer:
            return await post(f"https://{name}:{server.port}/", b"{}", {}, within=5, look_up=leads_to("127.0.0.1"))

        outgoing._context.cache_clear()
        return with_server(story, context)

    assert "certificate" in sent_to("hub.example").error
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))  # OpenSSL's own variable: SSL_CTX_set_default_verify_paths(3)
    assert sent_to("hub.example") == Answer(204)
    assert "certificate" in sent_to("other.example").error
    outgoing._context.cache_clear()


def test_a_body_is_read_and_every_byte_counted() -> None:
    raw = answer(200, "Content-Type: Application/JSON; charset=utf-8", body=b'{"a":1}')

    async def story(server: Server) -> Answer:
        server.otherwise = raw
        request = Request(
            f"http://127.0.0.1:{server.port}/points?db=x", b"air=1", {"X-API-Key": "k"}, "PUT", "text/plain"
        )
        said = await outgoing.exchange(request, within=5)
        seen = server.seen[0]
        assert (seen.line, seen.headers["content-type"], seen.body) == (
            "PUT /points?db=x HTTP/1.1",
            "text/plain",
            b"air=1",
        )
        lines = [seen.line, *(f"{name}: {value}" for name, value in seen.headers.items()), "", ""]
        assert said.sent == len("\r\n".join(lines)) + len(seen.body)
        return said

    said = with_server(story)
    assert (said.body, said.type, said.received) == (b'{"a":1}', "application/json", len(raw))


def test_a_header_cannot_smuggle_in_another() -> None:
    request = Request("http://127.0.0.1:9/", headers={"Authorization": "a\r\nHost: elsewhere"})
    said = asyncio.run(outgoing.exchange(request, within=1))
    assert said.refused
    assert "letter" in said.error
