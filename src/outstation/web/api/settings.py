"""GET /api/settings and PUT /api/settings/{name}: the numbers that people change while they stand in the greenhouse."""

from __future__ import annotations

import asyncio

import msgspec

from outstation import clock
from outstation.core.readings import Adjust
from outstation.core.settings import SettingSpec
from outstation.engine.site import Site
from outstation.http import Answer, Later, Request, Response, json
from outstation.web.api.incoming import Stamp, check_in_time


class NewValue(msgspec.Struct, forbid_unknown_fields=True):
    """The body: the value from now on; null: back to what the config says. before: later than that it is not done."""

    value: float | None
    before: Stamp | None = None


_decoder = msgspec.json.Decoder(NewValue)


class Settings:
    """Tells of one node's settings, and changes them."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def get(self, _: Request) -> Answer:
        """Handle GET /api/settings."""
        return json({"settings": self.documents()})

    def put(self, request: Request) -> Answer:
        """Handle PUT /api/settings/{name}: 200 changed, 404, 422 out of bounds."""
        name, site = request.params["name"], self._site
        site.node.decisions.setting(name)
        wanted = _decoder.decode(request.body)
        check_in_time(wanted.before)
        moment = clock.moment()
        change = Adjust(name, wanted.value, request.principal.name, moment.at, moment.now)
        return Later(asyncio.ensure_future(site.runner.change(change)), lambda recorded: self._answer(name, recorded))

    def documents(self) -> list[dict[str, object]]:
        """Return every setting, in the order of the config."""
        return [self._document(spec) for spec in self._site.node.decisions.setting_specs.values()]

    def _answer(self, name: str, recorded: bool) -> Response:
        return json({"setting": name, "value": self._site.node.decisions.settings[name], "recorded": recorded})

    def _document(self, spec: SettingSpec) -> dict[str, object]:
        decisions = self._site.node.decisions
        saved = decisions.set_by.get(spec.name)
        return {
            "name": spec.name,
            "label": spec.label,
            "value": decisions.settings[spec.name],
            "unit": spec.unit,
            "min": spec.low,
            "max": spec.high,
            "default": spec.default,
            "set_by": saved.who if saved else None,
            "set_at": clock.iso(saved.at) if saved else None,
        }
