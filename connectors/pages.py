"""Pages of answers: how one is handed on by a fetch, and how it is read again by what its request says.

What a page is stands in its request (``page``, and what was asked for), never in its body: so a page reads the same for
ever. A fetch leaves nothing else behind. Readers are total: :class:`~connectors.contract.BadPayload` for a page that
cannot be read, a drop for an entry that cannot. What a page holds is its platform's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

import msgspec

from connectors.contract import (
    BadPayload,
    Delivery,
    Drop,
    DropReason,
    Item,
    Page,
    Response,
    SubjectRef,
    SubjectSeen,
    SubjectType,
    Window,
)

T = TypeVar("T")


# ------------------------------------------------------------------------------------------------ handing on


def page_of(response: Response, cursor: Mapping[str, str], *, last: bool, **request: str) -> Page:
    """Return a page whose request says all that reading it takes, empty texts left out; a last one leaves no cursor."""
    after = {} if last else said(cursor)
    return Page(body=response.body, request=said(request), cursor=after, received_at=response.received_at, last=last)


def said(texts: Mapping[str, str]) -> dict[str, str]:
    """Return what says something: cursors and requests hold no empty texts."""
    return {name: text for name, text in texts.items() if text}


def listed(texts: Mapping[str, str], name: str) -> tuple[str, ...]:
    """Return the names or ids that stand in one text of a request or a cursor, parted by commas."""
    return tuple(filter(None, texts.get(name, "").split(",")))


# ------------------------------------------------------------------------------------------------ reading by request

Reader = Callable[[Delivery], Iterator[Item]]


def read(delivery: Delivery, title: str, push: Reader, page: Reader) -> list[Item]:
    """Read a delivery of a platform that is pushed and fetched. Raises :class:`BadPayload`."""
    if delivery.channel == "webhook":
        return list(push(delivery))
    if delivery.channel == "fetch":
        return list(page(delivery))
    raise BadPayload(f"{title} is pushed or fetched, not uploaded")


def reader_of(delivery: Delivery, readers: Mapping[str, T]) -> T:
    """Return what reads this page. Raises :class:`BadPayload` where its request does not say which page it is."""
    reader = readers.get(delivery.request.get("page", ""))
    if reader is None:
        raise BadPayload("the request of the page does not say which page it is")
    return reader


def asked(delivery: Delivery, name: str) -> str:
    """Return what the page was asked for. Raises :class:`BadPayload` where its request does not say it."""
    value = delivery.request.get(name)
    if not value:
        raise BadPayload(f"the request of the page does not say its {name}")
    return value


def refused(delivery: Delivery) -> Iterator[Drop]:
    """Yield a drop for each number that was asked for and refused."""
    return (Drop(reason=DropReason.NOT_AVAILABLE, detail=name) for name in listed(delivery.request, "refused"))


def list_in(body: Mapping[str, Any], name: str, of: str = "page") -> list[Any]:
    """Return a list that a body must have. Raises :class:`BadPayload`."""
    found = body.get(name)
    if not isinstance(found, list):
        raise BadPayload(f"the {of} has no list named {name}")
    return found


# ------------------------------------------------------------------------------------------------ entries


class Entry(msgspec.Struct, frozen=True):
    """One entry of a list that has an id. ``row`` counts from 1, and is None for an entry that stands alone."""

    row: int | None
    id: str
    fields: dict[str, Any]


Identify = Callable[[Any], str | DropReason]


def entry_of(value: Any, row: int | None, identify: Identify, field: str = "id") -> Entry | Drop:
    """Return an entry by the id in one of its fields, or the drop of one without."""
    found = identify(value.get(field)) if isinstance(value, dict) else DropReason.MALFORMED
    return Drop(reason=found, row=row, detail=field) if isinstance(found, DropReason) else Entry(row, found, value)


def unread(value: object, row: int | None, field: str) -> Iterator[Drop]:
    """Yield a drop where a field that costs nothing else has only a reason why it is none."""
    if isinstance(value, DropReason):
        yield Drop(reason=value, row=row, detail=field)


class Days:
    """The days of a table: each stands in it once. ``field`` names what a row says its day in."""

    def __init__(self, field: str) -> None:
        self._field = field
        self._seen: set[Window] = set()

    def place(self, window: Window | DropReason, row: int) -> Window | Drop:
        """Return the day of a row, or the drop of one without or of one that was there before."""
        if isinstance(window, DropReason) or window in self._seen:
            reason = window if isinstance(window, DropReason) else DropReason.DUPLICATE_FIELD
            return Drop(reason=reason, row=row, detail=self._field)
        self._seen.add(window)
        return window


def removed(
    delivery: Delivery, wanted: Iterable[str], shown: Iterable[str] = (), kind: SubjectType = SubjectType.VIDEO
) -> Iterator[SubjectSeen]:
    """Yield that what was asked for by its id and was not shown is gone.

    Only a whole list tells by what it leaves out: an entry without a readable id may be any of the missing ones.
    """
    found = set(shown)
    for one in wanted:
        if one not in found:
            yield SubjectSeen(subject=SubjectRef(one, kind), removed_at=delivery.received_at)
