"""The simulated platform: seeded numbers for the demo, for tests and for measuring. Nothing in it is real.

It is pulled like any platform (posts, profiles, counters, days of money, page by page) and pushes its sales as signed
Standard Webhooks in the item language. Counted once: counters of a post are lifetime numbers, money is a total per day
of the account's zone, sales are events. Whoever shows its numbers says *simulated*.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from datetime import date, datetime, timedelta
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import msgspec

from connectors.contract import (
    STORED,
    Auth,
    AuthKind,
    BadPayload,
    Capabilities,
    Connector,
    CreatorSeen,
    Delivery,
    Drop,
    DropReason,
    FetchKind,
    Finding,
    Http,
    Item,
    Kind,
    MetricMapping,
    NeedsReauth,
    Observation,
    Page,
    Response,
    Source,
    SubjectRef,
    SubjectSeen,
    SubjectType,
    Task,
    TryLater,
    Verified,
    WebhookRequest,
    Window,
    day_window,
    micros,
)
from connectors.items import Defaults, read
from connectors.signatures import standard_webhooks

_COUNTERS = ("impressions", "views", "likes", "comments", "shares", "saves", "clicks_link")
_MONEY = ("spend_media", "fee_creator")
_POST = (SubjectType.POST,)
_YEARS = range(1990, 2101)
_OK = 200
_UNAUTHORISED = 401
_CURSOR = re.compile(r"[0-9]{1,7}")
_KNOWN = frozenset(STORED)
_STEPS: Mapping[str, tuple[str, ...]] = {
    "posts": ("profiles", "posts"),
    "metrics": ("metrics",),
    "daily": ("daily",),
}
"""The lists that a kind of task reads, in order."""

Instant = Annotated[datetime, msgspec.Meta(tz=True)]
Id = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]


class _List(msgspec.Struct, frozen=True):
    at: Instant
    zone: str
    data: list[msgspec.Raw]
    next: str | None = None


class _Post(msgspec.Struct, frozen=True, kw_only=True):
    id: Id
    title: str
    url: str
    published_at: Instant
    content_type: str
    hashtags: list[str]
    creator: Id
    followers: Annotated[int, msgspec.Meta(ge=0, le=2**62)]
    campaign: str
    utm_campaign: str
    promo_code: str
    boosted: bool


class _Profile(msgspec.Struct, frozen=True, kw_only=True):
    id: Id
    handle: str
    name: str
    followers: Annotated[int, msgspec.Meta(ge=0, le=2**62)]


class _Daily(msgspec.Struct, frozen=True, kw_only=True):
    id: Id
    day: date
    currency: str
    spend_media: str | None = None
    fee_creator: str | None = None


Count = Annotated[int, msgspec.Meta(ge=0, le=2**62)]


class _Load(msgspec.Struct, frozen=True, kw_only=True):
    id: Id
    day: date
    m: dict[str, Count]


_LIST = msgspec.json.Decoder(_List)
_POSTS = msgspec.json.Decoder(_Post)
_PROFILES = msgspec.json.Decoder(_Profile)
_COUNTED = msgspec.json.Decoder(dict[str, Any])
_DAYS = msgspec.json.Decoder(_Daily)


class _Loaded(msgspec.Struct, frozen=True):
    at: Instant
    zone: str
    data: list[_Load]
    next: str | None = None


_LOADED = msgspec.json.Decoder(_Loaded)


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
        *(MetricMapping(wire=key, metric=key, kind=Kind.LIFETIME, subject_types=_POST) for key in _COUNTERS),
        MetricMapping(wire="reach", metric="reach", kind=Kind.UNIQUE, subject_types=_POST),
        MetricMapping(wire="followers", metric="followers", kind=Kind.LEVEL, subject_types=(SubjectType.PROFILE,)),
        *(MetricMapping(wire=key, metric=key, kind=Kind.PERIOD, subject_types=_POST) for key in _MONEY),
        MetricMapping(wire="conversion, order", metric="conversions", kind=Kind.EVENT),
        MetricMapping(wire="order", metric="orders", kind=Kind.EVENT),
        MetricMapping(wire="refund", metric="refunds", kind=Kind.EVENT),
        MetricMapping(wire="value", metric="conversion_value", kind=Kind.EVENT),
        MetricMapping(wire="load.m", metric=None, note="days made for measuring hold any additive metric"),
    )

    def verify(self, request: WebhookRequest, source: Source, now: datetime) -> Verified:
        """The key of the delivery is the message id."""
        return Verified(key=standard_webhooks(request.headers, request.body, source.secrets, now))

    def parse(self, delivery: Delivery, options: Any) -> Iterable[Item]:
        """Read a page by the list that was asked for, or a message in the item language."""
        if delivery.channel == "webhook":
            return list(read(delivery.body, delivery.received_at, options))
        kind = delivery.request.get("list", "")
        if kind == "load":
            return _load(delivery.body)
        if kind not in _READERS:
            raise BadPayload("the request names no known list")
        try:
            page = _LIST.decode(delivery.body)
        except (ValueError, RecursionError) as error:
            raise BadPayload("the page is no list of the simulated platform") from error
        _zone(page.zone)
        return list(_rows(page, _READERS[kind]))

    async def fetch(self, http: Http, task: Task, now: datetime) -> AsyncIterator[Page]:
        """Yield the pages of the lists of a task, from the cursor on."""
        if task.kind not in _STEPS:
            raise BadPayload("no such kind of task")
        steps = _STEPS[task.kind]
        current = task.cursor.get("list", steps[0])
        place = task.cursor.get("cursor", "0")
        query = _window(task, now)
        while current:
            response = await http.get(f"/{current}", {"cursor": place, **(query if current == "daily" else {})})
            following = _next(response)
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


def _next(response: Response) -> str | None:
    if response.status == _UNAUTHORISED:
        raise NeedsReauth("the simulated platform refuses the token")
    if response.status != _OK:
        raise TryLater(f"the simulated platform answers {response.status}")
    try:
        following = _LIST.decode(response.body).next
    except (ValueError, RecursionError) as error:
        raise TryLater("the simulated platform answered with something that is no list") from error
    if following is not None and not _CURSOR.fullmatch(following):
        raise TryLater("the simulated platform gave a cursor that is no number")
    return following


# ------------------------------------------------------------------------------------------------ reading

Reader = Callable[[msgspec.Raw, _List], Iterator[Item]]


def _zone(name: str) -> None:
    try:
        ZoneInfo(name)
    except (ValueError, OSError, KeyError) as error:
        raise BadPayload("the page names no known time zone") from error


def _rows(page: _List, reader: Reader) -> Iterator[Item]:
    for row, raw in enumerate(page.data, start=1):
        try:
            yield from list(reader(raw, page))
        except (ValueError, RecursionError, BadPayload):
            yield Drop(reason=DropReason.MALFORMED, row=row, detail="a row of the list")


def _posts(raw: msgspec.Raw, page: _List) -> Iterator[Item]:
    post = _POSTS.decode(raw)
    yield SubjectSeen(
        subject=SubjectRef(post.id),
        observed_at=page.at,
        published_at=post.published_at,
        title=post.title,
        url=post.url,
        content_type=post.content_type,
        hashtags=tuple(post.hashtags),
        creator=post.creator,
        followers_at_publish=post.followers,
        platform_campaign=post.campaign,
        utm_campaign=post.utm_campaign,
        promo_code=post.promo_code,
        paid=post.boosted,
    )


def _profiles(raw: msgspec.Raw, page: _List) -> Iterator[Item]:
    profile = _PROFILES.decode(raw)
    yield CreatorSeen(external_id=profile.id, observed_at=page.at, handle=profile.handle, name=profile.name)
    yield Observation(
        subject=SubjectRef(profile.id, SubjectType.PROFILE),
        kind=Kind.LEVEL,
        metrics={"followers": profile.followers},
        observed_at=page.at,
    )


def _metrics(raw: msgspec.Raw, page: _List) -> Iterator[Item]:
    row = _COUNTED.decode(raw)
    name = row.pop("id", None)
    if not isinstance(name, str) or not 0 < len(name) <= 256:  # noqa: PLR2004 - as every id
        raise BadPayload("a row without an id")
    counters = {key: _count(row[key]) for key in _COUNTERS if row.get(key) is not None}
    if counters:
        yield Observation(subject=SubjectRef(name), kind=Kind.LIFETIME, metrics=counters, observed_at=page.at)
    if row.get("reach") is not None:
        reach = {"reach": _count(row["reach"])}
        yield Observation(subject=SubjectRef(name), kind=Kind.UNIQUE, metrics=reach, observed_at=page.at)


def _count(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= 2**62:
        raise BadPayload("a count is a whole number")
    return value


def _daily(raw: msgspec.Raw, page: _List) -> Iterator[Item]:
    row = _DAYS.decode(raw)
    given = {"spend_media": row.spend_media, "fee_creator": row.fee_creator}
    money = {key: micros(amount) for key, amount in given.items() if amount is not None}
    if not money or row.day.year not in _YEARS:
        raise BadPayload("a day without money")
    yield Observation(
        subject=SubjectRef(row.id),
        kind=Kind.PERIOD,
        metrics=money,
        observed_at=page.at,
        window=day_window(row.day, page.zone),
        currency=row.currency,
    )


_READERS: Mapping[str, Reader] = {"posts": _posts, "profiles": _profiles, "metrics": _metrics, "daily": _daily}


def _load(body: bytes) -> list[Item]:
    """Read days made for measuring: one typed decode for the page, one window for each day of it."""
    try:
        page = _LOADED.decode(body)
    except (ValueError, RecursionError) as error:
        raise BadPayload("the page is no list of the simulated platform") from error
    _zone(page.zone)
    windows: dict[date, Window] = {}
    items: list[Item] = []
    for row, entry in enumerate(page.data, start=1):
        if not entry.m or not _KNOWN.issuperset(entry.m) or entry.day.year not in _YEARS:
            items.append(Drop(reason=DropReason.UNKNOWN_METRIC, row=row))
            continue
        window = windows.get(entry.day)
        if window is None:
            window = windows[entry.day] = day_window(entry.day, page.zone)
        items.append(
            Observation(
                subject=SubjectRef(entry.id), kind=Kind.PERIOD, metrics=entry.m, observed_at=page.at, window=window
            )
        )
    return items


CONNECTOR = Synthetic()
