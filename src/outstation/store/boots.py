"""Which clock the readings were stamped by: one row for each boot, and for each step of a trusted clock.

Our own readings are kept in boot time. So when the clock is set, the offset of one row changes,
and with it the time of all that was measured since this boot; rows of earlier boots never change.
"""

from __future__ import annotations

import apsw
import msgspec

from outstation.clock import Trust
from outstation.core.readings import Millis

STEP: Millis = 1_000
"""A clock that moves by more than this has stepped; less is jitter between two looks, and moves nothing."""


class Boot(msgspec.Struct, frozen=True):
    """The clock as it is now. offset: UTC minus boot time."""

    kernel_id: str
    offset: Millis
    trust: Trust


class Known(msgspec.Struct, frozen=True):
    """A row of `boots`. bound: no own reading of an earlier row is newer (UTC)."""

    id: int
    kernel_id: str
    offset: Millis
    trust: Trust
    bound: Millis | None


def newest(connection: apsw.Connection) -> Known | None:
    """Return the row that is in force."""
    row = connection.execute("SELECT id, kernel, offset, trust, bound FROM boots ORDER BY id DESC LIMIT 1").fetchone()
    return row and Known(row[0], row[1], row[2], Trust(row[3]), row[4])


def boot_time(at: Millis, now: Millis, arrived: Millis, offset: Millis) -> Millis:
    """Return when it was measured, in boot time. Readings that waited while the clock was set keep their moment."""
    return at - offset if abs(arrived - now - offset) <= STEP else now + at - arrived


def begins_anew(known: Known | None, boot: Boot) -> bool:
    """Say whether `boot` needs a row of its own: another boot, or a trusted clock that stepped."""
    if known is None or known.kernel_id != boot.kernel_id:
        return True
    return known.trust is Trust.SYNCHRONISED and abs(boot.offset - known.offset) > STEP


def add(connection: apsw.Connection, boot: Boot) -> Known:
    """Begin a row. The last chunk of the one before must be closed, so that its newest time is known."""
    before = newest(connection)
    bound = before.bound if before else None
    chunk = connection.execute("SELECT boot, own_bound FROM log_index ORDER BY last_id DESC LIMIT 1").fetchone()
    if before and chunk and chunk[0] == before.id and chunk[1] is not None:
        bound = max(chunk[1] + before.offset, chunk[1] + before.offset if bound is None else bound)
    connection.execute(
        "INSERT INTO boots (kernel, offset, trust, bound) VALUES (?, ?, ?, ?)",
        (boot.kernel_id, boot.offset, int(boot.trust), bound),
    )
    return Known(connection.last_insert_rowid(), boot.kernel_id, boot.offset, boot.trust, bound)


def restamp(connection: apsw.Connection, known: Known, boot: Boot) -> Known:
    """Take a better word for the clock of this boot: all its readings move with it. A trusted one stays."""
    if known.trust is Trust.SYNCHRONISED:
        return known
    trust = max(known.trust, boot.trust)
    if trust is known.trust and abs(boot.offset - known.offset) <= STEP:
        return known
    connection.execute("UPDATE boots SET offset = ?, trust = ? WHERE id = ?", (boot.offset, int(trust), known.id))
    return Known(known.id, known.kernel_id, boot.offset, trust, known.bound)
