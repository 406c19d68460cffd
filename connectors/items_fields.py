"""One JSON object of the item language, read field by field.

Each reader gives a checked value or raises :class:`~connectors.items_values.Refused`; the caller makes a drop of it,
for the item or for the field alone (:meth:`Fields.soft`). Every text is capped and free of control characters, which
the database holds none of. It knows fields, not what an item is: that is ``connectors.items``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import msgspec

from connectors.contract import Drop, DropReason, SubjectRef, SubjectType, Window, day_window
from connectors.items_schema import MAX_DAYS, MAX_HASHTAGS, MAX_LABEL, MAX_TEXT
from connectors.items_values import EARLIEST, Refused, amount, instant, is_currency, whole, zone_info

T = TypeVar("T")

_TYPES = tuple(SubjectType)
_DAY = timedelta(days=1)
_EARLIEST_DAY = EARLIEST.date()
_LAST = datetime.max.replace(tzinfo=UTC)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Frame(msgspec.Struct, frozen=True, kw_only=True):
    """What an item may lean on: the latest instant that it can mean, the time of its envelope, what its source says.

    ``zone`` is one that is known to be there.
    """

    latest: datetime
    timestamp: datetime | None = None
    currency: str | None = None
    zone: str = "UTC"


class Fields(msgspec.Struct, frozen=True):
    """The fields of one item, with the drops found on the way. ``row`` is where the item stood, from 1.

    ``get`` gives a value as decoded; None is *not said*.
    """

    get: Callable[[str], Any]
    frame: Frame
    row: int
    drops: list[Drop] = []

    def drop(self, reason: DropReason, detail: str) -> None:
        """Keep a drop of this item."""
        self.drops.append(Drop(reason=reason, row=self.row, detail=detail))

    def soft(self, reader: Callable[[str], T], name: str) -> T | None:
        """Return what ``reader`` gives for ``name``; a refusal costs the field, not the item. Not said is None."""
        if self.get(name) is None:
            return None
        try:
            return reader(name)
        except Refused as refused:
            self.drop(refused.reason, refused.detail)
            return None

    # texts

    def text(self, name: str) -> str | None:
        """Return free text; line breaks and other control characters become spaces."""
        value = self.get(name)
        return None if value is None else _CONTROL.sub(" ", _text(value, name, MAX_TEXT))

    def url(self, name: str) -> str | None:
        """Return a web address: it becomes a link, so no other scheme is taken."""
        value = self.label(name, MAX_TEXT)
        if value is not None and not value.startswith(("https://", "http://")):
            raise Refused(DropReason.MALFORMED, name)
        return value

    def label(self, name: str, cap: int = MAX_LABEL) -> str | None:
        """Return a short text that numbers are grouped by: nothing in it is changed."""
        value = self.get(name)
        if value is None:
            return None
        text = _text(value, name, cap)
        if not text.isprintable() and _CONTROL.search(text):
            raise Refused(DropReason.MALFORMED, name)
        return text

    def optional_id(self, name: str) -> str | None:
        """Return an id, which is text that is not empty."""
        value = self.label(name)
        if value == "":
            raise Refused(DropReason.MISSING_ID, name)
        return value

    def id(self, name: str) -> str:
        """Return an id that must be there."""
        value = self.label(name)
        if not value:
            raise Refused(DropReason.MISSING_ID, name)
        return value

    def choice(self, name: str, allowed: Sequence[T], default: T) -> T:
        """Return the one of ``allowed`` that is said."""
        value = self.get(name)
        if value is None:
            return default
        if value not in allowed:
            raise Refused(DropReason.UNKNOWN_TYPE, name)
        return allowed[allowed.index(value)]

    def hashtags(self, name: str) -> tuple[str, ...] | None:
        """Return hashtags in lower case without the sign; an empty list means that there are none."""
        value = self.get(name)
        if value is None:
            return None
        if not isinstance(value, list) or len(value) > MAX_HASHTAGS:
            raise Refused(DropReason.MALFORMED, name)
        tags = [tag.removeprefix("#").lower() for tag in value if isinstance(tag, str)]
        if len(tags) != len(value) or not all(0 < len(tag) <= MAX_LABEL and not _CONTROL.search(tag) for tag in tags):
            raise Refused(DropReason.MALFORMED, name)
        return tuple(dict.fromkeys(tags))

    # the subject

    def subject(self) -> SubjectRef:
        """Return the subject, which must be there."""
        return SubjectRef(self.id("subject"), self.choice("subject_type", _TYPES, SubjectType.POST))

    def optional_subject(self) -> SubjectRef | None:
        """Return the subject if one is named."""
        return None if self.get("subject") is None else self.subject()

    # numbers

    def flag(self, name: str) -> bool | None:
        """Return true, false or *not said*."""
        value = self.get(name)
        if value is not None and not isinstance(value, bool):
            raise Refused(DropReason.MALFORMED, name)
        return value

    def optional_count(self, name: str) -> int | None:
        """Return a count or *not said*."""
        value = self.get(name)
        return None if value is None else whole(value, name)

    def amount(self, name: str) -> int | None:
        """Return an amount in millionths that is not negative, or *not said*."""
        value = self.get(name)
        if value is None:
            return None
        number = amount(value, name)
        if number < 0:
            raise Refused(DropReason.OUT_OF_RANGE, name)
        return number

    def currency(self) -> str:
        """Return the currency of the item, else of its source."""
        value = self.get("currency")
        value = self.frame.currency if value is None else value
        if not isinstance(value, str) or not is_currency(value):
            raise Refused(DropReason.BAD_CURRENCY, "currency")
        return value

    # times

    def optional_instant(self, name: str) -> datetime | None:
        """Return an instant or *not said*."""
        value = self.get(name)
        return None if value is None else instant(value, name, self.frame.latest)

    def instant(self, name: str) -> datetime:
        """Return an instant that must be there."""
        value = self.optional_instant(name)
        if value is None:
            raise Refused(DropReason.MISSING_TIME, name)
        return value

    def observed_at(self) -> datetime | None:
        """Return when the item was read at its sender's: its own time, else the envelope's."""
        return self.optional_instant("observed_at") or self.frame.timestamp

    def window(self, *, required: bool) -> Window | None:
        """Return the window of ``day``, ``days`` and ``zone``, or of ``start`` and ``end``."""
        if self.get("day") is not None:
            return self._days()
        if self.get("start") is not None or self.get("end") is not None:
            return self._span()
        if required:
            raise Refused(DropReason.MISSING_TIME, "day")
        return None

    def _zone(self) -> str:
        value = self.get("zone")
        if value is None:
            return self.frame.zone
        if not isinstance(value, str) or zone_info(value) is None:
            raise Refused(DropReason.BAD_TIME, "zone")
        return value

    def _days(self) -> Window:
        value, days = self.get("day"), self.optional_count("days")
        if self.get("start") is not None or self.get("end") is not None:
            raise Refused(DropReason.CONFLICT, "day and start")
        try:
            day = msgspec.convert(value, date)
        except ValueError as error:
            raise Refused(DropReason.BAD_TIME, "day") from error
        if day < _EARLIEST_DAY:
            raise Refused(DropReason.BAD_TIME, "day")
        # A day far away has no instants in every zone: it is refused before it is placed in one.
        last = self.frame.latest.date()
        if day > last and day > last + _DAY:
            raise Refused(DropReason.FUTURE_TIME, "day")
        if days is not None and not 1 <= days <= MAX_DAYS:
            raise Refused(DropReason.OUT_OF_RANGE, "days")
        window = day_window(day, self._zone(), days or 1)
        if window.end <= window.start:  # a day that a zone left out when it crossed the date line
            raise Refused(DropReason.BAD_TIME, "day")
        if window.start > self.frame.latest:
            raise Refused(DropReason.FUTURE_TIME, "day")
        return window

    def _span(self) -> Window:
        start, zone = self.instant("start"), self._zone()
        if self.get("end") is None:
            raise Refused(DropReason.MISSING_TIME, "end")
        end = instant(self.get("end"), "end", _LAST)
        if end <= start:
            raise Refused(DropReason.BAD_TIME, "end")
        if end - start > timedelta(days=MAX_DAYS):
            raise Refused(DropReason.OUT_OF_RANGE, "end")
        return _as_days(start, end, zone) or Window(start=start, end=end, zone=zone)


def _text(value: object, name: str, cap: int) -> str:
    if not isinstance(value, str):
        raise Refused(DropReason.MALFORMED, name)
    if len(value) > cap:
        raise Refused(DropReason.OUT_OF_RANGE, name)
    return value


def _as_days(start: datetime, end: datetime, zone: str) -> Window | None:
    """Return the window of whole local days that two instants are, if they are: one window has one name."""
    tz = ZoneInfo(zone)
    first, last = start.astimezone(tz).date(), end.astimezone(tz).date()
    if last <= first:
        return None
    window = day_window(first, zone, (last - first).days)
    return window if (window.start, window.end) == (start, end) else None
