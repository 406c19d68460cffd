"""Checks of fetching against a fake platform: pages, cursors, resumption, and what may not be shown.

Part of the suite of :mod:`connectors.testing`. The fake platform is the caller's; nothing here opens a connection.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

import msgspec

from connectors.contract import Connector, ConnectorError, Delivery, Http, Page, Task
from connectors.testing_items import ContractBroken, outcome, require, require_hidden, require_line, secrets_of
from connectors.testing_logs import nothing_shown

_MOST_PAGES = 1000


class Pull(msgspec.Struct, frozen=True, kw_only=True):
    """A pull task with a fake platform; ``http`` makes a new client of the same platform at the same instant.

    ``changed`` makes a client of the same platform one cycle later (``later``, by default the kind's interval after
    ``now``), on which old data was restated: as old as the look-back lets a task see, or nearly so.
    """

    name: str = ""
    task: Task
    http: Callable[[], Http]
    now: datetime
    changed: Callable[[], Http] | None = None
    later: datetime | None = None


async def fetched(connector: Connector, pull: Pull, task: Task) -> list[Page]:
    """Return the pages of a task on the platform of ``pull``."""
    pages: list[Page] = []
    async for page in connector.fetch(pull.http(), task, pull.now):
        pages.append(page)
        require(len(pages) <= _MOST_PAGES, f"more than {_MOST_PAGES} pages: the fake platform is small, a cursor turns")
    return pages


def landed(page: Page) -> Delivery:
    """Return a page as the inbox keeps it."""
    return Delivery(channel="fetch", body=page.body, received_at=page.received_at, request=page.request)


async def _fetched(connector: Connector, pull: Pull, cursor: Mapping[str, str]) -> list[Page]:
    return await fetched(connector, pull, msgspec.structs.replace(pull.task, cursor=cursor))


async def _pages(connector: Connector, pull: Pull) -> None:
    pages = await _fetched(connector, pull, pull.task.cursor)
    require(pages, "no page is fetched")
    require([page.last for page in pages] == [False] * (len(pages) - 1) + [True], "last is said of the last page alone")
    told = {(repr(sorted(page.request.items())), repr(sorted(page.cursor.items()))) for page in pages}
    require(len(told) == len(pages), "two pages have the same request and cursor: that is taken for a circle")
    hidden = secrets_of(pull.task.source)
    for page in pages:
        for what, found in (("cursor", page.cursor), ("request", page.request)):
            plain = all(isinstance(text, str) for pair in found.items() for text in pair)
            require(plain, f"the {what} of a page is not of text")
            require_hidden(repr(found), hidden, f"the {what} of a page")
        require(page.received_at.utcoffset() == timedelta(0), "the time of a page is not in UTC")
        items = outcome(connector, landed(page), pull.task.source.options)
        require(not isinstance(items, str), f"a fetched page is refused: {items}")


async def _resuming(connector: Connector, pull: Pull) -> None:
    pages = await _fetched(connector, pull, pull.task.cursor)
    require(pages == await _fetched(connector, pull, pull.task.cursor), "two fetches of one instant differ")
    for number, page in enumerate(pages[:-1], start=1):
        rest = await _fetched(connector, pull, page.cursor)
        require(rest == pages[number:], f"after page {number} of {len(pages)} the rest is another one")


async def _refusing(connector: Connector, pull: Pull) -> None:
    unknown = msgspec.structs.replace(pull, task=msgspec.structs.replace(pull.task, kind="no such kind"))
    try:
        await _fetched(connector, unknown, {})
    except ConnectorError as refusal:
        require_line(str(refusal), "a refusal")
        return
    raise ContractBroken("an unknown kind of task is fetched")


async def _proving(connector: Connector, pull: Pull) -> None:
    findings = await connector.check(pull.http(), pull.task.source)
    require(findings, "a check finds nothing at all")
    for finding in findings:
        require_line(finding.text, "a finding")
        require_hidden(finding.text, secrets_of(pull.task.source), "a finding")


async def _silent(connector: Connector, pull: Pull) -> None:
    with nothing_shown(secrets_of(pull.task.source)):
        for page in await _fetched(connector, pull, pull.task.cursor):
            outcome(connector, landed(page), pull.task.source.options)
        await connector.check(pull.http(), pull.task.source)


FETCH_CHECKS = (
    ("pages", _pages),
    ("resuming", _resuming),
    ("unknown kind", _refusing),
    ("check", _proving),
    ("logs", _silent),
)
