"""Reading single cells of an uploaded file: numbers, instants, texts.

Every reader returns the value, or None for *not reported*, or raises :class:`Refused` with the reason for a drop. It
knows nothing of rows, columns or files, and no refusal ever holds the text that was refused.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import Literal, Protocol
from zoneinfo import ZoneInfo

import msgspec

from connectors.contract import INT64_MAX, BadPayload, DropReason, micros

DateFormat = Literal["auto", "iso", "day.month", "day.month.year", "month/day/year"]

EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)
ID_MAX = 256
TEXT_MAX = 4096
_DIGITS_MAX = 64
_MICRO_PLACES = 6
_FAST_DIGITS = 18  # every number of so few digits fits in 64 bits
_TRUE = frozenset({"1", "true", "yes", "paid"})
_FALSE = frozenset({"0", "false", "no", "organic"})


class Refused(Exception):  # noqa: N818 - the name says what became of the cell
    """A cell that cannot be booked, with the reason of the drop and a detail without the value."""

    def __init__(self, reason: DropReason, detail: str = "") -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


# ------------------------------------------------------------------------------------------------ numbers


class Numbers(Protocol):
    """How the cells of one format say numbers."""

    def count(self, cell: object) -> int | None:
        """A whole number; -1, like an empty cell, is *not reported*."""
        ...

    def scaled(self, cell: object) -> int | None:
        """An exact amount in millionths; may be negative."""
        ...


class TextNumbers(msgspec.Struct, frozen=True, kw_only=True):
    """Numbers written as text with a decimal mark and an optional mark between groups of three digits."""

    decimal: str = "."
    thousands: str = ""

    def count(self, cell: object) -> int | None:
        if isinstance(cell, str) and cell.isdigit() and cell.isascii() and len(cell) <= _FAST_DIGITS:
            return int(cell)
        plain = self._plain(cell)
        return None if plain is None else _whole(plain)

    def scaled(self, cell: object) -> int | None:
        plain = self._plain(cell)
        return None if plain is None else _millionths(plain)

    def _plain(self, cell: object) -> str | None:
        """Return the number as ``[-]digits[.digits]``."""
        text = cell.strip() if isinstance(cell, str) else ""
        if not text:
            return None
        sign = "-" if text[0] == "-" else ""
        whole, mark, fraction = text.removeprefix("-").partition(self.decimal)
        whole = self._joined(whole)
        if not _is_digits(whole) or (mark and not _is_digits(fraction)):
            raise Refused(DropReason.BAD_NUMBER, "no number")
        return f"{sign}{whole}.{fraction}" if mark else sign + whole

    def _joined(self, whole: str) -> str:
        """Take the group marks out; a mark that does not stand between groups of three makes it no number."""
        if not self.thousands:
            return whole
        if self.thousands == " ":  # spreadsheets write the two no-break spaces
            whole = whole.replace("\u00a0", " ").replace("\u202f", " ")
        first, *groups = whole.split(self.thousands)
        if groups and not (0 < len(first) <= 3 and all(len(group) == 3 for group in groups)):  # noqa: PLR2004
            return ""
        return "".join([first, *groups])


class JsonNumbers(msgspec.Struct, frozen=True):
    """Numbers of a JSON document, read as ``int`` and :func:`exact` decimals. A number in quotes is none."""

    def count(self, cell: object) -> int | None:
        plain = _plain_json(cell)
        return None if plain is None else _whole(plain)

    def scaled(self, cell: object) -> int | None:
        plain = _plain_json(cell)
        return None if plain is None else _millionths(plain)


def exact(literal: str) -> Decimal:
    """Return a JSON number literal as a decimal; one beyond every exponent is NaN and refused later."""
    try:
        return Decimal(literal)
    except InvalidOperation:
        return Decimal("NaN")


def _plain_json(cell: object) -> str | None:
    if cell is None:
        return None
    if isinstance(cell, bool) or not isinstance(cell, int | Decimal):
        raise Refused(DropReason.BAD_NUMBER, "no number")
    if isinstance(cell, int):
        if abs(cell) > INT64_MAX:
            raise Refused(DropReason.OUT_OF_RANGE, "beyond 64 bits")
        return str(cell)
    if not cell.is_finite():
        raise Refused(DropReason.BAD_NUMBER, "no number")
    if cell and abs(cell.adjusted()) > _DIGITS_MAX:  # written out it would be as long as its exponent says
        raise Refused(DropReason.OUT_OF_RANGE, "an exponent beyond 64 bits")
    return format(cell, "f") if cell else "0"


def _whole(plain: str) -> int | None:
    whole, _, fraction = plain.partition(".")
    if fraction.strip("0"):
        raise Refused(DropReason.BAD_NUMBER, "not a whole number")
    if len(whole) > _DIGITS_MAX:
        raise Refused(DropReason.OUT_OF_RANGE, "beyond 64 bits")
    value = int(whole)
    if value == -1:
        return None
    if not 0 <= value <= INT64_MAX:
        raise Refused(DropReason.OUT_OF_RANGE, "negative or beyond 64 bits")
    return value


def _millionths(plain: str) -> int:
    whole, _, fraction = plain.partition(".")
    fraction = fraction.rstrip("0")
    if len(fraction) > _MICRO_PLACES:
        raise Refused(DropReason.BAD_NUMBER, "more than six decimals")
    if len(whole) > _DIGITS_MAX:
        raise Refused(DropReason.OUT_OF_RANGE, "beyond 64 bits")
    try:
        return micros(f"{whole}.{fraction}")
    except BadPayload:
        raise Refused(DropReason.OUT_OF_RANGE, "beyond 64 bits") from None


def _is_digits(text: str) -> bool:
    return text.isdigit() and text.isascii()


# ------------------------------------------------------------------------------------------------ instants


class Dates(msgspec.Struct, frozen=True, kw_only=True):
    """How a file says instants: the form of its dates, the year where they have none, the zone of local times."""

    form: DateFormat = "auto"
    year: int | None = None
    zone: ZoneInfo

    def instant(self, cell: object) -> datetime | None:
        """Return the instant in UTC: a bare date is its local midnight, a time without offset is local.

        Raises :class:`Refused` for what is no date of the form, does not exist, or lies before 1990.
        """
        if cell is None:
            return None
        if not isinstance(cell, str):
            raise Refused(DropReason.BAD_TIME, "no date of the form that was named")
        bare = cell.strip().upper()
        if not bare:
            return None
        day, _, clock = bare.partition("T" if "T" in bare.partition(" ")[0] else " ")
        try:
            local = datetime.combine(self._day(day), _clock(clock))
            moment = (local if local.tzinfo else local.replace(tzinfo=self.zone)).astimezone(UTC)
        except (ValueError, OverflowError):
            raise Refused(DropReason.BAD_TIME, "no date of the form that was named") from None
        if moment < EARLIEST:
            raise Refused(DropReason.BAD_TIME, "before 1990")
        return moment

    def _day(self, text: str) -> date:
        form = self._form_of(text) if self.form == "auto" else self.form
        if form == "iso":
            year, month, day = _parts(text, "-")
        elif form == "day.month.year":
            day, month, year = _parts(text, ".")
        elif form == "month/day/year":
            month, day, year = _parts(text, "/")
        else:
            day, month = _parts(text.removesuffix("."), ".")
            year = self.year or 0
        return date(year, month, day)

    def _form_of(self, text: str) -> DateFormat:
        """Guess the form. A date with strokes is never guessed: 3/4 is March in one country and April in another."""
        if "." not in text:
            return "iso"
        return "day.month" if self.year and text.removesuffix(".").count(".") == 1 else "day.month.year"


def _parts(text: str, mark: str) -> list[int]:
    parts = text.split(mark)
    if not all(_is_digits(part) and len(part) in {1, 2, 4} for part in parts):
        raise ValueError
    return [int(part) for part in parts]


def _clock(text: str) -> time:
    if not text:
        return time()
    if ":" not in text:
        raise ValueError
    return time.fromisoformat(text.replace(" UTC", "Z").replace(" +", "+").replace(" -", "-"))


# ------------------------------------------------------------------------------------------------ texts


def text(cell: object, longest: int = TEXT_MAX) -> str | None:
    """Return a text without surrounding blanks, or None for an empty one; a whole JSON number is taken as text."""
    if cell is None:
        return None
    if isinstance(cell, int) and not isinstance(cell, bool) and abs(cell) <= INT64_MAX:
        return str(cell)
    if not isinstance(cell, str):
        raise Refused(DropReason.MALFORMED, "no text")
    bare = cell.strip()
    if len(bare) > longest:
        raise Refused(DropReason.MALFORMED, f"longer than {longest} characters")
    if "\0" in bare:
        raise Refused(DropReason.MALFORMED, "a NUL character")
    return bare or None


def identifier(cell: object) -> str | None:
    """Return an external id. One in scientific notation is refused: the digits it stood for are gone."""
    bare = text(cell, ID_MAX)
    if bare is not None and "E+" in bare.upper():
        mantissa, _, exponent = bare.upper().partition("E+")
        if _is_digits(exponent) and _is_digits(mantissa.replace(".", "", 1).replace(",", "", 1)):
            raise Refused(DropReason.MALFORMED, "an id in scientific notation: a spreadsheet has cut its digits")
    return bare


def word(cell: object) -> str | None:
    """Return a text in lower case."""
    bare = text(cell)
    return None if bare is None else bare.lower()


def flag(cell: object) -> bool | None:
    """Return a yes or no: 1, true, yes, paid; 0, false, no, organic."""
    if isinstance(cell, bool):
        return cell
    bare = word(cell)
    if bare is None:
        return None
    if bare not in _TRUE | _FALSE:
        raise Refused(DropReason.MALFORMED, "neither yes nor no")
    return bare in _TRUE


def hashtags(cell: object, separator: str) -> tuple[str, ...] | None:
    """Return the distinct tags, in order and without hash signs. An empty cell says nothing, an empty list *none*."""
    if isinstance(cell, list):
        tags = [text(tag) for tag in cell]
    else:
        bare = text(cell)
        if bare is None:
            return None
        tags = [tag.strip() for tag in bare.split(separator)]
    return tuple(dict.fromkeys(bare for tag in tags if tag and (bare := tag.removeprefix("#"))))
