"""The connector contract: everything a connector says and hears, and nothing of the service behind it.

A connector is one file and one entry point in the group ``tallybook.connectors``. It reads platform bytes into
*items* and, where the platform is pulled, yields raw pages. It knows nothing of databases, campaigns or KPIs.
All values here are plain data: integers, strings, instants with a zone. Money, conversions and conversion values
are integers in millionths (:data:`MICRO`), watch time is in milliseconds, everything else is a plain count.
"""

from __future__ import annotations

import enum
import hashlib
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any, Protocol
from zoneinfo import ZoneInfo

import msgspec

MICRO = 1_000_000
INT64_MAX = 2**63 - 1


# ------------------------------------------------------------------------------------------------ metrics


class Unit(enum.StrEnum):
    """What one unit of a stored integer is."""

    COUNT = "count"
    ACCOUNTS = "accounts"
    MILLIONTHS = "millionths"
    MONEY = "money"  # millionths of the currency of the series
    MILLISECONDS = "milliseconds"


class Metric(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the dictionary of canonical metrics.

    ``additive`` metrics are summed over time, posts and platforms; ``level`` and ``unique`` ones never are.
    ``parts`` names the metrics a derived one is summed from; a derived metric is never stored.
    """

    key: str
    title: str
    unit: Unit = Unit.COUNT
    additive: bool = True
    parts: tuple[str, ...] = ()
    definition: str


def _metric(key: str, title: str, definition: str, **more: Any) -> Metric:
    return Metric(key=key, title=title, definition=definition, **more)


_ENTRIES = (
    _metric("impressions", "Impressions", "times the content was shown, by the platform's own rule"),
    _metric("views", "Views", "what the platform calls a view or a play; never mixed with impressions silently"),
    _metric("reach", "Reach", "distinct accounts in a stated scope and window", unit=Unit.ACCOUNTS, additive=False),
    _metric("clicks_all", "Clicks (all)", "any click on the post: expand, profile, link"),
    _metric("clicks_link", "Link clicks", "clicks that lead to the landing page"),
    _metric("likes", "Likes", "likes or reactions standing at the time of the reading; can fall"),
    _metric("comments", "Comments", "comments standing at the time of the reading; can fall"),
    _metric("shares", "Shares", "shares, reposts or retweets by the platform's own rule"),
    _metric("saves", "Saves", "saves or bookmarks"),
    _metric(
        "engagements",
        "Engagements",
        "likes, comments, shares and saves",
        parts=("likes", "comments", "shares", "saves"),
    ),
    _metric("engagements_platform", "Engagements (platform)", "the platform's own total of interactions"),
    _metric("video_views_3s", "Video views (3 s)", "plays of at least three seconds"),
    _metric("video_completions", "Video completions", "plays that reached the end"),
    _metric("watch_time", "Watch time", "total time watched", unit=Unit.MILLISECONDS),
    _metric("profile_views", "Profile views", "visits of the profile"),
    _metric("followers", "Followers", "accounts following at an instant", unit=Unit.ACCOUNTS, additive=False),
    _metric("followers_gained", "Followers gained", "new followers in a window"),
    _metric("followers_lost", "Followers lost", "followers lost in a window"),
    _metric("sessions", "Sessions", "visits of the brand's site"),
    _metric("conversions", "Conversions", "declared goal events, possibly fractional credit", unit=Unit.MILLIONTHS),
    _metric("conversion_value", "Conversion value", "value of the conversions, refunds negative", unit=Unit.MONEY),
    _metric("orders", "Orders", "orders placed"),
    _metric("refunds", "Refunds", "refunds made, each an event of its own"),
    _metric("spend_media", "Media spend", "paid media cost", unit=Unit.MONEY),
    _metric("fee_creator", "Creator fees", "contract cost of creators", unit=Unit.MONEY),
    _metric("cost_production", "Production cost", "cost of making the content", unit=Unit.MONEY),
    _metric(
        "cost",
        "Cost",
        "media spend, creator fees and production cost",
        unit=Unit.MONEY,
        parts=("spend_media", "fee_creator", "cost_production"),
    ),
    # New keys go to the end: the place of a key is its bit in confirmations.
    _metric(
        "conversions_platform",
        "Conversions (platform)",
        "conversions that an ad or analytics platform claims for itself; never added to conversions",
        unit=Unit.MILLIONTHS,
    ),
    _metric(
        "conversion_value_platform",
        "Conversion value (platform)",
        "value of the conversions that a platform claims; never added to conversion_value",
        unit=Unit.MONEY,
    ),
)

METRICS: Mapping[str, Metric] = {metric.key: metric for metric in _ENTRIES}
STORED: tuple[str, ...] = tuple(metric.key for metric in _ENTRIES if not metric.parts)
"""Keys that have a column in the ledger, in column order."""
ADDITIVE: tuple[str, ...] = tuple(key for key in STORED if METRICS[key].additive)
"""Stored keys that tallies sum."""
MONEY: frozenset[str] = frozenset(key for key in STORED if METRICS[key].unit is Unit.MONEY)


def micros(amount: str | Decimal | int) -> int:
    """Return an exact decimal amount in millionths.

    Raises :class:`BadPayload` for what is no finite number, has more than six decimals or does not fit in 64 bits.
    Floats are refused by the type on purpose: read JSON numbers as decimals.
    """
    try:
        scaled = Decimal(amount) * MICRO
        whole = int(scaled)
    except (ArithmeticError, ValueError) as error:
        message = "not an exact amount"
        raise BadPayload(message) from error
    if scaled != whole or abs(whole) > INT64_MAX:
        message = "an amount has at most six decimals and 64 bits"
        raise BadPayload(message)
    return whole


# ------------------------------------------------------------------------------------------------ items


class Kind(enum.StrEnum):
    """How a metric's number behaves in time."""

    LIFETIME = "lifetime"  # counter since publication
    LEVEL = "level"  # value at an instant
    PERIOD = "period"  # total for a stated window
    UNIQUE = "unique"  # distinct people in a scope and window: never added
    EVENT = "event"  # one occurrence with an id


class SubjectType(enum.StrEnum):
    """What a subject is."""

    POST = "post"
    REEL = "reel"
    STORY = "story"
    VIDEO = "video"
    AD = "ad"
    AD_SET = "ad_set"
    AD_CAMPAIGN = "ad_campaign"
    PROFILE = "profile"
    LINK = "link"
    SHOP = "shop"
    OTHER = "other"


class SubjectRef(msgspec.Struct, frozen=True):
    """The identity of a subject: the platform's own id, as text, and what it is. The platform is the source's."""

    external_id: str
    type: SubjectType = SubjectType.POST


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """A stated window ``[start, end)``. For whole local days ``day`` is the first day's date and ``days`` their number;
    ``zone`` is the IANA name of the zone whose days they are. A window shorter than a day has ``day`` None.
    """

    start: datetime
    end: datetime
    zone: str = "UTC"
    day: date | None = None
    days: int = 1


@lru_cache(maxsize=4096)
def day_window(day: date, zone: str, days: int = 1) -> Window:
    """Return the window of ``days`` local days from ``day`` on in ``zone`` (23 and 25 hour days included)."""
    tz = ZoneInfo(zone)
    start = datetime.combine(day, time(), tz)
    end = datetime.combine(day + timedelta(days=days), time(), tz)
    # In the zone that all other instants have: those of different zones are slow to compare.
    return Window(start=start.astimezone(UTC), end=end.astimezone(UTC), zone=zone, day=day, days=days)


class Quality(enum.StrEnum):
    """What the platform itself says against a number; kept with the entry and said in every answer that uses it."""

    ESTIMATED = "estimated"  # modelled or extrapolated by the platform
    SAMPLED = "sampled"  # counted on a part of the events
    THRESHOLDED = "thresholded"  # rows were withheld to protect people
    TRUNCATED = "truncated"  # rows beyond a limit were lumped together: "(other)"


class _Observed(msgspec.Struct, frozen=True, kw_only=True):
    """What an observation says beside its subject and its numbers."""

    kind: Kind
    observed_at: datetime | None = None
    window: Window | None = None
    scope: str = ""
    paid: bool | None = None
    currency: str | None = None
    goal: str = ""
    check: bool = False
    quality: tuple[Quality, ...] = ()


class Observation(_Observed, frozen=True, kw_only=True):
    """What a delivery says about one subject: one kind, one scope, one validity, several metrics.

    ``observed_at`` is the sender's own instant; None means the response time kept in the delivery (a *pushed* lifetime
    or level total without the sender's time is no observation: give a :class:`RefreshHint`).
    ``window`` is required for ``period`` and optional for ``unique``. ``scope`` separates series of the same metric
    ("" is the subject itself; for uniques name the audience). ``paid`` is True for paid delivery, False for organic,
    None where the platform does not say. ``currency`` (ISO 4217) is required when a metric is money.
    ``check`` marks numbers that are reconciled, never added (another grain, a total holding another subject's numbers).
    ``quality`` is what the platform says against these numbers.
    """

    subject: SubjectRef
    metrics: dict[str, int]


class Observations(_Observed, frozen=True, kw_only=True):
    """Observations that differ in their subject and their numbers alone: what a page of a report says of many subjects.

    ``subjects`` and ``metrics`` go side by side; everything else is as in :class:`Observation`, and the same for all.
    It means what :func:`singly` makes of it, and costs less to read and to book. Raises :class:`ValueError` where the
    two lists differ in length.
    """

    subjects: list[SubjectRef]
    metrics: list[dict[str, int]]

    def __post_init__(self) -> None:
        """Hold the two lists to one length."""
        if len(self.subjects) != len(self.metrics):
            raise ValueError("subjects and metrics go side by side")


class SubjectSeen(msgspec.Struct, frozen=True, kw_only=True):
    """Facts about a subject. None means *not said*, never *gone*; an empty tuple of hashtags means *none*.

    ``creator`` is the external id of the profile behind it on the same platform; ``followers_at_publish`` where the
    platform states it.
    """

    subject: SubjectRef
    observed_at: datetime | None = None
    published_at: datetime | None = None
    title: str | None = None
    url: str | None = None
    content_type: str | None = None
    hashtags: tuple[str, ...] | None = None
    creator: str | None = None
    followers_at_publish: int | None = None
    platform_campaign: str | None = None
    utm_campaign: str | None = None
    utm_source: str | None = None
    utm_medium: str | None = None
    promo_code: str | None = None
    parent: str | None = None
    paid: bool | None = None
    removed_at: datetime | None = None


class CreatorSeen(msgspec.Struct, frozen=True, kw_only=True):
    """A profile of a person: its external id on this platform and what is shown of it."""

    external_id: str
    observed_at: datetime | None = None
    handle: str | None = None
    name: str | None = None


class Touchpoint(msgspec.Struct, frozen=True, kw_only=True):
    """One click or view with an id. A click on a known subject is one ``clicks_link`` of it.

    ``click_id`` is the platform's own (``gclid:...``, ``fbclid:...``: name and value); ``customer`` is what names a
    person to the sender, and is kept as a keyed hash only.
    """

    id: str
    at: datetime
    kind: str = "click"  # click | view
    subject: SubjectRef | None = None
    click_id: str | None = None
    customer: str | None = None
    utm_campaign: str | None = None
    utm_source: str | None = None
    utm_medium: str | None = None
    utm_content: str | None = None
    promo_code: str | None = None
    platform_campaign: str | None = None
    observed_at: datetime | None = None


class Conversion(msgspec.Struct, frozen=True, kw_only=True):
    """One goal event with an id: a conversion, an order, or a refund (``refund_of`` names the order).

    ``value`` is in millionths of ``currency``; the value of a refund is given positive. ``test`` events are dropped.
    A cancelled order says so with ``cancelled``: its numbers are taken back. ``click_id`` and ``customer`` are as in
    :class:`Touchpoint`; ``first_order`` is True where the sender says that the customer is new, None where it does not
    say.
    """

    id: str
    at: datetime
    kind: str = "conversion"  # conversion | order | refund
    goal: str = ""
    value: int | None = None
    currency: str | None = None
    subject: SubjectRef | None = None
    click_id: str | None = None
    customer: str | None = None
    promo_code: str | None = None
    utm_campaign: str | None = None
    utm_source: str | None = None
    utm_medium: str | None = None
    utm_content: str | None = None
    platform_campaign: str | None = None
    refund_of: str | None = None
    first_order: bool | None = None
    cancelled: bool = False
    test: bool = False
    observed_at: datetime | None = None


class RefreshHint(msgspec.Struct, frozen=True, kw_only=True):
    """The platform says that something changed without saying the number: fetch this subject soon."""

    subject: SubjectRef
    reason: str = ""


class Withdrawal(msgspec.Struct, frozen=True, kw_only=True):
    """The source no longer stands by a window's value: a version with no value, not a zero."""

    subject: SubjectRef
    kind: Kind
    window: Window
    metrics: tuple[str, ...]
    observed_at: datetime | None = None
    scope: str = ""
    paid: bool | None = None
    currency: str | None = None
    goal: str = ""


class DropReason(enum.StrEnum):
    """Why a part of a delivery is not in the ledger. Closed: a new reason is a new line here."""

    MALFORMED = "malformed"
    MISSING_ID = "missing_id"
    MISSING_TIME = "missing_time"
    BAD_TIME = "bad_time"
    FUTURE_TIME = "future_time"
    BAD_NUMBER = "bad_number"
    BAD_CURRENCY = "bad_currency"
    UNKNOWN_TYPE = "unknown_type"
    UNKNOWN_METRIC = "unknown_metric"
    NOT_AVAILABLE = "not_available"
    NOT_MAPPED = "not_mapped"
    TEST_EVENT = "test_event"
    DUPLICATE_FIELD = "duplicate_field"
    OUT_OF_RANGE = "out_of_range"
    NO_NUMBERS = "no_numbers"
    CONFLICT = "conflict"


class Drop(msgspec.Struct, frozen=True, kw_only=True):
    """A part that was read and not booked: where it stood (``row`` counts from 1) and a short detail without values."""

    reason: DropReason
    row: int | None = None
    detail: str = ""


Single = Observation | SubjectSeen | CreatorSeen | Touchpoint | Conversion | RefreshHint | Withdrawal | Drop
Item = Single | Observations


def singly(items: Iterable[Item]) -> Iterator[Single]:
    """Yield items with each :class:`Observations` as the observations that it stands for."""
    for item in items:
        if not isinstance(item, Observations):
            yield item
            continue
        alike = {name: getattr(item, name) for name in _Observed.__struct_fields__}
        for subject, metrics in zip(item.subjects, item.metrics, strict=True):
            yield Observation(subject=subject, metrics=metrics, **alike)


# ------------------------------------------------------------------------------------------------ deliveries


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One raw body exactly as received.

    ``channel`` is webhook, fetch or upload. ``request`` describes what was asked for (never a secret): for a fetched
    page the task kind, the subject and the window; for an upload the file name. ``received_at`` is the response time.
    """

    channel: str
    body: bytes
    received_at: datetime
    headers: Mapping[str, str] = {}
    request: Mapping[str, str] = {}


class WebhookRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request to a webhook address. Header names are lower case; ``query`` holds single values."""

    method: str
    headers: Mapping[str, str]
    query: Mapping[str, str]
    body: bytes = b""


class Secret(msgspec.Struct, frozen=True, kw_only=True):
    """One key of a source's ring with the time it is valid until (None: no end). Its repr hides the value."""

    value: str
    valid_until: datetime | None = None

    def __repr__(self) -> str:
        """Hide the value."""
        return "Secret(***)"


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """What a connector may know of the source it works for. Its repr hides what is secret.

    ``credentials`` are the decrypted values by name (``access_token``, ``verify_token``, ...); ``secrets`` the ring of
    webhook keys. ``options`` is an instance of the connector's options struct. ``webhook_url`` is the public address
    that its platform may push to, "" where the service knows none; it is a secret too.
    """

    id: str
    platform: str
    account: str
    options: Any
    credentials: Mapping[str, str] = {}
    secrets: tuple[Secret, ...] = ()
    webhook_url: str = ""

    def __repr__(self) -> str:
        """Hide credentials and keys."""
        return f"Source(id={self.id!r}, platform={self.platform!r}, account={self.account!r})"


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """A request that is authentic. ``key`` is the idempotency key of the delivery within its source (any text)."""

    key: str


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """An HTTP answer to a platform."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = {}


class Outcome(enum.StrEnum):
    """What became of a webhook request, for :meth:`Connector.reply`."""

    STORED = "stored"
    DUPLICATE = "duplicate"
    BAD_SIGNATURE = "bad_signature"


def fingerprint(*parts: bytes | str) -> str:
    """Return a hex SHA-256 over length-prefixed parts: an idempotency key for senders that give none."""
    digest = hashlib.sha256()
    for part in parts:
        raw = part.encode() if isinstance(part, str) else part
        digest.update(len(raw).to_bytes(8, "big"))
        digest.update(raw)
    return digest.hexdigest()


# ------------------------------------------------------------------------------------------------ fetching


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """One unit of pulling: ``kind`` as the connector declares it, the subjects that are due (empty: all), the window
    of interest and the cursor of the last landed page (empty: from the start).
    """

    kind: str
    source: Source
    subjects: tuple[SubjectRef, ...] = ()
    start: datetime | None = None
    end: datetime | None = None
    cursor: Mapping[str, str] = {}


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """One fetched body, the description of its request (kept with the delivery; no secret in it), the cursor *after*
    it and the response time. ``last`` says that the task is complete with this page.
    """

    body: bytes
    request: Mapping[str, str]
    cursor: Mapping[str, str]
    received_at: datetime
    last: bool = False


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """An HTTP answer from a platform: at most the size cap, decompressed, with the instant it was complete."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    received_at: datetime


class Http(Protocol):
    """The client a connector is handed: it knows base address, authentication, retry, rate budget and caps.

    ``headers`` are those that the platform wants beside authentication (a version, a content type): constants of the
    connector, never a secret.
    """

    async def get(
        self, path: str, params: Mapping[str, str] | None = None, *, headers: Mapping[str, str] | None = None
    ) -> Response:
        """GET ``path`` (relative to the base address) and return the answer, 4xx included.

        Raises :class:`TryLater` when the platform throttles or stays unreachable after the bounded retries.
        """
        ...

    async def post(
        self,
        path: str,
        params: Mapping[str, str] | None = None,
        body: bytes = b"",
        *,
        headers: Mapping[str, str] | None = None,
        reads: bool = False,
    ) -> Response:
        """POST likewise; not retried unless the connection was refused, or ``reads`` says that it changes nothing."""
        ...

    async def put(
        self,
        path: str,
        params: Mapping[str, str] | None = None,
        body: bytes = b"",
        *,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """PUT likewise; retried, for the same PUT twice is one."""
        ...

    def at(self, host: str) -> Http:
        """Return the client of another host of the same platform, one of :attr:`Connector.hosts` by name.

        A host of :attr:`Connector.open_hosts` is not given the source's token.
        """
        ...


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One line of ``tallybook check``: ok or not, and in plain words what is missing."""

    ok: bool
    text: str


# ------------------------------------------------------------------------------------------------ errors


class ConnectorError(Exception):
    """Something a connector says went wrong; the message never holds a secret or a body."""


class BadPayload(ConnectorError):  # noqa: N818 - the name is part of the contract
    """The delivery as a whole cannot be read. A single bad part is a :class:`Drop` instead."""


class SignatureInvalid(ConnectorError):  # noqa: N818 - the name is part of the contract
    """The request is not authentic."""


class TryLater(ConnectorError):  # noqa: N818 - reads as an instruction
    """The platform throttles or is down: wait ``seconds`` (None: the caller's backoff decides).

    ``response`` is the last answer, where there was one, for a connector to read; it is never logged or stored.
    """

    def __init__(self, message: str, seconds: float | None = None, response: Response | None = None) -> None:
        """Keep the wait the platform asked for, and what it answered."""
        super().__init__(message)
        self.seconds = seconds
        self.response = response


class Unreachable(TryLater):
    """The platform did not answer, or only with faults of its own. ``sent`` says that it may have seen the request."""

    def __init__(
        self, message: str, seconds: float | None = None, response: Response | None = None, *, sent: bool = True
    ) -> None:
        """Keep whether asking again could do something twice."""
        super().__init__(message, seconds, response)
        self.sent = sent


class NeedsReauth(ConnectorError):  # noqa: N818 - reads as a state
    """The credentials are dead: a person must connect the account again."""


class NotPermitted(ConnectorError):  # noqa: N818 - reads as a state
    """The credentials are alive but lack a permission; the message names it."""


class NotSupported(ConnectorError):  # noqa: N818 - reads as a state
    """The connector does not do this."""


# ------------------------------------------------------------------------------------------------ connector


class AuthKind(enum.StrEnum):
    """How the platform authenticates a source."""

    NONE = "none"
    TOKEN = "token"  # noqa: S105 - the name of a scheme
    OAUTH2 = "oauth2"


class TokenCall(msgspec.Struct, frozen=True, kw_only=True):
    """One call to a token endpoint, as data. The platforms differ in names, not in what is said.

    ``grant`` is the value of ``grant_type`` (empty: the platform has none); ``sends`` names the parameter that carries
    the code or the token;
    ``method`` is ``form`` (POST, urlencoded), ``json`` (POST) or ``query`` (GET). The client's id and secret travel in
    the call under ``client_id`` and ``client_secret`` (an empty name leaves one out), or as HTTP Basic where ``basic``.
    ``answer`` is the path of keys to the object that holds the tokens.
    """

    url: str
    grant: str
    sends: str
    method: str = "form"
    client_id: str = "client_id"
    client_secret: str = "client_secret"  # noqa: S105 - the name of a parameter
    basic: bool = False
    answer: tuple[str, ...] = ()


class OAuth2(msgspec.Struct, frozen=True, kw_only=True):
    """The authorization code flow of a platform (RFC 6749), as data.

    The service adds ``response_type=code``, the state and the redirect address to ``parameters``. ``exchange`` trades
    the first token for one that lives long, where the platform has that; ``refresh`` renews it (None: a person must
    connect again). A refresh that sends ``refresh_token`` carries the refresh token; any other carries the access token
    itself, and its refusal is no end while the token lives. ``rotates`` says that a refresh token dies with its use.
    ``lifetime`` is how long an access token lives where the answer does not say; ``refresh_lifetime`` likewise (None:
    it does not end). ``refresh_before`` is how long before its end a token is renewed.

    ``key`` is of accounts of machines: it names the credential that holds the JSON of a key, and what ``refresh`` sends
    is a statement for ``scopes`` that it signs (RFC 7523). Then nobody logs in: ``authorize_url`` is empty.
    """

    authorize_url: str
    code: TokenCall
    exchange: TokenCall | None = None
    refresh: TokenCall | None = None
    client_id: str = "client_id"
    scope_separator: str = " "
    parameters: Mapping[str, str] = {}
    pkce: bool = False
    rotates: bool = False
    lifetime: timedelta | None = None
    refresh_lifetime: timedelta | None = None
    refresh_before: timedelta = timedelta(minutes=10)
    key: str = ""


class Auth(msgspec.Struct, frozen=True, kw_only=True):
    """Authentication as data. ``credentials`` names what a source must be given and what it is for.

    The credential ``token`` travels in the header ``header`` behind the word ``scheme`` ("" for none). ``oauth2`` is
    how a person connects an account; a token in hand does as well.
    """

    kind: AuthKind = AuthKind.NONE
    credentials: Mapping[str, str] = {}
    scopes: tuple[str, ...] = ()
    token: str = "access_token"  # noqa: S105 - the name of a credential
    header: str = "authorization"
    scheme: str = "Bearer"
    oauth2: OAuth2 | None = None


class MetricMapping(msgspec.Struct, frozen=True, kw_only=True):
    """One wire metric and what it becomes. ``metric`` None means *not mapped*, with the reason in ``note``.

    ``quality`` is what the platform may say against it. Answers look for marks only where they are declared.
    """

    wire: str
    metric: str | None
    kind: Kind | None = None
    subject_types: tuple[SubjectType, ...] = ()
    counting: bool = True
    mapping: str = ""  # id of a named mapping rule, for example meta_views@1
    note: str = ""
    quality: tuple[Quality, ...] = ()


class FetchKind(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of pull task: how often it is due and how far back it reads again (zero: its tasks have no window).

    ``subjects`` says that a task may name single subjects: then those that are hinted at, and those whose numbers move,
    are fetched between the regular tasks. ``batch`` of them are asked for together, in ``calls`` calls. ``sweep`` is
    how often a task still names none once the subjects are known (zero: as often as ``every``): set it where another
    kind of task finds what is new.
    """

    name: str
    every: timedelta
    look_back: timedelta = timedelta(0)
    subjects: bool = False
    batch: int = 1
    calls: int = 1
    sweep: timedelta = timedelta(0)


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """How much of a rate limit is used, as the platform said in an answer.

    ``bucket`` names the limit within the platform (an endpoint, a business id). Exactly what was said is given:
    ``used`` is a share from 0 to 1, ``remaining`` calls or points that are left of ``limit``, ``reset`` seconds until
    it begins anew. ``wait`` seconds are asked for before the next call.
    """

    bucket: str
    used: float | None = None
    remaining: float | None = None
    limit: float | None = None
    reset: float | None = None
    wait: float | None = None


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """A rate limit as documented: ``calls`` per ``window``, for the whole app or for each account.

    A call that draws on a budget of its account draws one call on every budget of the app as well.
    """

    bucket: str
    calls: int
    window: timedelta
    per: str = "account"  # account | app


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What the connector can do, as data; the capability list of the service is made of it.

    ``settle`` is how long numbers may still be restated; ``lag`` how late the platform publishes; ``day_zone`` whose
    days its daily numbers are ("" where it has none, "account" where each account has its own).
    """

    webhook: bool = False
    fetch: tuple[FetchKind, ...] = ()
    upload: bool = False
    settle: timedelta = timedelta(0)
    lag: timedelta = timedelta(0)
    day_zone: str = ""
    simulated: bool = False
    max_body: int = 4 * 1024 * 1024
    rate_limit: str = ""
    budgets: tuple[Budget, ...] = ()
    lease: timedelta | None = None
    """How long a subscription lasts; the service renews it in time. None: it does not end by itself."""
    signature_headers: tuple[str, ...] = ()
    """Headers, in lower case, that a webhook is verified with; they are kept with the delivery, others are not."""


class Connector:
    """What the service calls. Subclass it, set the class attributes, override what the platform has.

    ``options`` is a frozen msgspec struct with defaults; ``parse`` must be pure and total: the same delivery and
    options give the same items for ever, and only :class:`BadPayload` may leave it.
    """

    name: str
    title: str
    version: str
    platform: str | None = None
    """The platform of its subjects; None: each source names its own."""
    options: type[msgspec.Struct]
    auth: Auth = Auth()
    capabilities: Capabilities = Capabilities()
    metrics: Sequence[MetricMapping] = ()
    base_url: str = ""
    hosts: Mapping[str, str] = {}
    """Further hosts of the platform by name, for :meth:`Http.at`; constants like the base address."""
    open_hosts: frozenset[str] = frozenset()
    """Those of :attr:`hosts` that are somebody else's and must not see the source's token."""
    attempts: int = 4
    """How often one request is tried before the task waits."""

    def check_options(self, options: Any) -> list[str]:
        """Return what is wrong with options that have the right form, in plain words; nothing if they are fine."""
        _ = options
        return []

    def address(self, options: Any) -> str:
        """Return the base address of a source's platform: one of the connector's own constants."""
        _ = options
        return self.base_url

    def auth_for(self, options: Any) -> Auth:
        """Return how a source with these options authenticates; by default all do alike."""
        _ = options
        return self.auth

    def hears(self, response: Response) -> bool:
        """Tell whether an answer with an overload's status (429, 5xx) is one that the connector reads itself.

        False: it is waited out and asked again. Raises nothing.
        """
        _ = response
        return False

    def cost(self, method: str, path: str) -> tuple[str, float]:
        """Return which budget a request draws on (:attr:`Budget.bucket`, "" for none) and how much it takes."""
        _ = method, path
        budgets = self.capabilities.budgets
        return (budgets[0].bucket if budgets else "", 1.0)

    def usage(self, response: Response) -> Sequence[Usage]:
        """Return what an answer says of the platform's rate limits. Raises nothing."""
        _ = response
        return ()

    def schema(self) -> dict[str, Any] | None:
        """Return the JSON Schema (2020-12) of the bodies it reads, where senders are to be told."""
        return None

    def handshake(self, request: WebhookRequest, source: Source) -> Reply | None:
        """Answer a subscription challenge, or None when the request is none (then a GET is 404)."""
        _ = request, source
        return None

    def verify(self, request: WebhookRequest, source: Source, now: datetime) -> Verified:
        """Check the signature over the raw bytes. Raises :class:`SignatureInvalid`."""
        _ = request, source, now
        message = f"{self.name} takes no webhooks"
        raise SignatureInvalid(message)

    def reply(self, outcome: Outcome) -> Reply:
        """Say what this platform wants to hear; 401 for a wrong signature unless its contract differs."""
        if outcome is Outcome.BAD_SIGNATURE:
            return Reply(status=401)
        return Reply(status=200)

    def parse(self, delivery: Delivery, options: Any) -> Iterable[Item]:
        """Read a delivery into items. Raises :class:`BadPayload` only."""
        raise NotImplementedError

    def fetch(self, http: Http, task: Task, now: datetime) -> AsyncIterator[Page]:
        """Yield raw pages in order, each with the cursor after it. Raises the errors of this module."""
        _ = http, task, now
        message = f"{self.name} is not fetched"
        raise NotSupported(message)

    async def check(self, http: Http, source: Source) -> list[Finding]:
        """Prove credentials, permissions and subscription; one finding per fact."""
        _ = http, source
        return [Finding(ok=True, text="nothing to prove: no credentials are used")]

    async def subscribe(self, http: Http, source: Source, now: datetime) -> None:
        """Ask the platform to push. Raises :class:`NotSupported` where there is nothing to ask."""
        _ = http, source, now
        message = f"{self.name} needs no subscription"
        raise NotSupported(message)

    async def renew(self, http: Http, source: Source, now: datetime) -> None:
        """Renew a subscription lease; the same rules."""
        await self.subscribe(http, source, now)
