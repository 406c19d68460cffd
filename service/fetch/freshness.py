"""Which subjects of a source are worth a look now: the arithmetic of the refresh plan. Pure; bounds and rates are data.

Counts grow along a curve that flattens with age: c / (age + a day)^1.5 an hour, the same for every subject but for c.
The growth that the last look found says what c is; weighed against it, like three hours of looking, is the count as a
whole: the mean of a Poisson rate whose gamma prior is the subject's own life. So a subject that was looked at once is
already told from another one, and each is judged by itself.

Looks go where the most is unseen for the longest: expected growth since the last look times the time since then. For
steady growth that spaces looks by the square root of the rate, which keeps the sum of all errors least.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import datetime, timedelta
from math import inf

import msgspec

from connectors.contract import SubjectRef

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


class Band(msgspec.Struct, frozen=True):
    """How often a subject younger than ``age`` is looked at: never again within ``soonest``, at ``latest`` anyway."""

    age: timedelta
    soonest: timedelta
    latest: timedelta


BANDS = (
    Band(3 * DAY, HOUR / 4, HOUR),
    Band(30 * DAY, HOUR, 6 * HOUR),
    Band(90 * DAY, 6 * HOUR, DAY),
    Band(timedelta.max, DAY, 7 * DAY),
)
WORTH = 0.005
"""Between the two bounds a look is due when so much of the count is expected to be unseen."""
MUST = 0.75
"""A subject that nobody looked at for this part of the look-back goes before all others."""
JITTER = 0.2
"""The latest time of a look is moved by up to this part of it, so that what was read together is not due together."""
PRESUMED_AGE = DAY
"""How old a subject without a time of publication is taken to be when it is first heard of."""

_OFFSET = 24.0  # hours
_POWER = 1.5
_PRIOR = 3 * HOUR


class Growth(msgspec.Struct, frozen=True, kw_only=True):
    """What a count grew by over ``[since, until)``, which ends at or after the last look."""

    amount: int
    since: datetime
    until: datetime


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """A subject as one kind of task knows it: born, last asked for (None: never), and its counts (None: none is known).

    ``count`` is the sum of all its counters: what matters is which subjects move, not what moves in them.
    """

    subject: SubjectRef
    born: datetime
    looked_at: datetime | None = None
    count: int | None = None
    growth: Growth | None = None


def exposure(born: datetime, start: datetime, end: datetime) -> float:
    """Return the share of a life that the curve puts into ``[start, end)``, in a unit of its own."""
    return max(_left(start - born) - _left(end - born), 0.0)


def _left(age: timedelta) -> float:
    """Return what the curve has still to give at an age."""
    left: float = (max(age, timedelta(0)) / HOUR + _OFFSET) ** (1 - _POWER)
    return left / (_POWER - 1)


def unseen(known: Known, now: datetime) -> float:
    """Return how much a count is expected to have grown since the last look; nothing where no count is known."""
    if known.count is None:
        return 0.0
    born, last = known.born, known.looked_at or known.born
    weight = exposure(born, last, last + _PRIOR)
    lived = exposure(born, born, last)
    amount = weight * known.count / lived if lived else 0.0
    if known.growth is not None:
        amount += max(known.growth.amount, 0)
        weight += exposure(born, known.growth.since, known.growth.until)
    return amount / weight * exposure(born, last, now)


def is_open(known: Known, now: datetime) -> bool:
    """Whether a subject may be looked at again at all: its growth need not be known for that."""
    return known.looked_at is None or now - known.looked_at >= band_of(known, now).soonest


def due(known: Known, now: datetime, look_back: timedelta, salt: bytes = b"") -> bool:
    """Whether a subject is due: never looked at, enough unseen, or not looked at for too long."""
    if known.looked_at is None:
        return True
    waited, band = now - known.looked_at, band_of(known, now)
    if waited < band.soonest:
        return False
    latest = min(band.latest, look_back * MUST) if look_back else band.latest
    moved = 1 - JITTER + 2 * JITTER * _spread(known, salt)
    return waited >= latest * moved or unseen(known, now) >= max(1.0, WORTH * (known.count or 0))


def choose(known: Iterable[Known], now: datetime, look_back: timedelta, room: int, salt: bytes = b"") -> list[Known]:
    """Return at most ``room`` of the subjects that are due, the most pressing first.

    First those that the look-back would lose, the longest unseen before the others, then by what a look gains.
    """
    chosen = [one for one in known if due(one, now, look_back, salt)]
    return sorted(chosen, key=lambda one: _rank(one, now, look_back))[: max(room, 0)]


def _rank(known: Known, now: datetime, look_back: timedelta) -> tuple[bool, float, str]:
    waited = (now - (known.looked_at or known.born)) / HOUR
    is_late = bool(look_back) and now - (known.looked_at or now) >= look_back * MUST
    if is_late:
        return False, -waited, known.subject.external_id
    gain = inf if known.looked_at is None else waited * unseen(known, now)
    return True, -gain, known.subject.external_id


def band_of(known: Known, now: datetime) -> Band:
    """Return the bounds for a subject of its age."""
    age = now - known.born
    return next(band for band in BANDS if age < band.age)


def _spread(known: Known, salt: bytes) -> float:
    """Return a place in [0, 1) that is the subject's own until it is looked at again."""
    looked = b"" if known.looked_at is None else known.looked_at.isoformat().encode()
    digest = hashlib.blake2b(salt + known.subject.external_id.encode() + looked, digest_size=4).digest()
    return int.from_bytes(digest, "big") / 2**32
