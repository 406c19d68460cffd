"""What is left to ask of an ad account's days: the steps of a task, how they are cut smaller, and the cursor of both.

A step is a level, a range of days and a batch of named ads. It holds everything that a call is made of, so a task
resumed from any page makes the calls that an unbroken one would have made. Nothing is asked here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from connectors import pages, walks
from connectors.contract import ConnectorError, SubjectRef, SubjectType, Task

SETTLE = timedelta(days=28)
"""Conversions are booked on the day of the ad's click or view, so days grow for as long as a window is."""
LOOK_BACK = SETTLE + timedelta(days=1)  # a window closes between two readings: the day is read once more after it
BATCH = 50
_HISTORY = timedelta(days=36 * 31)  # a start before 37 months ago is an error and no empty answer
_PARTS = 5


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One report: days of one level, of all ads (``batch`` -1) or of the named ones, at once or by a job."""

    level: str
    since: date
    until: date
    batch: int = -1
    by_job: bool = False

    @property
    def days(self) -> int:
        return (self.until - self.since).days + 1

    @property
    def text(self) -> str:
        """What a cursor remembers of it."""
        return f"{self.level}:{self.since}:{self.until}:{self.batch}:{int(self.by_job)}"

    def halves(self) -> list[Step]:
        """Return the step as two, the older first."""
        middle = self.since + timedelta(days=(self.days - 1) // 2)
        older = msgspec.structs.replace(self, until=middle)
        return [older, msgspec.structs.replace(self, since=middle + timedelta(days=1))]

    def single_days(self) -> list[Step]:
        """Return the step day by day."""
        days = [self.since + timedelta(days=index) for index in range(self.days)]
        return [msgspec.structs.replace(self, since=day, until=day) for day in days]


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """The background job of the first step: its id once it runs, when it was begun, how often it was looked at, whether
    it is ready to be read, and how many jobs of this step went wrong before it.
    """

    id: str = ""
    begun: int = 0
    polls: int = 0
    ready: bool = False
    failed: int = 0


class Work(msgspec.Struct, kw_only=True):
    """What a task has left: the zone of the days, the steps, where the first one goes on, and its job.

    ``without`` names fields that the platform has refused.
    """

    zone: str
    steps: list[Step]
    after: str = ""
    without: tuple[str, ...] = ()
    job: Job = Job()

    def done(self) -> None:
        """Leave the first step behind."""
        self.replace([])

    def replace(self, steps: Iterable[Step], job: Job | None = None) -> None:
        """Put others in the place of the first step."""
        self.steps[:1] = steps
        self.after = ""
        self.job = job or Job()

    def cursor(self) -> dict[str, str]:
        """Return what is left as text."""
        job = self.job
        told = {
            "zone": self.zone,
            "todo": ",".join(step.text for step in self.steps),
            "after": self.after,
            "without": ",".join(self.without),
            "job": job.id,
            "job_begun": str(job.begun or ""),
            "job_polls": str(job.polls or ""),
            "job_ready": "1" if job.ready else "",
            "job_failed": str(job.failed or ""),
        }
        return pages.said(told)


def resumed(cursor: Mapping[str, str]) -> Work | None:
    """Return the work that a cursor names; None for the beginning of a task."""
    if "todo" not in cursor:
        return None
    try:
        job = Job(
            id=cursor.get("job", ""),
            begun=int(cursor.get("job_begun", "0")),
            polls=int(cursor.get("job_polls", "0")),
            ready="job_ready" in cursor,
            failed=int(cursor.get("job_failed", "0")),
        )
        return Work(
            zone=cursor["zone"],
            steps=[_step(text) for text in cursor["todo"].split(",")],
            after=cursor.get("after", ""),
            without=pages.listed(cursor, "without"),
            job=job,
        )
    except (KeyError, ValueError) as error:
        raise ConnectorError("the cursor of the task cannot be read") from error


def _step(text: str) -> Step:
    level, since, until, batch, by_job, *_ = text.split(":", _PARTS - 1)
    return Step(
        level=level,
        since=date.fromisoformat(since),
        until=date.fromisoformat(until),
        batch=int(batch),
        by_job=by_job == "1",
    )


def planned(task: Task, now: datetime, zone: str, levels: Iterable[str], **more: Any) -> Work:
    """Return the work of a whole task: the days of its window in the account's zone, today among them."""
    tz = ZoneInfo(zone)
    until = min(task.end or now, now).astimezone(tz).date()
    since = max((task.start or now - LOOK_BACK).astimezone(tz).date(), until - _HISTORY)
    batches = range(-(-len(ads_of(task)) // BATCH)) if task.subjects else (-1,)
    steps = [
        Step(level=level, since=min(since, until), until=until, batch=batch, **more)
        for level in levels
        for batch in batches
    ]
    return Work(zone=zone, steps=steps)


def ads_of(task: Task) -> tuple[str, ...]:
    """Return the ids of the ads that a task names; what is no ad of Meta's is not asked for."""
    return tuple(walks.named(task, _is_ad))


def _is_ad(ref: SubjectRef) -> bool:
    return ref.type is SubjectType.AD and ref.external_id.isascii() and ref.external_id.isdigit()
