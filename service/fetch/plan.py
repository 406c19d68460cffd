"""What is due to be fetched, from the clock and the newest tasks alone. Pure; whether it is begun the database decides.

Time is cut into slots of one interval, shifted for every source and kind, so that not all are due on the hour. A poll
that was missed is not made up for: the newest slot reads all that is due. What was begun and left is taken up where it
stopped while its slot is recent; a task that somebody works on, or that a platform told to wait, keeps its kind busy.

A kind that may name subjects has shorter slots as well: in those it asks for the subjects that were hinted at and for
those that the refresh plan chose (``service.fetch.freshness``), the hints first.
"""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec

from connectors.contract import FetchKind, SubjectRef

HINT_SLOT = timedelta(minutes=1)
"""Hinted subjects of a source are fetched at most this often."""
NAMING_SLOT = timedelta(minutes=15)
"""Subjects are chosen by the refresh plan at most this often."""
MOST_NAMED = 500
"""Subjects that a task may name."""
RECENT_SLOTS = 2
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)


class TaskState(enum.StrEnum):
    """Where a task stands. Running and waiting ones are open: they may be taken up once their lease has ended."""

    RUNNING = "running"
    WAITING = "waiting"
    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"


class TaskRow(msgspec.Struct, frozen=True, kw_only=True):
    """A unit of pulling as it is kept. ``attempt`` tells the one who works on it from those who did before.

    ``cursor`` is the one after the last landed page; ``subjects`` is empty for a task that reads all that is due.
    """

    source_id: UUID
    kind: str
    slot: datetime
    state: TaskState
    attempt: int
    lease_until: datetime
    started_at: datetime
    cursor: Mapping[str, str] = {}
    subjects: tuple[SubjectRef, ...] = ()
    pages: int = 0

    @property
    def is_open(self) -> bool:
        return self.state in {TaskState.RUNNING, TaskState.WAITING}


class Due(msgspec.Struct, frozen=True, kw_only=True):
    """A task to begin, or with ``resume`` to take up again."""

    kind: FetchKind
    slot: datetime
    subjects: tuple[SubjectRef, ...] = ()
    resume: TaskRow | None = None


def slot_of(now: datetime, every: timedelta, source_id: UUID, kind: str) -> datetime:
    """Return the start of the slot that ``now`` is in; ``every`` counts in whole seconds, one at least."""
    digest = hashlib.sha256(source_id.bytes + kind.encode()).digest()
    length = max(every // _SECOND, 1)
    shift = int.from_bytes(digest[:8], "big") % length
    seconds = (now - _EPOCH) // _SECOND
    return _EPOCH + timedelta(seconds=(seconds - shift) // length * length + shift)


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """The subjects that a kind of task should ask for by name.

    ``hints`` are those that were hinted at. ``chosen`` is None where the refresh plan was not asked in this slot;
    ``knows`` says whether it knows any subject: then whole tasks are as rare as the kind's sweep.
    """

    hints: Sequence[SubjectRef] = ()
    chosen: Sequence[SubjectRef] | None = None
    knows: bool = False

    def names(self) -> tuple[SubjectRef, ...]:
        """Return all of them, each once, the hints first."""
        return tuple(dict.fromkeys((*self.hints, *(self.chosen or ()))))[:MOST_NAMED]


_NOTHING = Wanted()


def due(
    kinds: Iterable[FetchKind],
    tasks: Sequence[TaskRow],
    wanted: Mapping[str, Wanted],
    source_id: UUID,
    now: datetime,
) -> list[Due]:
    """Return what to begin for one source.

    ``tasks`` holds the newest task of each kind, the newest that named nobody, and those of its slots; ``wanted`` is by
    kind.
    """
    found = (_due(kind, _of(kind, tasks), wanted.get(kind.name, _NOTHING), source_id, now) for kind in kinds)
    return [one for one in found if one is not None]


def may_choose(kind: FetchKind, tasks: Sequence[TaskRow], source_id: UUID, now: datetime) -> bool:
    """Whether the refresh plan is to be asked now: nobody works on the kind and its short slot is free."""
    own = _of(kind, tasks)
    slot = slot_of(now, NAMING_SLOT, source_id, kind.name)
    is_free = not any(task.slot == slot for task in own)
    return kind.subjects and is_free and not _is_busy(own, now) and _left(kind, own, now) is None


def _of(kind: FetchKind, tasks: Sequence[TaskRow]) -> list[TaskRow]:
    return [task for task in tasks if task.kind == kind.name]


def _is_busy(tasks: Iterable[TaskRow], now: datetime) -> bool:
    return any(task.is_open and task.lease_until > now for task in tasks)


def _left(kind: FetchKind, tasks: Iterable[TaskRow], now: datetime) -> TaskRow | None:
    """Return the newest task that was begun and left, while its slot is recent."""
    newest = max((task for task in tasks if task.is_open), key=lambda task: task.slot, default=None)
    return newest if newest is not None and newest.slot + RECENT_SLOTS * kind.every > now else None


def _due(kind: FetchKind, tasks: Sequence[TaskRow], wanted: Wanted, source_id: UUID, now: datetime) -> Due | None:
    if _is_busy(tasks, now):
        return None
    left = _left(kind, tasks, now)
    if left is not None:
        return Due(kind=kind, slot=left.slot, subjects=left.subjects, resume=left)
    whole = _whole(kind, tasks, wanted, source_id, now)
    if whole is not None:
        return Due(kind=kind, slot=whole)
    names = wanted.names()
    if not names or not kind.subjects:
        return None
    length = HINT_SLOT if wanted.chosen is None else NAMING_SLOT
    return Due(kind=kind, slot=slot_of(now, length, source_id, kind.name), subjects=names)


def _whole(
    kind: FetchKind, tasks: Sequence[TaskRow], wanted: Wanted, source_id: UUID, now: datetime
) -> datetime | None:
    """Return the slot of a task that names nobody, where it is due.

    Of a kind with a sweep only the refresh plan can say: while it knows subjects, it asks for those instead.
    """
    every = kind.every
    if kind.sweep:
        if wanted.chosen is None:
            return None
        every = kind.sweep if wanted.knows else kind.every
    slot = slot_of(now, every, source_id, kind.name)
    return None if any(task.slot >= slot and not task.subjects for task in tasks) else slot


def next_look(kinds: Iterable[FetchKind], tasks: Sequence[TaskRow], source_id: UUID, now: datetime) -> datetime | None:
    """Return when something of a source may be due next, hints apart; None where nothing is ever fetched."""
    pairs = [(kind.name, every) for kind in kinds for every in intervals(kind)]
    slots = [slot_of(now, every, source_id, name) + every for name, every in pairs]
    leases = [task.lease_until for task in tasks if task.is_open]
    return min((at for at in (*slots, *leases) if at > now), default=None)


def intervals(kind: FetchKind) -> tuple[timedelta, ...]:
    """Return the lengths of the slots that a kind has, hints apart."""
    lengths = (kind.every, kind.sweep, NAMING_SLOT if kind.subjects else timedelta(0))
    return tuple(dict.fromkeys(length for length in lengths if length))
