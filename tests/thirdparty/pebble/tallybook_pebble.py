"""Pebble: a made-up network of short posts (pebbles), by somebody who has never seen the service's code.

It needs the published contract alone. Counted once: the counters of a pebble; the account's days hold numbers of its
own (visits of the pond). A push says that something has happened and never a number, so it asks for a fetch.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from http import HTTPStatus
from typing import Annotated, Any, TypeVar
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta

from connectors.contract import (
    INT64_MAX,
    Auth,
    AuthKind,
    BadPayload,
    Budget,
    Capabilities,
    Connector,
    ConnectorError,
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
    NotSupported,
    Observation,
    Page,
    RefreshHint,
    Response,
    Source,
    SubjectRef,
    SubjectSeen,
    SubjectType,
    Task,
    Verified,
    WebhookRequest,
    day_window,
    fingerprint,
)
from connectors.signatures import hub_sha256

ZONE = "Europe/Lisbon"
_EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)
_AHEAD = timedelta(minutes=5)
_COUNTERS = {"sightings": "impressions", "splashes": "likes", "echoes": "comments", "ripples": "shares"}
_BATCH = 25
_MOST_PAGES = 1000


class PebbleOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nothing to choose."""


Id = Annotated[str, Meta(pattern=r"^[0-9a-z]{1,64}\Z")]
Count = Annotated[int, Meta(ge=0, le=INT64_MAX)]


class _Pebble(msgspec.Struct):
    id: Id
    thrown_at: Annotated[datetime, Meta(tz=True)]
    text: str | None = None
    sightings: Count | None = None
    splashes: Count | None = None
    echoes: Count | None = None
    ripples: Count | None = None


class _Day(msgspec.Struct):
    day: date
    pond_visits: Count


class _Answer(msgspec.Struct):
    pebbles: list[msgspec.Raw] = []
    days: list[msgspec.Raw] = []
    next: Annotated[str, Meta(pattern=r"^[0-9]{1,9}\Z")] | None = None


class _Push(msgspec.Struct):
    event: str
    pebble: Id


class Pebble(Connector):
    """The connector ``pebble``."""

    name = "pebble"
    title = "Pebble"
    version = "3"
    platform = "pebble"
    options = PebbleOptions
    base_url = "https://api.pebble.example"
    auth = Auth(
        kind=AuthKind.TOKEN,
        credentials={"access_token": "of the pond; read only", "webhook_secret": "signs what is pushed"},
    )
    capabilities = Capabilities(
        webhook=True,
        fetch=(
            FetchKind(
                name="pebbles", every=timedelta(hours=2), look_back=timedelta(days=60), subjects=True, batch=_BATCH
            ),
            FetchKind(name="pond_days", every=timedelta(hours=12), look_back=timedelta(days=10)),
        ),
        settle=timedelta(days=10),
        lag=timedelta(hours=6),
        day_zone=ZONE,
        rate_limit="600 calls an hour and pond; 429",
        budgets=(Budget(bucket="pond", calls=600, window=timedelta(hours=1)),),
    )
    metrics = (
        *(
            MetricMapping(wire=wire, metric=key, kind=Kind.LIFETIME, subject_types=(SubjectType.POST,))
            for wire, key in _COUNTERS.items()
        ),
        MetricMapping(
            wire="pond_visits", metric="profile_views", kind=Kind.PERIOD, subject_types=(SubjectType.PROFILE,)
        ),
        MetricMapping(wire="skips", metric=None, note="how often a pebble skipped on the water: nobody knows what for"),
    )

    def verify(self, request: WebhookRequest, source: Source, now: datetime) -> Verified:
        """Pebble gives no message id: the same body is the same delivery."""
        hub_sha256(request.headers.get("x-pebble-signature"), request.body, source.secrets, now)
        return Verified(key=fingerprint(request.body))

    def parse(self, delivery: Delivery, options: Any) -> Iterable[Item]:
        """Read a push, or a page by what was asked for."""
        if delivery.channel == "webhook":
            return [_pushed(delivery.body)]
        answer = _decoded(delivery.body, _Answer, "the page is no list of pebbles or days")
        if delivery.request.get("page") == "days":
            return [_day(raw, row, delivery) for row, raw in enumerate(answer.days, start=1)]
        read = (_pebble(raw, row, delivery) for row, raw in enumerate(answer.pebbles, start=1))
        return [item for items in read for item in items]

    def fetch(self, http: Http, task: Task, now: datetime) -> AsyncIterator[Page]:
        """Yield the pebbles of the window or those that are named, or the days of the pond."""
        match task.kind:
            case "pebbles" if task.subjects:
                return _named(http, task)
            case "pebbles":
                return _listed(http, task)
            case "pond_days":
                return _days(http, task, now)
        raise NotSupported("Pebble has no such kind of task")

    async def check(self, http: Http, source: Source) -> list[Finding]:
        """Ask for one pebble."""
        response = await http.get("v1/pebbles", {"limit": "1"})
        if response.status == HTTPStatus.OK:
            return [Finding(ok=True, text="Pebble knows the token")]
        return [Finding(ok=False, text=f"Pebble answers {response.status}: give it the right token")]


# ------------------------------------------------------------------------------------------------ fetching


async def _listed(http: Http, task: Task) -> AsyncIterator[Page]:
    since = {"since": task.start.date().isoformat()} if task.start else {}
    place = task.cursor.get("place", "0")
    for _ in range(_MOST_PAGES):
        response = await http.get("v1/pebbles", {"place": place, **since})
        following = _required(response).next
        yield _page(response, {"place": following or "end"}, last=following is None, page="pebbles", place=place)
        if following is None:
            return
        if int(following) <= int(place):
            break
        place = following
    raise ConnectorError("a listing does not lead on")


async def _named(http: Http, task: Task) -> AsyncIterator[Page]:
    ids = sorted({ref.external_id for ref in task.subjects if ref.type is SubjectType.POST})
    first = int(task.cursor.get("done", "0"))
    for at in range(first, len(ids), _BATCH):
        batch = ids[at : at + _BATCH]
        response = await http.get("v1/pebbles", {"ids": ",".join(batch)})
        _required(response)
        done = at + len(batch)
        yield _page(response, {"done": str(done)}, last=done == len(ids), page="pebbles", ids=",".join(batch))


async def _days(http: Http, task: Task, now: datetime) -> AsyncIterator[Page]:
    zone = ZoneInfo(ZONE)
    first = (task.start or now - timedelta(days=10)).astimezone(zone).date()
    last = min(task.end or now, now).astimezone(zone).date() - timedelta(days=1)
    window = {"from": first.isoformat(), "to": last.isoformat()}
    response = await http.get("v1/pond/days", window)
    _required(response)
    yield _page(response, {}, last=True, page="days", pond=task.source.account, **window)


def _required(response: Response) -> _Answer:
    if response.status == HTTPStatus.UNAUTHORIZED:
        raise NeedsReauth("Pebble refuses the token: make a new one")
    if response.status != HTTPStatus.OK:
        raise ConnectorError(f"Pebble answers {response.status}")
    return _decoded(response.body, _Answer, "Pebble answers with something that is no list")


def _page(response: Response, cursor: Mapping[str, str], *, last: bool, **request: str) -> Page:
    return Page(body=response.body, request=request, cursor=cursor, received_at=response.received_at, last=last)


# ------------------------------------------------------------------------------------------------ reading


Shape = TypeVar("Shape")


def _decoded(body: bytes | msgspec.Raw, shape: type[Shape], refusal: str) -> Shape:
    try:
        return msgspec.json.decode(body, type=shape)
    except (ValueError, RecursionError) as error:
        raise BadPayload(refusal) from error


def _pushed(body: bytes) -> Item:
    push = _decoded(body, _Push, "the push names no pebble")
    return RefreshHint(subject=SubjectRef(push.pebble), reason="pushed")


def _pebble(raw: msgspec.Raw, row: int, delivery: Delivery) -> Iterable[Item]:
    try:
        pebble = _decoded(raw, _Pebble, "")
    except BadPayload:
        return [Drop(reason=DropReason.MALFORMED, row=row, detail="a pebble")]
    if not _EARLIEST <= pebble.thrown_at <= delivery.received_at + _AHEAD:
        return [Drop(reason=DropReason.OUT_OF_RANGE, row=row, detail="thrown_at")]
    subject = SubjectRef(pebble.id)
    title = None if pebble.text is None else pebble.text.replace("\x00", "")
    seen = SubjectSeen(subject=subject, published_at=pebble.thrown_at.astimezone(UTC), title=title)
    told = {key: getattr(pebble, wire) for wire, key in _COUNTERS.items()}
    metrics = {key: value for key, value in told.items() if value is not None}
    if not metrics:
        return [seen, Drop(reason=DropReason.NO_NUMBERS, row=row)]
    return [seen, Observation(subject=subject, kind=Kind.LIFETIME, metrics=metrics)]


def _day(raw: msgspec.Raw, row: int, delivery: Delivery) -> Item:
    pond = delivery.request.get("pond", "")
    try:
        told = _decoded(raw, _Day, "")
        window = day_window(told.day, ZONE)
    except (BadPayload, OverflowError):
        return Drop(reason=DropReason.MALFORMED, row=row, detail="a day")
    if not pond or window.start < _EARLIEST or window.end > delivery.received_at:
        return Drop(reason=DropReason.OUT_OF_RANGE, row=row, detail="day")
    subject = SubjectRef(pond, SubjectType.PROFILE)
    return Observation(subject=subject, kind=Kind.PERIOD, window=window, metrics={"profile_views": told.pond_visits})


CONNECTOR = Pebble()
