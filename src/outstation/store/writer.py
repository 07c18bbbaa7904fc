"""The one thread that writes: it owns the one connection that does.

The law of this file: whatever waits is taken together and committed in one transaction, then all
who waited are answered at once. Nobody is told "stored" before the commit; nobody who gave up
takes the others with him; and the thread outlives every error.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
from collections import deque
from collections.abc import Callable, Collection, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import apsw
import msgspec

from outstation import clock
from outstation.core.readings import Keep, Millis, Reading
from outstation.core.restarts import Stamp
from outstation.errors import DiskFullError, NewerFileError, StoreError
from outstation.store import damaged, file, kept, left_out, works
from outstation.store.boots import Boot
from outstation.store.columns import Column
from outstation.store.draft import Recorded
from outstation.store.forgetting import Gone, Old
from outstation.store.left_out import Row
from outstation.store.log import Batch, Log
from outstation.store.own import Own
from outstation.store.tiers import Views
from outstation.store.waiting import Call, Clocked, Done, Taken, Work, answer, drain, refuse

T = TypeVar("T")

OWN_TOGETHER = 4_096
"""So many own readings are written at once, however long they might wait: memory is no place for a day of them."""

CLOSED = StoreError("The store is closed.", cure="The node is stopping.")

_RETRY: Millis = 1_000
"""After a failure, the time until the file is opened again. Whoever asks meanwhile is told of the failure."""

_LOOK_EVERY: Millis = 1_000
"""An idle writer looks this often whether its file is still there; a commit always does. It costs two stat(2)."""

_SHUT_WITHIN: Millis = 1_000
"""How long a reader may keep the last checkpoint waiting. Without it, the next start does the same work."""

_log = logging.getLogger(__name__)


class Writer:
    """The queue on the one side, the thread on the other."""

    def __init__(self, path: Path, boot: Boot, lose_at_most: Millis, views: Views) -> None:
        """Open the file here and now, then start the thread. What cannot be opened is tried again by the thread.

        Raises NewerFileError.
        """
        self._path, self._boot, self._views = path, boot, views
        self._own_due_in = lose_at_most - min(lose_at_most // 5, 1_000)  # the commit itself needs time
        self.calls: deque[Call] = deque()
        self.works: deque[Work] = deque()
        self.boots: deque[Clocked] = deque()
        self.beside: deque[Work] = deque()  # what can be done in no transaction: one between two commits
        self.own = Own()
        self.keeps: deque[Keep] = deque()
        self._kept: dict[kept.Key, Keep] = {}  # the latest of each, for a file that has to be begun anew
        self.asleep = False
        self.damaged = ""
        self.lost: damaged.Told | None = None
        self.gone = ""
        self.opened = 0
        self.error: StoreError | None = None
        self._bell: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._own_since: Millis = 0
        self._retry_at: Millis = 0
        self._tried = 0  # the first row of the log that the last commit was to write
        self._closing = False
        self._is_suspect = False
        self._parts: file.Parts = ()
        self._connection: apsw.Connection | None = None
        self.log = self._begin()
        self.own.opened(self.log.last_id, self.log.offset)
        self._thread = threading.Thread(target=self._run, name="store", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Ring, if it sleeps."""
        if self.asleep:
            self.asleep = False
            self._bell.put(None)

    def keep(self, readings: Sequence[Reading]) -> None:
        """Take own readings, to be written when they are due. Too many: the oldest are dropped, and counted."""
        is_first = self._begins_to_wait()
        self.own.put(readings)
        if is_first or len(self.own) >= OWN_TOGETHER:  # it does not know yet how long it may sleep
            self.wake()

    def remember(self, keeps: Sequence[Keep]) -> None:
        """Take what must outlive a restart. It is on disk with any reading that is handed over after it."""
        is_first = self._begins_to_wait()
        self.keeps.extend(keeps)
        if is_first:
            self.wake()

    def forget(self, old: Sequence[Old], at: Millis) -> Callable[[apsw.Connection], Gone]:
        """Return the work of deleting some of these blocks."""
        return lambda _: self.log.forget(old, at)

    def record(self, columns: Sequence[Column]) -> Callable[[apsw.Connection], Recorded]:
        """Return the work of storing columns. When it fails the whole commit does: what the log knows has moved on."""
        return works.AllOrNothing(lambda _: self.log.record(columns))

    def record_with(
        self, calls: Sequence[Sequence[Reading]], work: Callable[[apsw.Connection], T]
    ) -> Callable[[apsw.Connection], T]:
        """Return the work of storing readings together with something else. It fails as that of `record` does."""

        def whole(connection: apsw.Connection) -> T:
            self.log.append(self.log.sort(calls))
            return work(connection)

        return works.AllOrNothing(whole)

    def relearn(self, work: Callable[[apsw.Connection], T]) -> Callable[[apsw.Connection], T]:
        """Return the work, in a transaction of its own, of changing what the log knows: it reads that anew."""

        def whole(connection: apsw.Connection) -> T:
            try:
                with file.transaction(connection):
                    result = work(connection)
                self.log = self._load(connection)
            except (apsw.Error, msgspec.DecodeError) as error:
                self._shut_connection()  # the next commit opens and reads all anew
                raise file.as_store_error(self._path, error) from error
            return result

        return whole

    def doubt(self, opened: int) -> None:
        """A reader found the file damaged that was opened as number `opened`: set it aside."""
        if opened == self.opened:
            self._is_suspect = True
            self._bell.put(None)

    def move_damaged(self, opened: int, rows: Collection[Row]) -> None:
        """Readers went on without these rows of the file that was opened as number `opened`: look at them."""
        if rows and opened == self.opened:
            self.works.append((partial(self._move_damaged, opened, rows), None))
            self._bell.put(None)

    def close(self, within: Millis) -> None:
        """Write what waits, and stop."""
        self._closing = True
        self._bell.put(None)
        self._thread.join(within / 1000)

    def _begins_to_wait(self) -> bool:
        """Tell whether nothing of our own waited until now; from now on something does."""
        is_first = not (self.own or self.keeps)
        if is_first:
            self._own_since = clock.now()
        return is_first

    def _run(self) -> None:
        while not (self._closing and not self._is_asked() and not self.own and not self.keeps):
            self._sleep()
            taken = Taken(drain(self.calls), drain(self.works), drain(self.boots), self.own.take(), [])
            taken.keeps += drain(self.keeps)  # last: what the readings have changed was handed over before them
            try:
                self._commit(taken)
            except Exception as error:  # noqa: BLE001  the thread outlives its work: see the law above
                self._fail(taken, error)
                self.own.failed()
                if self._closing:
                    break
            else:
                self.own.done(self.log.last_id, self.log.offset)
            self._do_beside()
            self.move_damaged(self.opened, left_out.taken(self._connection))
        self._shut()

    def _is_asked(self) -> bool:
        return bool(self.calls or self.works or self.boots or self.beside or (self._is_suspect and not self.error))

    def _sleep(self) -> None:
        while not (self._is_asked() or self._closing):
            self.asleep = True  # first: whoever comes after this line rings
            wait = self._until_due()
            if (wait is not None and wait <= 0) or self._is_asked() or self._closing:
                break
            try:
                self._bell.get(timeout=min(_LOOK_EVERY if wait is None else wait, _LOOK_EVERY) / 1000)
            except queue.Empty:
                if self._is_gone():
                    break
        self.asleep = False

    def _until_due(self) -> Millis | None:
        """Return in how long own readings must be written, or a failure be tried again; None: no need."""
        if self.error:
            return self._retry_at - clock.now()
        if len(self.own) >= OWN_TOGETHER:
            return 0
        dues = [self.log.summarising.due_in()]
        if self.own or self.keeps:
            dues.append(self._own_since + self._own_due_in - clock.now())
        return min((due for due in dues if due is not None), default=None)

    def _commit(self, taken: Taken) -> None:
        if self.error:
            self._tell_of_failure(taken)
        if self._is_suspect:
            self._shut_connection()
        if self._is_gone():
            self._begin_again()
        connection = self._connection or self._reopen()
        batch, done = self._write(connection, taken)
        if self.error:
            _log.warning("The data file is written again.")
            self.error = None
            self.own.tell_lost()
        self._kept |= {(keep.kind, keep.name): keep for keep in taken.keeps}
        answer(taken, batch.told, done)

    def _do_beside(self) -> None:
        if not self.beside:
            return
        work, future = self.beside.popleft()
        done: Done = None, self.error or CLOSED
        if self._connection and not self._closing:
            try:
                done = work(self._connection), None
            except Exception as error:  # noqa: BLE001  it belongs to the one who asked
                done = None, error
        answer(Taken([], [(work, future)], [], [], []), {}, [done])

    def _move_damaged(self, opened: int, rows: Collection[Row], connection: apsw.Connection) -> None:
        for row in sorted(rows) if opened == self.opened else ():
            if lost := self.log.move_damaged(row, self._views.at()):
                text = f"A part of the history was damaged, and is left out: {lost.words}. Is the card sound?"
                _log.error(text)
                works.noting("damaged", text)(connection)
        self.lost = damaged.told(connection)

    def _stamp(self) -> Stamp:
        now = clock.now()
        return Stamp(self._boot.kernel_id, now, now + self._boot.offset, self._boot.trust is clock.Trust.SYNCHRONISED)

    def _write(self, connection: apsw.Connection, taken: Taken) -> tuple[Batch, list[Done]]:
        self._tried = self.log.last_id + 1
        if taken.boots:
            self._boot = taken.boots[-1][0]  # also if this commit fails: the next opening enters it
        if taken.works or taken.boots or taken.keeps:
            with file.transaction(connection):
                for boot, _ in taken.boots:
                    self.log.set_boot(boot)
                batch = self.log.sort(taken.readings())
                self.log.append(batch)
                if taken.keeps:
                    kept.put(connection, taken.keeps, self._stamp())
                return batch, [works.do(connection, work) for work, _ in taken.works]
        batch = self.log.sort(taken.readings())
        with contextlib.nullcontext() if batch.is_one_statement else file.transaction(connection):
            self.log.append(batch)
        return batch, []

    def _reopen(self) -> apsw.Connection:
        if self.error and clock.now() < self._retry_at and not self._closing:
            raise self.error
        connection, self.log = self._open(suspect=self._is_suspect)
        try:
            works.begin_wal_anew(connection, is_full=isinstance(self.error, DiskFullError))
        except apsw.Error as error:
            problem = file.as_store_error(self._path, error, connection.system_errno)
            file.shut(connection)
            raise problem from error
        self.own.settle(stored=self.log.last_id >= self._tried)  # it may be, although the commit failed
        self.own.opened(self.log.last_id, self.log.offset)
        self._connection = connection
        return connection

    def _begin(self) -> Log:
        """Open the file; when that fails, stand in for it: a node works without a disk, too."""
        try:
            self._connection, log = self._open(suspect=False)
        except NewerFileError:
            raise
        except StoreError as error:
            _log.error("Nothing can be stored: %s", error)
            self.error, self._retry_at = error, clock.now() + _RETRY
            return self._load(file.in_memory())
        return log

    def _is_gone(self) -> bool:
        """Say whether the file was removed, or another put in its place: SQLite would write on to what nobody finds."""
        return self._connection is not None and file.parts(self._path) != self._parts

    def _begin_again(self) -> None:
        """Begin a fresh file where ours was removed, with the keys of the one that is still open."""
        old, self._tried = self._connection, self.log.last_id + 1
        assert old is not None
        self.gone = f"The data file {self._path} was removed or replaced while it was in use. A fresh one was begun."
        _log.error(self.gone)
        self.works.append((works.noting("gone", self.gone), None))
        with contextlib.suppress(apsw.Error):  # for the case that only its write-ahead log is gone
            old.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        self._connection, self.log = self._open(suspect=True, old=old)
        file.shut(old)

    def _open(self, *, suspect: bool, old: apsw.Connection | None = None) -> tuple[apsw.Connection, Log]:
        """Open the file; one that is damaged is set aside and a fresh one takes its place."""
        connection, aside = file.open_for_writing(self._path, suspect=suspect, old=old)
        try:
            log = self._load_or_shut(connection)
        except file.BAD_DATA:
            connection, aside = file.open_for_writing(self._path, suspect=True)
            log = self._load_or_shut(connection)
        self._parts = file.parts(self._path)
        self.opened += 1
        self._is_suspect = False
        if aside or old:
            self.keeps.extendleft(self._kept.values())
        if aside:
            self.damaged = aside
            text = f"The data file was damaged. It was set aside as {aside}, and a fresh one begun."
            _log.error(text)
            self.works.append((works.noting("damaged", text), None))
        return connection, log

    def _load_or_shut(self, connection: apsw.Connection) -> Log:
        try:
            return self._load(connection)
        except file.BAD_DATA:
            file.shut(connection)
            raise
        except apsw.Error as error:
            problem = file.as_store_error(self._path, error, connection.system_errno)
            file.shut(connection)
            raise problem from error

    def _load(self, connection: apsw.Connection) -> Log:
        with file.transaction(connection):
            self.lost = damaged.told(connection)
            return Log(connection, self._boot, self._views, self.own.saved)

    def _fail(self, taken: Taken, error: Exception) -> None:
        """Answer all with the error, keep what is ours, and give up the connection: after a failed fsync it lies."""
        errno = self._connection.system_errno if self._connection else 0
        problem = file.as_store_error(self._path, error, errno)
        was_tried = self._connection is not None
        self._shut_connection()
        if problem is not self.error:
            self._retry_at = clock.now() + _RETRY
            self._is_suspect |= isinstance(error, file.BAD_DATA) or isinstance(error.__cause__, file.BAD_DATA)
        if self.error is None:
            _log.error("Nothing can be stored: %s", problem, exc_info=None if isinstance(error, apsw.Error) else error)
        self.error = problem
        self.keeps.extendleft(reversed(taken.keeps))
        self.own.give_back(taken.own, unsure=was_tried)
        refuse(taken.futures(), problem)

    def _shut_connection(self) -> None:
        if self._connection:
            file.shut(self._connection)
        self._connection = None

    def _tell_of_failure(self, taken: Taken) -> None:
        """Add a line to the journal: it says what was, and it is a write, so that its commit proves the disk."""
        lost = self.own.lost()
        text = f"Nothing could be stored for a while: {self.error}" + (
            f" {lost} own readings were lost." if lost else ""
        )
        taken.works.append((works.noting("store", text), None))

    def _shut(self) -> None:
        works = [*drain(self.works), *drain(self.beside)]
        refuse(Taken(drain(self.calls), works, drain(self.boots), [], []).futures(), CLOSED)
        if self._connection is None:
            return
        self._connection.set_busy_timeout(_SHUT_WITHIN)
        with contextlib.suppress(apsw.Error):
            self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        with contextlib.suppress(apsw.Error):
            self._connection.close()
