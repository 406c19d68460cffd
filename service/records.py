"""The domain's records: what flows between packages. Frozen, keyword-only, without behaviour.

Ids are UUIDs here and prefixed text at the API. Instants are aware UTC. Money is in millionths of ``currency``.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from datetime import date, datetime
from functools import lru_cache
from types import MappingProxyType
from typing import Any
from uuid import UUID

import msgspec


class Workspace(msgspec.Struct, frozen=True, kw_only=True):
    """A tenant. ``zone`` and ``currency`` are the defaults of its campaigns."""

    workspace_id: UUID
    name: str
    zone: str
    currency: str
    created_at: datetime


class Strategy(msgspec.Struct, frozen=True, kw_only=True):
    """The long umbrella over campaigns; ``objectives`` are plain sentences."""

    strategy_id: UUID
    name: str
    description: str
    objectives: tuple[str, ...]
    starts: date | None
    ends: date | None
    created_at: datetime
    updated_at: datetime


class CampaignKind(enum.StrEnum):
    """How a campaign is judged."""

    BROAD = "broad"
    MICRO = "micro"


class Rule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """One way for a subject to count: every stated condition must hold; a campaign's rules are alternatives.

    ``hashtag`` is without ``#``, compared without case, as is ``promo_code``; UTM values are compared as written.
    ``click_id`` names the parameter of a click id (*gclid*) that a visit came with. ``subjects`` lists subject ids.
    ``creator`` matches the posts of the creator's profiles and the profiles themselves. ``in_flight`` asks for a
    publication inside the flight.
    """

    source: UUID | None = None
    platform: str | None = None
    platform_campaign: str | None = None
    hashtag: str | None = None
    creator: UUID | None = None
    utm_campaign: str | None = None
    utm_source: str | None = None
    utm_medium: str | None = None
    promo_code: str | None = None
    click_id: str | None = None
    subjects: tuple[UUID, ...] | None = None
    in_flight: bool = False


class Goal(msgspec.Struct, frozen=True, kw_only=True):
    """A target for one KPI over the flight; ``target`` is a decimal string."""

    metric: str
    target: str


class CampaignVersion(msgspec.Struct, frozen=True, kw_only=True):
    """What may change of a campaign; every change is a new version, dated by its posting. Dates are inclusive.

    ``click_days`` and ``view_days`` are how long a click or a view may lead to a conversion; None is the default.
    """

    name: str
    kind: CampaignKind
    starts: date
    ends: date
    budget: int | None = None
    margin: int | None = None
    click_days: int | None = None
    view_days: int | None = None
    goals: tuple[Goal, ...] = ()
    tactics: tuple[str, ...] = ()
    rules: tuple[Rule, ...] = ()
    archived: bool = False


class Campaign(msgspec.Struct, frozen=True, kw_only=True):
    """A flight. ``zone`` and ``currency`` never change: its tallies are kept in them."""

    campaign_id: UUID
    strategy_id: UUID | None
    zone: str
    currency: str
    created_at: datetime
    version: int
    current: CampaignVersion


class Verdict(enum.StrEnum):
    """What a person says of a fall: the counter began anew, or its platform took back what it had counted."""

    RESET = "reset"
    CORRECTION = "correction"


class Settled(msgspec.Struct, frozen=True, kw_only=True):
    """A verdict in the books: the values before and after the step to ``at``, and the posting that holds it."""

    subject_id: UUID
    metric: str
    at: datetime
    verdict: Verdict
    old: int
    new: int
    posting: int


class SourceState(enum.StrEnum):
    """Whether a source is fetched and listened to."""

    ACTIVE = "active"
    PAUSED = "paused"
    NEEDS_REAUTH = "needs_reauth"


OWN_ACCOUNT = "tallybook:fees"
"""The account of what a workspace books itself, a source per platform. It says nothing that a platform says."""


class SourceRow(msgspec.Struct, frozen=True, kw_only=True):
    """One connected account of one platform. ``counts`` is false while another source is of record for the account."""

    workspace_id: UUID
    source_id: UUID
    connector: str
    platform: str
    account: str
    name: str
    options: Mapping[str, Any]
    credentials: bytes | None
    secrets: bytes | None
    counts: bool
    tracks_from: datetime
    state: SourceState
    state_detail: str
    created_at: datetime
    updated_at: datetime
    address: bytes | None = None

    @property
    def is_own(self) -> bool:
        """Tell whether people of the workspace say what it says."""
        return self.account == OWN_ACCOUNT

    def __repr__(self) -> str:
        """Leave sealed values and options out of every log and traceback."""
        return f"SourceRow({self.source_id}, {self.connector!r})"


class Creator(msgspec.Struct, frozen=True, kw_only=True):
    """A person behind profiles; ``profiles`` are pairs of platform and external id."""

    creator_id: UUID
    name: str
    notes: str
    profiles: tuple[tuple[str, str], ...]
    created_at: datetime
    updated_at: datetime


class ClaimedDelivery(msgspec.Struct, frozen=True, kw_only=True):
    """A raw delivery with what is needed to read it again: the connector and the options stored with it."""

    delivery_id: UUID
    received_at: datetime
    channel: str
    connector: str
    options: Mapping[str, Any]
    headers: Mapping[str, str]
    request: Mapping[str, str]
    body: bytes
    attempt: int = 1

    def __repr__(self) -> str:
        """Leave the body and the headers out of every log and traceback."""
        return f"ClaimedDelivery({self.delivery_id})"


def delivery_of(row: Mapping[str, Any], attempt: int = 1) -> ClaimedDelivery:
    """Return the delivery of a row whose JSON columns are texts."""
    return ClaimedDelivery(
        delivery_id=row["delivery_id"],
        received_at=row["received_at"],
        channel=row["channel"],
        connector=row["connector"],
        options=_shared(row["options"]),
        headers=msgspec.json.decode(row["headers"]),
        request=_shared(row["request"]),
        body=row["body"],
        attempt=attempt,
    )


@lru_cache(maxsize=1024)
def _shared(text: str) -> Mapping[str, Any]:
    """Return what many deliveries say alike, decoded once: read, never changed."""
    found: dict[str, Any] = msgspec.json.decode(text)
    return MappingProxyType(found)


class Fate(enum.StrEnum):
    """What became of a delivery."""

    POSTED = "posted"  # read and in the books, possibly with drops
    DEAD = "dead"  # kept, not readable or failed too often; can be replayed


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """The result of one delivery: counts of items and entries, the drops as data, the error of a dead letter."""

    delivery_id: UUID
    received_at: datetime
    fate: Fate
    connector_version: str
    items: int = 0
    entries: int = 0
    drops: tuple[Mapping[str, Any], ...] = ()
    error: str = ""
    posting: int | None = None
