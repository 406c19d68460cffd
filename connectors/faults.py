"""Errors of platforms, classed by what they ask for: wait, connect again, give a permission, ask otherwise, give up.

How a platform says an error is its own; what follows from the class is the same everywhere, and so are the words of it.
Texts of errors are read for classing only and never passed on: they may hold markup, ids and names.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Collection, Mapping, Sequence
from http import HTTPStatus
from typing import Any

import msgspec

from connectors import values
from connectors.contract import BadPayload, ConnectorError, NeedsReauth, NotPermitted, Response, TryLater

_WORD = re.compile(r"[A-Za-z0-9_]+")


class Refusal(enum.StrEnum):
    """What an error asks for. A platform has some of them; one with further ones has an enumeration of its own."""

    QUOTA = "quota"  # until the quota of a whole project begins anew
    THROTTLED = "throttled"
    TEMPORARY = "temporary"
    DEAD_TOKEN = "dead_token"  # noqa: S105 - a class of errors
    PERMISSION = "permission"
    SWITCHED_OFF = "switched_off"  # the API is not enabled for the app
    GONE = "gone"  # what was asked for does not exist, or this token does not see it
    STALE_PAGE = "stale_page"  # a page token that is no longer known: the listing begins anew
    BAD_REQUEST = "bad_request"


STATUSES: Mapping[int, Refusal] = {
    HTTPStatus.UNAUTHORIZED: Refusal.DEAD_TOKEN,
    HTTPStatus.FORBIDDEN: Refusal.PERMISSION,
    HTTPStatus.NOT_FOUND: Refusal.GONE,
    HTTPStatus.TOO_MANY_REQUESTS: Refusal.THROTTLED,
}
"""What a status alone says."""


def by_status(status: int) -> Refusal:
    """Return what a status alone asks for."""
    is_theirs = status >= HTTPStatus.INTERNAL_SERVER_ERROR
    return Refusal.TEMPORARY if is_theirs else STATUSES.get(status, Refusal.BAD_REQUEST)


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """An error, classed by a :class:`Refusal` or by a platform's own.

    ``label`` is what people look it up by; ``told`` its text, for classing only.
    """

    refusal: enum.StrEnum
    label: str
    told: str = ""

    def __repr__(self) -> str:
        """Leave out what the platform told."""
        return f"{type(self).__name__}({self.refusal}, {self.label})"


def body_of(response: Response, title: str) -> dict[str, Any]:
    """Return the object of an answer; of an error that is no JSON an empty one.

    Raises :class:`TryLater` for a success that is none: a body cut short comes whole the next time.
    """
    try:
        return values.document(response.body)
    except BadPayload:
        if response.status == HTTPStatus.OK:
            raise TryLater(f"{title} answered with something that is not JSON") from None
        return {}


def raise_refusal(
    refusal: str, who: str, label: str, needs: str, *, wait: float | None = None, owner: str = "account"
) -> None:
    """Raise what an error means for the whole of a task.

    ``who`` is the platform in the words of its errors, ``needs`` names the permission that the call takes, ``owner`` is
    what a person connects again.
    """
    match refusal:
        case Refusal.THROTTLED:
            raise TryLater(f"{who} throttles ({label})", wait)
        case Refusal.TEMPORARY:
            raise TryLater(f"{who} has a temporary fault ({label})")
        case Refusal.DEAD_TOKEN:
            raise NeedsReauth(f"the access token is no longer valid ({label}): connect the {owner} again")
        case Refusal.PERMISSION:
            raise NotPermitted(f"the token lacks a permission: {needs or 'unknown'} ({label})")
    raise ConnectorError(f"{who} refuses a request: {refusal} ({label})")


# ------------------------------------------------------------------------------------------------ asking for less


def named_in(told: str, asked: Sequence[str], word: re.Pattern[str] = _WORD) -> tuple[str, ...]:
    """Return which of the asked names the text of an error names."""
    words = set(word.findall(told))
    return tuple(name for name in asked if name in words)


def narrowed(
    asked: Sequence[str], refused: Collection[str], last_resort: Collection[str], needed: Collection[str] = ()
) -> tuple[str, ...]:
    """Return what is worth asking after a refusal: always fewer than before, nothing where it is about no name.

    Where an error names nothing, the ``last_resort`` is left: what every answer has had since there are answers. What
    is ``needed`` is never left out.
    """
    rest = tuple(name for name in asked if name in needed or (name not in refused if refused else name in last_resort))
    return rest if len(rest) < len(asked) else ()
