"""What an answer of a web endpoint means beyond its status."""

from __future__ import annotations

import msgspec

from outstation.core.delivery import Answer

_REASON_AT_MOST = 200


class _Reason(msgspec.Struct):
    """InfluxDB 1 and many others say `error`, InfluxDB 2 says `message`; ThingSpeak's `error` is an object."""

    error: object = None
    message: object = None


def weighed(answer: Answer, receipt: int | None = None) -> Answer:
    """Return an answer with its reason. receipt: the one status that confirms, any other 2xx does not; None: all do."""
    status = answer.status
    if status is None:
        return answer
    if receipt is not None and status != receipt and 200 <= status < 300:
        error = f"it answered {status}, where only {receipt} confirms: is there a login page in between?"
        return msgspec.structs.replace(answer, status=None, error=error)
    return msgspec.structs.replace(answer, error=_in_words(answer))


def _in_words(answer: Answer) -> str:
    """Return the error with the reason that a JSON body gives, printable and cut short."""
    try:
        said = msgspec.json.decode(answer.body, type=_Reason)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):  # the last: brackets in brackets in brackets
        return answer.error
    reason = said.error if isinstance(said.error, str) else said.message
    if not answer.error or not isinstance(reason, str) or not reason:
        return answer.error
    printable = "".join(character if character.isprintable() else "?" for character in reason[:_REASON_AT_MOST])
    return f"{answer.error} ({printable})"
