"""Who is told of alerts, and how one message gets to them: by a signed webhook, or by Apprise.

The law of this file: one call is one try, and never raises for what the other side does; URLs and
secrets stay out of what it says.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import importlib.util
import socket
import sys
from typing import Literal

import msgspec

from outstation import clock
from outstation.core.delivery import Answer
from outstation.core.readings import Alert, Millis, Severity
from outstation.engine import outgoing
from outstation.engine.apprise_child import DELIVERED, UNKNOWN_URL, Message
from outstation.store.alerts import document

MISSING = "Apprise is not installed: `pip install 'outstation[apprise]'`, then start again"

LOADING: Millis = 20_000
"""What a small board may need until Apprise is loaded, besides the receiver's own time."""

_APPRISE_KINDS = {"info": "info", "warning": "warning", "critical": "failure"}
"""Our severities in Apprise's words (apprise.NotifyType); what is over is a "success"."""


class Receiver(msgspec.Struct, frozen=True):
    """Somebody who is told of alerts of at least this severity. secret: what webhooks are signed with; "": unsigned."""

    name: str
    kind: Literal["webhook", "apprise"]
    url: str
    secret: str = ""
    severity: Severity = "info"
    timeout: Millis = 10_000

    def __repr__(self) -> str:
        return f"Receiver({self.name!r}, {self.kind!r})"


def message(node: str, alert: Alert, happened: str, key: str) -> str:
    """Return the JSON that tells of an alert: docs/reference/alerts.md describes it."""
    told = {"node": node, "delivery": key, "happened": happened, "alert": document(alert)}
    return msgspec.json.encode(told).decode()


def signature(secret: str, at: int, body: bytes) -> str:
    """Return the Outstation-Signature header for a body sent at `at`, in seconds of UTC."""
    digest = hmac.new(secret.encode(), b"%d." % at + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"


def trouble(receiver: Receiver) -> str:
    """Return what is in the way of any message to this receiver, or ""."""
    is_missing = receiver.kind == "apprise" and importlib.util.find_spec("apprise") is None
    return MISSING if is_missing else ""


class Sender:
    """Sends messages. Apprise runs once at a time: it needs 40 MB, and not that for each receiver."""

    def __init__(self, look_up: outgoing.LookUp = socket.getaddrinfo) -> None:
        self._look_up = look_up
        self._apprise = asyncio.Semaphore(1)

    async def send(self, receiver: Receiver, key: str, body: str) -> Answer:
        """Try once; return what came of it."""
        if receiver.kind == "apprise":
            async with self._apprise:
                return await _by_apprise(receiver, body)
        content = body.encode()
        headers = {"Outstation-Delivery": key}
        if receiver.secret:
            headers["Outstation-Signature"] = signature(receiver.secret, clock.at() // 1000, content)
        return await outgoing.post(
            receiver.url, content, headers, within=receiver.timeout / 1000, look_up=self._look_up
        )


class _Told(msgspec.Struct, frozen=True):
    """As much of an alert as a person reads on a phone."""

    severity: Severity
    subject: str
    message: str


class _Message(msgspec.Struct, frozen=True):
    node: str
    happened: str
    alert: _Told


async def _by_apprise(receiver: Receiver, body: str) -> Answer:
    if missing := trouble(receiver):
        return Answer(None, missing, refused=True)
    within = (LOADING + receiver.timeout) / 1000
    try:
        async with asyncio.timeout(within):
            status = await _run_child(_in_words(receiver.url, body))
    except TimeoutError:
        return Answer(None, f"Apprise did not end within {within:g} s")
    except OSError as error:
        return Answer(None, f"Apprise could not be started: {error.strerror}")
    except msgspec.DecodeError:  # stored by another version of this program: nobody is to wait behind it
        return Answer(422, "it is in a form that this version cannot put into words")
    if status == UNKNOWN_URL:
        return Answer(None, "Apprise does not know what to do with its URL", refused=True)
    return Answer(200) if status == DELIVERED else Answer(None, "Apprise could not deliver it")


def _in_words(url: str, body: str) -> Message:
    told = msgspec.json.decode(body, type=_Message)
    alert, is_over = told.alert, told.happened == "cleared"
    title = f"{told.node}: {alert.subject}" + (f" ({told.happened})" if told.happened != "raised" else "")
    return Message(url, title, alert.message, "success" if is_over else _APPRISE_KINDS[alert.severity])


async def _run_child(told: Message) -> int:
    words = (sys.executable, "-P", "-m", "outstation.engine.apprise_child")
    pipe, nowhere = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
    child = await asyncio.create_subprocess_exec(*words, stdin=pipe, stdout=nowhere, stderr=nowhere)
    try:
        await child.communicate(msgspec.json.encode(told))
        return await child.wait()
    finally:
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        await child.wait()
