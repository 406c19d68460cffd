"""The words that API models share: strict inputs, complete outputs, texts, days, instants, money, pages.

Inputs refuse unknown fields and convert nothing; every field of an output is present, null where nothing is known.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from typing import Annotated, Any, Generic, TypeVar
from uuid import UUID

from fastapi import Query as RequestQuery
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema

from service import ids
from service.errors import Invalid, NotFound

T = TypeVar("T")
MOST = 200
"""Rows of one page at most."""
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_INSTANT = re.compile(r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d{1,6})?([Zz]|[+-]\d{2}:\d{2})")
_YEARS = range(1970, 2101)


def _nothing() -> None:
    return None


UNSET: Any = Field(default_factory=_nothing)
"""The default of a field of a change: left out, it is no part of :meth:`Input.changes`; null is refused."""


class Input(BaseModel):
    """What a caller sends: nothing unknown, nothing converted."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    def changes(self) -> dict[str, Any]:
        """Return the fields that were sent, by name."""
        return {name: getattr(self, name) for name in self.model_fields_set}


class Query(BaseModel):
    """Parameters of a query string: nothing unknown; texts become what they stand for."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Output(BaseModel):
    """What the service answers: every field, always."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _day(value: Any) -> Any:
    if isinstance(value, date):
        return value
    if not isinstance(value, str) or not _DAY.fullmatch(value):
        raise ValueError("a day is written YYYY-MM-DD")
    return _in_range(date.fromisoformat(value))


def _instant(value: Any) -> Any:
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str) or not _INSTANT.fullmatch(value):
        raise ValueError("an instant is RFC 3339 with an offset, as 2026-01-31T12:00:00Z")
    return _in_range(datetime.fromisoformat(value.upper())).astimezone(UTC)


Dated = TypeVar("Dated", date, datetime)


def _in_range(value: Dated) -> Dated:
    if value.year not in _YEARS:
        raise ValueError("the year is outside 1970 to 2100")
    return value


def shown_instant(value: datetime) -> str:
    """Return an instant as the API writes it: RFC 3339, UTC, ``Z``."""
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


Day = Annotated[date, BeforeValidator(_day), WithJsonSchema({"type": "string", "format": "date"})]
Instant = Annotated[
    datetime,
    BeforeValidator(_instant),
    PlainSerializer(shown_instant, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
# No control character: databases, logs and terminals take them badly, and no name needs them.
_LINE = r"^[^\x00-\x1f\x7f]*$"
_NAMED = r"^[^\x00-\x1f\x7f]*[^\x00-\x20\x7f][^\x00-\x1f\x7f]*$"
_PROSE = r"^[^\x00-\x08\x0b-\x1f\x7f]*$"
Name = Annotated[str, Field(min_length=1, max_length=200, pattern=_NAMED)]
Line = Annotated[str, Field(max_length=300, pattern=_LINE)]
Prose = Annotated[str, Field(max_length=4000, pattern=_PROSE)]
ExternalId = Annotated[str, Field(min_length=1, max_length=256, pattern=_NAMED)]
Slug = Annotated[str, Field(pattern=r"^[a-z0-9_]{1,40}$")]
Zone = Annotated[str, Field(max_length=64, pattern=_LINE, examples=["Europe/Berlin"])]
Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$", examples=["EUR"])]
Money = Annotated[str, Field(pattern=r"^[0-9]{1,12}(\.[0-9]{1,6})?$", examples=["1250.00"])]
"""An amount that is not negative, as a decimal string."""


E = TypeVar("E", bound=enum.Enum)
Word = Annotated[E, Field(strict=False)]
"""A word of a closed set: JSON has no enumerations, so the text is taken for the member."""

WorkspaceId = Annotated[str, Field(pattern="^wsp_[0-9a-f]{32}$")]
KeyId = Annotated[str, Field(pattern="^key_[0-9a-f]{32}$")]
StrategyId = Annotated[str, Field(pattern="^stg_[0-9a-f]{32}$")]
CampaignId = Annotated[str, Field(pattern="^cmp_[0-9a-f]{32}$")]
SourceId = Annotated[str, Field(pattern="^src_[0-9a-f]{32}$")]
SubjectId = Annotated[str, Field(pattern="^sub_[0-9a-f]{32}$")]
CreatorId = Annotated[str, Field(pattern="^crt_[0-9a-f]{32}$")]
DeliveryId = Annotated[str, Field(pattern="^dlv_[0-9a-f]{32}$")]


class Paging(Query):
    """A page in the order of ids, which is the order of creation."""

    limit: int = Field(50, ge=1, le=MOST, description="rows of this page at most")
    after: str | None = Field(None, max_length=100, description="`page.next` of the page before")


Paged = Annotated[Paging, RequestQuery()]
"""The type of the parameter of a list without filters."""


class PageInfo(Output):
    """Where the next page begins; null when this was the last."""

    next: str | None
    has_more: bool


class Page(Output, Generic[T]):
    """One page of a list."""

    data: list[T]
    page: PageInfo


def after_id(kind: str, paging: Paging) -> UUID | None:
    """Return the id that a page begins behind. Raises :class:`Invalid`."""
    if paging.after is None:
        return None
    return referred(kind, paging.after, "?after")


def referred(kind: str, text: str, pointer: str) -> UUID:
    """Return the UUID of an id that stands in a body or a query. Raises :class:`Invalid` with its pointer."""
    try:
        return ids.read(kind, text)
    except NotFound:
        raise Invalid(f"not the id of a {kind}", pointer=pointer, code="malformed_id") from None


def page_of(rows: Sequence[T], limit: int, kind: str, id_of: Callable[[T], UUID]) -> tuple[Sequence[T], PageInfo]:
    """Return the rows of a page and what follows it, of rows that were read with one more than ``limit``."""
    shown = rows[:limit]
    more = len(rows) > limit
    return shown, PageInfo(next=ids.show(kind, id_of(shown[-1])) if more else None, has_more=more)
