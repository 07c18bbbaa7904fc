"""TLS without a proxy: a certificate and its key in files, read again when they were renewed.

The law of this file: a certificate that works is given up only for one that works: who renews it writes two files,
and between the two they do not fit.
"""

from __future__ import annotations

import logging
import os
import ssl
from typing import NamedTuple

from outstation.config import Config
from outstation.errors import OutstationError

log = logging.getLogger(__name__)


class Files(NamedTuple):
    """Where a certificate with its chain is, and its key: both PEM."""

    certificate: str
    key: str


def tls_files(config: Config) -> Files | None:
    """Return where the config has a certificate, if it has one."""
    web = config.web
    return Files(web.tls_cert, web.tls_key) if web.tls_cert and web.tls_key else None


class Certificate:
    """What a server shows to whoever connects. Raises OutstationError when it cannot be used."""

    def __init__(self, files: Files) -> None:
        self._files, self._seen = files, _seen(files)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)  # TLS 1.2 at least, by Python's default
        self.context.set_alpn_protocols(["http/1.1"])
        try:
            _load(self.context, files)
        except (OSError, ValueError) as error:  # an SSLError is an OSError
            raise _unusable(files, error) from error

    def look(self) -> None:
        """Take a renewed one: from the next connection on it is shown. Called now and then."""
        seen = _seen(self._files)
        if seen == self._seen:
            return
        self._seen = seen
        try:
            _load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), self._files)
            _load(self.context, self._files)
        except (OSError, ValueError) as error:
            log.warning("the certificate stays as it was. %s", _unusable(self._files, error))
        else:
            log.info("the certificate was renewed: %s", self._files.certificate)


def _load(context: ssl.SSLContext, files: Files) -> None:
    """Have a context show a certificate. Raises OSError, ValueError: it cannot be used."""
    context.load_cert_chain(*files, password="")  # a key that has one is refused: nobody is asked at the terminal


def _seen(files: Files) -> tuple[int, ...]:
    """Return what is another one when a file has changed; of one that is not there, 0."""
    found = []
    for file in files:
        try:
            state = os.stat(file)  # noqa: PTH116 - follows links, as certbot has them; no path is made once a second
        except OSError:
            found.append(0)
        else:
            found += [state.st_mtime_ns, state.st_ino]
    return tuple(found)


def _unusable(files: Files, error: Exception) -> OutstationError:
    named = f"{files.certificate} with {files.key}"
    if isinstance(error, PermissionError):
        cure = "Let the node's user read both; certbot's are root's: copy them with a --deploy-hook."
        return OutstationError(f"The certificate {named} may not be read by this user.", cure=cure)
    if isinstance(error, FileNotFoundError):
        return OutstationError(
            f"There is no certificate {named}.", cure="See tls_cert and tls_key of [web], or --tls-cert and --tls-key."
        )
    reason = getattr(error, "reason", None) or str(error)
    cure = "Both are PEM, the key without a password, and belong together."
    return OutstationError(f"The certificate {named} cannot be used: {reason}.", cure=cure)
