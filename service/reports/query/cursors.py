"""Where a page goes on: an opaque word that names the query, what it knew, and the last row that was shown.

A page is computed anew from the same knowledge, so what is posted meanwhile moves no row between pages.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from service.errors import Invalid
from service.reports.question import Asked

_LONGEST = 4000
_encode = msgspec.json.Encoder(order="sorted").encode


class Cursor(msgspec.Struct, frozen=True, array_like=True):
    """The query by its digest, the knowledge and the clock that it was first answered with, the last row."""

    digest: str
    as_of: datetime
    clock: datetime
    key: list[str | None]


def digest_of(written: Mapping[str, Any]) -> str:
    """Return the digest of a query without its page."""
    return hashlib.sha256(_encode({key: value for key, value in written.items() if key != "page"})).hexdigest()[:16]


def written(asked: Asked, digest: str, key: Sequence[str | None]) -> str:
    """Return the word for the page after a row."""
    at = asked.question.as_of or asked.knowledge.recorded_at
    cursor = Cursor(digest=digest, as_of=at, clock=asked.knowledge.clock, key=list(key))
    return base64.urlsafe_b64encode(_encode(cursor)).decode().rstrip("=")


def read(text: str, digest: str) -> Cursor:
    """Return what a word says. Raises :class:`Invalid` for no such word, and for one of another query."""
    try:
        raw = base64.b64decode(text[:_LONGEST] + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        cursor = msgspec.json.decode(raw, type=Cursor)
    except (ValueError, binascii.Error, msgspec.MsgspecError):
        raise Invalid("not the next of any page", pointer="?page/after", code="bad_cursor") from None
    if cursor.as_of.tzinfo is None or cursor.clock.tzinfo is None:
        raise Invalid("not the next of any page", pointer="?page/after", code="bad_cursor")
    if cursor.digest != digest:
        why = "this page belongs to another query: ask for it with what the first page was asked with"
        raise Invalid(why, pointer="?page/after", code="other_query")
    return cursor
