"""What a web address answers: `url = "https://api.thingspeak.com/channels/9/fields/2/last.txt"`."""

from __future__ import annotations

import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field

from outstation.config.values import Secret, Timeout, resolve
from outstation.core.readings import Value
from outstation.devices import value_in_text
from outstation.devices.joint import Joint, shared
from outstation.devices.value_in_text import TextOptions
from outstation.devices.wiring.addresses import is_address, shown
from outstation.errors import DeviceError
from outstation.plugins import Place, SensorDriver

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)
"""What the name of a header is made of (RFC 9110, 5.6.2)."""


def _url(url: str) -> str:
    if not is_address(url):
        raise ValueError('expected an address such as "https://example.org/last.txt"; who asks is told by `headers`')
    return url


def _header_name(name: str) -> str:
    if not _TOKEN.fullmatch(name):
        raise ValueError('expected the name of a header, such as "Authorization"')
    return name


def _header_value(value: str) -> str:
    if not value.isprintable() or not value.isascii():
        raise ValueError("expected a header of printable ASCII characters, on one line")
    return value


HeaderName = Annotated[str, AfterValidator(_header_name)]
HeaderValue = Annotated[Secret, AfterValidator(_header_value)]


class HttpOptions(TextOptions):
    """url: what is asked by GET. headers: sent with it. timeout: for all of it."""

    url: Annotated[str, BeforeValidator(resolve), AfterValidator(_url), Field(repr=False)]
    headers: dict[HeaderName, HeaderValue] = Field(default_factory=dict, repr=False)
    timeout: Timeout = 10_000


class HttpSensor(SensorDriver):
    """Asks by GET and takes the value from the answer."""

    Options = HttpOptions
    options: HttpOptions

    def __init__(self, name: str, options: HttpOptions, place: Place) -> None:
        super().__init__(name, options, place)
        self.bus = f"http:{urlsplit(options.url).hostname}"
        self.answers_within = options.timeout / 1000
        self._joint: Joint[str] | None = None

    def open(self) -> None:
        """Sensors with the same address ask once for all."""
        self._joint = shared((self.options.url, tuple(self.options.headers.items()), self.options.timeout))

    def read(self) -> Value:
        if self._joint is None:
            raise DeviceError(f"{shown(self.options.url)} is not open.")
        text = self._joint.answer(self.name, self._page)
        if (found := value_in_text.find(text.strip(), self.options)) is None:
            sought = value_in_text.sought(self.options)
            where = shown(self.options.url)
            raise DeviceError(f"There is no {sought} in what {where} answers: {value_in_text.shown(text)}.")
        return value_in_text.value(found, self.options)

    def close(self) -> None:
        self._joint = None

    def _page(self) -> str:
        from outstation.devices.wiring import asking  # noqa: PLC0415 - ssl weighs some megabytes

        options = self.options
        return asking.get(asking.Asked(options.url, options.headers, options.timeout / 1000))
