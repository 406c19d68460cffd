"""Walking through what a task has to ask: listings page by page, named subjects batch by batch, days of a window.

Every cursor names the work that is left, so that a task resumed from any page makes the calls that an unbroken one
would have made. A listing that goes in circles or never ends is an error of its platform and ends the task. Which calls
there are, and what is in an answer, is the platform's.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any, TypeVar

import msgspec

from connectors import pages, values
from connectors.contract import ConnectorError, DropReason, NotSupported, Page, SubjectRef, Task

T = TypeVar("T")


def fetcher_of(task: Task, title: str, fetchers: Mapping[str, T]) -> T:
    """Return what fetches a kind of task. Raises :class:`NotSupported` for an unknown kind."""
    if task.kind not in fetchers:
        raise NotSupported(f"{title} has no task of the kind {task.kind!r}")
    return fetchers[task.kind]


# ------------------------------------------------------------------------------------------------ listings


class Turns:
    """Watches over a listing: every page leads to one that was not shown before, and there are ``most`` at most."""

    def __init__(self, most: int, *shown: str, what: str = "a listing") -> None:
        self._most = most
        self._what = what
        self._shown = set(shown)

    def on_to(self, place: str) -> str:
        """Return where the listing goes on ("": it ends). Raises :class:`ConnectorError`."""
        if not place:
            return place
        if place in self._shown:
            raise ConnectorError(f"{self._what} comes back to a page it has shown")
        if len(self._shown) >= self._most:
            raise ConnectorError(f"{self._what} does not end after {self._most} pages")
        self._shown.add(place)
        return place


def place(told: Any, longest: int, what: str = "a listing") -> str:
    """Return a place that an answer says a listing goes on at. Raises :class:`ConnectorError` for what is none."""
    if not isinstance(told, str) or not 0 < len(told) <= longest:
        raise ConnectorError(f"{what} goes on without saying where")
    return told


def lower_place(told: Any, goes_on: Any, before: int | None) -> int | None:
    """Return where a listing that is paged by a falling number goes on, None at its end. Raises likewise."""
    if goes_on is not True:
        return None
    if not isinstance(told, int):
        raise ConnectorError("a listing goes on without saying where")
    if before is not None and told >= before:
        raise ConnectorError("a listing comes back to a page it has shown")
    return told


def is_past(published: Iterable[datetime | DropReason | None], start: datetime | None) -> bool:
    """Whether a listing, newest first, has left the window of interest with a whole page."""
    times = [values.known(at) for at in published]
    return start is not None and bool(times) and all(at is not None and at < start for at in times)


class Left(msgspec.Struct, frozen=True):
    """The work that is left of a listing whose entries may each take a call of their own.

    ``due`` are those calls, ``after`` is where the listing goes on, ``ended`` says that it has.
    """

    after: str = ""
    due: tuple[str, ...] = ()
    ended: bool = False

    @property
    def is_done(self) -> bool:
        return self.ended and not self.due

    def cursor(self) -> dict[str, str]:
        """Return what a cursor remembers."""
        return pages.said({"after": self.after, "due": ",".join(self.due), "ended": "1" if self.ended else ""})


L = TypeVar("L", bound=Left)
Call = Callable[[L], Awaitable[tuple[Page, L]]]
"""Makes one call of what is left; returns its page and what is left then."""


async def walk(left: L, listing: Call[L], single: Call[L], most: int) -> AsyncIterator[Page]:
    """Yield a listing page by page, each followed by the calls of its own that it leaves due."""
    turns = Turns(most)
    while not left.is_done:
        page, rest = await (single if left.due else listing)(left)
        if not left.due and not rest.ended:
            turns.on_to(rest.after)
        left = rest
        yield page


# ------------------------------------------------------------------------------------------------ named subjects


def named(task: Task, is_ours: Callable[[SubjectRef], bool]) -> list[str]:
    """Return the ids of the named subjects, each once.

    Ids of other makers (a row of an imported file) mean nothing to a platform, and *not found* would remove them.
    """
    return list(dict.fromkeys(ref.external_id for ref in task.subjects if is_ours(ref)))


def begin(names: Sequence[str], done: str | None) -> int:
    """Return how many of the names come no later than the one that a cursor calls done; none where it names none."""
    return names.index(done) + 1 if done in names else 0


def batches(ids: Sequence[str], done: str | None, size: int) -> Iterator[tuple[Sequence[str], bool]]:
    """Yield the ids that are left, ``size`` at a time, each batch with whether it is the last."""
    for start in range(begin(ids, done), len(ids), size):
        yield ids[start : start + size], start + size >= len(ids)


# ------------------------------------------------------------------------------------------------ days


def complete_days(
    task: Task, now: datetime, zone: str, look_back: timedelta, earliest: datetime | None = None
) -> tuple[date, date] | None:
    """Return the first and last complete day of a task's window in ``zone``; None where there is none.

    Without a start the window is ``look_back``; nothing before ``earliest`` is asked for.
    """
    end = min(task.end or now, now)
    start = task.start or end - look_back
    first = values.date_in(zone, start if earliest is None else max(start, earliest))
    last = values.date_in(zone, end) - timedelta(days=1)
    return (first, last) if first <= last else None
