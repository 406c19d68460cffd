"""One TikTok account as a fetch and a check see it: options, permissions and the calls that both share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from connectors import pages
from connectors.contract import ConnectorError, DropReason, Http, Page, Response, Source
from connectors.faults import Fault, Refusal, named_in, narrowed
from connectors.tiktok_faults import examine, raise_fault
from connectors.tiktok_metrics import INSIGHTS, LAST_RESORT, NEEDED
from connectors.tiktok_values import account_id

HOST = "https://business-api.tiktok.com"
VERSION = "open_api/v1.3"
LIST, INSIGHT, STATS, DAYS = "video.list", "video.insights", "user.info.stats", "user.insights"
SCOPES = ("user.info.basic", "user.info.username", STATS, "user.account.type", DAYS, LIST, INSIGHT)


class TiktokOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nothing to choose: the account of the source is the ``open_id`` that came with its token."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """An answer: its data, what was refused on the way, what is left as an error."""

    response: Response
    data: dict[str, Any]
    refused: tuple[str, ...] = ()
    fault: Fault | None = None


class Account:
    """The account of a source and a client that is authorised for it."""

    def __init__(self, http: Http, source: Source) -> None:
        self.http = http
        self.id = source.account
        if isinstance(account_id(self.id), DropReason):
            raise ConnectorError("the source names no account: it is the open_id that came with the token")

    async def ask(
        self,
        what: str,
        fields: tuple[str, ...],
        needs: str,
        params: Mapping[str, str],
        *,
        known: tuple[str, ...] = (),
        named: bool = False,
    ) -> Answer:
        """Ask for fields, and without refused ones again: one wrong field empties the whole answer.

        ``known`` were refused before. Every fault is raised, but that something asked for by its name (``named``) is
        not there.
        """
        asked = tuple(name for name in fields if name not in known)
        while True:
            query = {"business_id": self.id, "fields": msgspec.json.encode(asked).decode(), **params}
            response = await self.http.get(f"{VERSION}/{what}/", query)
            data, fault = examine(response, needs)
            rest = () if fault is None else _without_refused(fault, asked)
            if fault is not None and not rest and not (named and fault.refusal is Refusal.GONE):
                raise_fault(fault, needs)
            if not rest:
                refused = tuple(name for name in fields if name not in asked)
                return Answer(response=response, data=data, refused=refused, fault=fault)
            asked = rest

    def page(self, response: Response, cursor: Mapping[str, str], *, last: bool, **request: str) -> Page:
        """Return a page of this account."""
        return pages.page_of(response, cursor, last=last, account=self.id, **request)


def _without_refused(fault: Fault, asked: tuple[str, ...]) -> tuple[str, ...]:
    """Return what is worth asking after a refusal: always fewer than before, nothing where it is not about fields."""
    if fault.refusal is Refusal.PERMISSION:
        return narrowed(asked, INSIGHTS, ())
    if fault.refusal is Refusal.BAD_REQUEST:
        return narrowed(asked, named_in(fault.told, asked), LAST_RESORT, NEEDED)
    return ()
