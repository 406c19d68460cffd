"""The simulated platform: seeded numbers for the demo, for tests and for measuring. Nothing in it is real.

It is pulled like any platform (posts, profiles, counters, days of money, page by page) and pushes its sales as signed
Standard Webhooks in the item language. Counted once: counters of a post are lifetime numbers, money is a total per day
of the account's zone, sales are events. Whoever shows its numbers says *simulated*.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec

from connectors.contract import (
    Auth,
    AuthKind,
    BadPayload,
    Capabilities,
    Connector,
    Delivery,
    FetchKind,
    Finding,
    Http,
    Item,
    Kind,
    MetricMapping,
    NeedsReauth,
    NotSupported,
    Page,
    Response,
    Source,
    SubjectType,
    Task,
    TryLater,
    Verified,
    WebhookRequest,
)
from connectors.items import Defaults, read
from connectors.signatures import standard_webhooks
from connectors.synthetic_reading import COUNTERS, DAY_MONEY, MEASURED, READERS, measured, read_page

_POST = (SubjectType.POST,)
_FOR_MEASURING = "in days made for measuring alone"
_OK = 200
_UNAUTHORISED = 401
_CURSOR = re.compile(r"[0-9]{1,7}")
_STEPS: Mapping[str, tuple[str, ...]] = {
    "posts": ("profiles", "posts"),
    "metrics": ("metrics",),
    "daily": ("daily",),
}
"""The lists that a kind of task reads, in order."""


class _Next(msgspec.Struct, frozen=True):
    data: list[msgspec.Raw]
    next: str | None = None


_NEXT = msgspec.json.Decoder(_Next)


class Synthetic(Connector):
    """The connector ``synthetic``. Its options are the defaults of its messages."""

    name = "synthetic"
    title = "Simulated platform"
    version = "1"
    platform = "synthetic"
    options = Defaults
    base_url = "http://127.0.0.1:8098"
    auth = Auth(
        kind=AuthKind.TOKEN,
        credentials={
            "access_token": "the token of the simulated platform",
            "webhook_secret": "the key its messages are signed with: whsec_ and base64",
        },
    )
    capabilities = Capabilities(
        webhook=True,
        fetch=(
            FetchKind(name="posts", every=timedelta(hours=1)),
            FetchKind(name="metrics", every=timedelta(hours=1)),
            FetchKind(name="daily", every=timedelta(hours=6), look_back=timedelta(days=3)),
        ),
        settle=timedelta(days=3),
        day_zone="account",
        simulated=True,
    )
    metrics = (
        *(MetricMapping(wire=key, metric=key, kind=Kind.LIFETIME, subject_types=_POST) for key in COUNTERS),
        MetricMapping(wire="reach", metric="reach", kind=Kind.UNIQUE, subject_types=_POST),
        MetricMapping(wire="followers", metric="followers", kind=Kind.LEVEL, subject_types=(SubjectType.PROFILE,)),
        *(MetricMapping(wire=key, metric=key, kind=Kind.PERIOD, subject_types=_POST) for key in DAY_MONEY),
        MetricMapping(wire="conversion, order", metric="conversions", kind=Kind.EVENT),
        MetricMapping(wire="order", metric="orders", kind=Kind.EVENT),
        MetricMapping(wire="refund", metric="refunds", kind=Kind.EVENT),
        MetricMapping(wire="value", metric="conversion_value", kind=Kind.EVENT),
        *(MetricMapping(wire=f"m.{key}", metric=key, kind=Kind.PERIOD, note=_FOR_MEASURING) for key in MEASURED),
    )

    def verify(self, request: WebhookRequest, source: Source, now: datetime) -> Verified:
        """The key of the delivery is the message id."""
        return Verified(key=standard_webhooks(request.headers, request.body, source.secrets, now))

    def parse(self, delivery: Delivery, options: Any) -> Iterable[Item]:
        """Read a page by the list that was asked for, or a message in the item language."""
        if delivery.channel == "webhook":
            return read(delivery.body, delivery.received_at, options)
        kind = delivery.request.get("list", "")
        if kind not in READERS:
            raise BadPayload("the request names no known list")
        quick = measured(delivery) if kind == "load" else None
        return list(read_page(delivery, READERS[kind])) if quick is None else quick

    async def fetch(self, http: Http, task: Task, now: datetime) -> AsyncIterator[Page]:
        """Yield the pages of the lists of a task, from the cursor on."""
        if task.kind not in _STEPS:
            raise NotSupported("the simulated platform has no such kind of task")
        steps = _STEPS[task.kind]
        current = task.cursor.get("list", steps[0])
        place = task.cursor.get("cursor", "0")
        query = _window(task, now)
        while current:
            response = await http.get(f"/{current}", {"cursor": place, **(query if current == "daily" else {})})
            following = _next(response, place)
            step = steps.index(current)
            last = following is None and step + 1 == len(steps)
            after = current if following is not None or last else steps[step + 1]
            yield Page(
                body=response.body,
                request={"list": current, "cursor": place, **(query if current == "daily" else {})},
                cursor={"list": after, "cursor": following or "0"},
                received_at=response.received_at,
                last=last,
            )
            if last:
                return
            current, place = after, following or "0"

    async def check(self, http: Http, source: Source) -> list[Finding]:
        """Ask the simulated platform who we are."""
        _ = source
        response = await http.get("/me")
        if response.status == _OK:
            return [Finding(ok=True, text="the simulated platform knows the token")]
        return [Finding(ok=False, text=f"the simulated platform answers {response.status}: give it the right token")]


def _window(task: Task, now: datetime) -> dict[str, str]:
    """Return the days to ask for; a task without a window asks for everything that is kept."""
    since = task.start or now - timedelta(days=120)
    return {"since": since.date().isoformat(), "until": (task.end or now + timedelta(days=1)).date().isoformat()}


def _next(response: Response, place: str) -> str | None:
    """Return the cursor after the page at ``place``; one that does not lead on would be followed without end."""
    if response.status == _UNAUTHORISED:
        raise NeedsReauth("the simulated platform refuses the token")
    if response.status != _OK:
        raise TryLater(f"the simulated platform answers {response.status}")
    try:
        following = _NEXT.decode(response.body).next
    except (ValueError, RecursionError) as error:
        raise TryLater("the simulated platform answered with something that is no list") from error
    if following is not None and not (_CURSOR.fullmatch(following) and int(following) > int(place)):
        raise TryLater("the simulated platform gave a cursor that does not lead on")
    return following


CONNECTOR = Synthetic()
