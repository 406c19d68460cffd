"""What is due to be fetched, from the clock and the newest tasks alone. Pure; whether it is begun the database decides.

Time is cut into slots of one interval, shifted for every source and kind, so that not all are due on the hour. A poll
that was missed is not made up for: the newest slot reads all that is due. What was begun and left is taken up where it
stopped while its slot is recent; a task that somebody works on, or that a platform told to wait, keeps its kind busy.
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


def due(
    kinds: Iterable[FetchKind],
    tasks: Sequence[TaskRow],
    hints: Sequence[SubjectRef],
    source_id: UUID,
    now: datetime,
) -> list[Due]:
    """Return what to begin for one source. ``tasks`` holds the newest task of each kind and that of its slot."""
    found = (_due(kind, [task for task in tasks if task.kind == kind.name], hints, source_id, now) for kind in kinds)
    return [one for one in found if one is not None]


def _due(
    kind: FetchKind, tasks: Sequence[TaskRow], hints: Sequence[SubjectRef], source_id: UUID, now: datetime
) -> Due | None:
    left = [task for task in tasks if task.is_open]
    if any(task.lease_until > now for task in left):
        return None
    newest = max(left, key=lambda task: task.slot, default=None)
    if newest is not None and newest.slot + RECENT_SLOTS * kind.every > now:
        return Due(kind=kind, slot=newest.slot, subjects=newest.subjects, resume=newest)
    slot = slot_of(now, kind.every, source_id, kind.name)
    if not any(task.slot >= slot and not task.subjects for task in tasks):
        return Due(kind=kind, slot=slot)
    if hints and kind.subjects:
        return Due(kind=kind, slot=slot_of(now, HINT_SLOT, source_id, kind.name), subjects=tuple(hints))
    return None


def next_look(kinds: Iterable[FetchKind], tasks: Sequence[TaskRow], source_id: UUID, now: datetime) -> datetime | None:
    """Return when something of a source may be due next, hints apart; None where nothing is ever fetched."""
    slots = [slot_of(now, kind.every, source_id, kind.name) + kind.every for kind in kinds]
    leases = [task.lease_until for task in tasks if task.is_open]
    return min((at for at in (*slots, *leases) if at > now), default=None)
