"""Fetches the days of an ad account: reports of all ads in one call, cut smaller where they are too much.

A range that is too much is halved; a single day that still is becomes a background job, which the option ``reports``
can ask for from the start. A job is begun, looked at and read in turns that are a page each, so that what is known of
it survives; between two looks the task waits and holds nothing. A page that is too long is asked for once in smaller
ones: the next begins with the full length again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from itertools import count

import msgspec

from connectors import graph, graph_values
from connectors.contract import ConnectorError, DropReason, Page, Response, Task, TryLater
from connectors.meta_ads_account import Account, Obstacle, examine, without_refused
from connectors.meta_ads_metrics import NAMES, NUMBERS
from connectors.meta_ads_plan import BATCH, Job, Step, Work, ads_of, planned, resumed

_LIMITS = ("500", "100", "25")
_MOST_PAGES = 5_000
_LOOK_AGAIN = 15.0  # seconds
_PATIENCE = 4  # times as long at most
_AFTER_FAILURE = 60.0  # a job begun again at once meets the same throttle
_STUCK = 300  # seconds at 0 %
_TOO_LONG = 1800
_MOST_FAILURES = 3
_FAILED = frozenset({"Job Failed", "Job Skipped"})
_PERCENT = 100


async def days_of(account: Account, task: Task, now: datetime, levels: tuple[str, ...]) -> AsyncIterator[Page]:
    """Yield the pages of a task about days, of each level in turn."""
    work = resumed(task.cursor)
    if work is None:
        if task.subjects and not ads_of(task):
            return
        by_job = account.options.reports == "async"
        work = planned(task, now, await account.zone(), levels, by_job=by_job)
    days = _Days(account, task, work)
    for turn in count():
        if not work.steps:
            return
        if turn >= _MOST_PAGES:
            raise ConnectorError(f"a report does not end after {_MOST_PAGES} calls")
        page = await days.turn()
        if page is not None:
            yield page
        if days.wait is not None:
            raise days.wait


class _Days:
    """One run of a task. Each turn makes one call and moves ``work`` on; ``wait`` is set where the next has to wait."""

    def __init__(self, account: Account, task: Task, work: Work) -> None:
        self._account = account
        self._task = task
        self._work = work
        self.wait: TryLater | None = None

    async def turn(self) -> Page | None:
        """Return the page of the next call; None where it only showed how to ask."""
        step, job = self._work.steps[0], self._work.job
        if not step.by_job:
            return await self._read(step, self._account.edge("insights"), self._asked(step))
        if not job.id:
            return await self._begin(step)
        if not job.ready:
            return await self._look(step, job)
        return await self._read(step, self._account.path(job.id, "insights"), {})

    # -------------------------------------------------------------------------------------------- reading

    async def _read(self, step: Step, path: str, params: dict[str, str]) -> Page | None:
        """Ask for the next page of a report, in smaller ones where nothing else can be made smaller."""
        work = self._work
        for limit in _LIMITS:
            response = await self._get(step, path, {**params, "limit": limit, "after": work.after})
            if response is None:
                return None
            body, fault, obstacle = examine(response)
            if fault is None:
                return self._landed(step, response, graph.next_cursor(body).get("after", ""))
            if obstacle is Obstacle.TOO_MUCH and not step.by_job and not work.after:
                work.replace(step.halves() if step.days > 1 else [msgspec.structs.replace(step, by_job=True)])
                return None
            if obstacle is Obstacle.FIELDS:
                self._leave_out(step, fault)
                return None
            if obstacle is Obstacle.NOT_READY:
                raise TryLater(f"the report is not readable yet ({fault.label})", _LOOK_AGAIN)
        raise ConnectorError("a report is too much data in the smallest pages")

    async def _get(self, step: Step, path: str, params: dict[str, str]) -> Response | None:
        """Ask; None where the range was taken apart instead.

        *Too much data* comes as a 500 as well, at times without a text. So a range that no attempt gets through is
        tried day by day, once: if not even a day is answered, the platform is down.
        """
        try:
            return await self._account.http.get(path, {name: value for name, value in params.items() if value})
        except TryLater as error:
            if error.seconds is not None or step.days == 1 or step.by_job or self._work.after:
                raise
        self._work.replace(step.single_days())
        return None

    def _landed(self, step: Step, response: Response, after: str) -> Page:
        work, refused = self._work, ",".join(self._work.without)
        if after and after == work.after:
            raise ConnectorError("a report comes back to a page it has shown")
        job = work.job.id
        work.after = after
        if not after:
            work.done()
        return self._page(step, response, "insights", job=job, zone=work.zone, refused=refused)

    def _leave_out(self, step: Step, fault: graph.Fault) -> None:
        asked = self._fields(step)
        left = without_refused(fault, asked, NAMES[step.level])
        self._work.without += tuple(name for name in asked if name not in left)

    # -------------------------------------------------------------------------------------------- jobs

    async def _begin(self, step: Step) -> Page | None:
        response = await self._account.http.post(self._account.edge("insights"), self._asked(step))
        body, fault, obstacle = examine(response)
        if obstacle is Obstacle.FIELDS and fault is not None:
            self._leave_out(step, fault)
            return None
        if obstacle is Obstacle.TOO_MUCH and step.days > 1:
            self._work.replace(step.halves())
            return None
        if obstacle is not None:
            raise ConnectorError("a single day is too much data even for a background report")
        found = graph_values.identifier(body.get("report_run_id"))
        if isinstance(found, DropReason):
            raise TryLater("the report was begun and has no id")
        begun = int(response.received_at.timestamp())
        self._work.job = Job(id=found, begun=begun, failed=self._work.job.failed)
        return self._page(step, response, "report_run", job=found)

    async def _look(self, step: Step, job: Job) -> Page:
        fields = {"fields": "id,async_status,async_percent_completion"}
        response = await self._account.http.get(self._account.path(job.id), fields)
        body, _, obstacle = examine(response)
        if obstacle is not None:
            raise TryLater("the report does not say how far it is", _LOOK_AGAIN)
        status, percent = body.get("async_status"), body.get("async_percent_completion")
        # Both: 100 % is said for a while of a job that still runs.
        if status == "Job Completed" and percent == _PERCENT:
            self._work.job = msgspec.structs.replace(job, ready=True)
        else:
            age = int(response.received_at.timestamp()) - job.begun
            is_stuck = age > _TOO_LONG or (age > _STUCK and not percent)
            self._go_on(step, job, failed=status in _FAILED or is_stuck)
        return self._page(step, response, "report_run", job=job.id, look=str(job.polls + 1))

    def _go_on(self, step: Step, job: Job, *, failed: bool) -> None:
        """Look again later, or begin another job: a smaller one, since the size may be what went wrong."""
        if not failed:
            self._work.job = msgspec.structs.replace(job, polls=job.polls + 1)
            self.wait = TryLater("the report is being made", _LOOK_AGAIN * min(job.polls + 1, _PATIENCE))
            return
        if job.failed + 1 >= _MOST_FAILURES:
            raise ConnectorError(f"a report of {step.days} days went wrong {_MOST_FAILURES} times")
        again = Job(failed=job.failed + 1)
        self._work.replace(step.halves() if step.days > 1 else [step], again)
        self.wait = TryLater("the report went wrong and is made again", _AFTER_FAILURE)

    # -------------------------------------------------------------------------------------------- asking

    def _fields(self, step: Step) -> tuple[str, ...]:
        has_action = bool(self._account.options.conversion_action)
        wanted = [name for name in NUMBERS if has_action or name != "action_values"]
        return tuple(name for name in (*NAMES[step.level], *wanted) if name not in self._work.without)

    def _asked(self, step: Step) -> dict[str, str]:
        windows = self._account.options.windows
        asked = {
            "level": step.level,
            "fields": ",".join(self._fields(step)),
            "time_range": _json({"since": str(step.since), "until": str(step.until)}),
            "time_increment": "1",
            "action_breakdowns": _json(["action_type"]),
        }
        if windows:
            asked["action_attribution_windows"] = _json(list(windows))
        else:
            asked["use_unified_attribution_setting"] = "true"
        if step.batch >= 0:
            ids = ads_of(self._task)[step.batch * BATCH : (step.batch + 1) * BATCH]
            asked["filtering"] = _json([{"field": "ad.id", "operator": "IN", "value": list(ids)}])
        return asked

    def _page(self, step: Step, response: Response, page: str, **more: str) -> Page:
        is_last = not self._work.steps
        return self._account.page(
            response,
            self._work.cursor(),
            last=is_last,
            kind=self._task.kind,
            page=page,
            level=step.level,
            since=str(step.since),
            until=str(step.until),
            fields=",".join(self._fields(step)) if page == "insights" else "",
            **more,
        )


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
