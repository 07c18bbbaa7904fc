"""POST /api/actuators/{name} and its short form: a person moves an output.

Plain, like all that must never wait: the first command of the day must not load a framework.
"""

from __future__ import annotations

import asyncio

import msgspec

from outstation import clock
from outstation.config import parse_duration
from outstation.core.actuation import valid
from outstation.core.readings import Command, Millis
from outstation.engine.runner import Outcome
from outstation.engine.site import Site
from outstation.errors import RefusedError, UnknownActionError
from outstation.http import Answer, Later, Request, Response, json
from outstation.web.api.incoming import Stamp, check_in_time
from outstation.web.api.status import level_word, pending_document, until_word

_LONGEST: Millis = 366 * 86_400_000


class Order(msgspec.Struct, forbid_unknown_fields=True):
    """The body: what the output is to do, for how long (`30s`, `5m`), and to which level for `set`.

    before: later than that it is not done: a network that comes back delivers what was asked minutes ago.
    """

    action: str
    duration: str | None = msgspec.field(name="for", default=None)
    value: float | None = None
    before: Stamp | None = None


_decoder = msgspec.json.Decoder(Order)


class Actuators:
    """Takes commands for one node's outputs."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def post(self, request: Request) -> Answer:
        """Handle POST /api/actuators/{name}: 200 done, 202 as soon as it may be, 503 when it does not obey.

        400: an unknown action; 404: an unknown output; 409: refused by what ranks higher; 422: otherwise not allowed.
        """
        return self.order(request.params["name"], request)

    def order(self, name: str, request: Request) -> Answer:
        """Handle an order for the output of this name."""
        state = self._site.node.actuator(name)
        try:
            order = _decoder.decode(request.body)
        except msgspec.ValidationError as error:
            if "`action`" in str(error) or "$.action" in str(error):
                raise UnknownActionError(f'{name}: the body needs an "action".', valid(state.spec)) from error
            raise
        if order.action.lower() not in valid(state.spec):
            raise UnknownActionError(f'{name} knows no action "{order.action[:40]}".', valid(state.spec))
        check_in_time(order.before)
        moment = clock.moment()
        command = Command(
            name, order.action, request.principal.name, moment.at, moment.now, order.value, _duration(order.duration)
        )
        doing = asyncio.ensure_future(self._site.runner.command(command))
        return Later(doing, lambda outcome: self._answer(name, order.action.lower(), outcome))

    def _answer(self, name: str, action: str, outcome: Outcome) -> Response:
        claim, pending = outcome.claim, pending_document(self._site.node.actuator(name), clock.moment())
        document: dict[str, object] = {
            "actuator": name,
            "action": action,
            "state": level_word(outcome.level),
            "until": until_word(claim),
            "claimed_by": claim.who if claim else None,
            "recorded": outcome.recorded,
        }
        if pending:
            document["pending"] = pending
        if outcome.overtaken:
            document["overtaken"] = True
        flat = self._site.flat.get(name)
        if flat:
            document[flat] = document["state"]
        is_held_back = pending is not None and claim is not None and not outcome.overtaken
        return json(document, 202 if is_held_back else 200)


def _duration(text: str | None) -> Millis | None:
    if text is None:
        return None
    try:
        duration = parse_duration(text)
    except ValueError as error:
        raise RefusedError(f'"for": {error}.') from error
    if not 0 < duration <= _LONGEST:
        raise RefusedError('"for" is longer than zero and at most a year.')
    return duration
