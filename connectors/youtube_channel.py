"""One YouTube channel as a fetch and a check see it: options, hosts, permissions and the calls that both share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from connectors import pages, values
from connectors.contract import ConnectorError, DropReason, Http, Page, Response, Source
from connectors.faults import Fault, Refusal, named_in, narrowed
from connectors.youtube_faults import examine, require
from connectors.youtube_metrics import LAST_RESORT
from connectors.youtube_values import identifier

DATA = "https://www.googleapis.com"
HOSTS: Mapping[str, str] = {
    "analytics": "https://youtubeanalytics.googleapis.com",
    "hub": "https://pubsubhubbub.appspot.com",
}
"""The hosts beside the Data API's. The hub takes no token: it knows only topics and addresses."""
READS = "https://www.googleapis.com/auth/youtube.readonly"
REPORTS = "https://www.googleapis.com/auth/yt-analytics.readonly"


class YoutubeOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``reports`` is False for a channel of somebody else: its public counts are readable, its reports are not."""

    reports: bool = True


class Home(msgspec.Struct, frozen=True, kw_only=True):
    """Where a channel's uploads are listed."""

    channel: str
    uploads: str


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """An answer of a report: what was asked in the end and what was refused on the way."""

    response: Response
    body: dict[str, Any]
    refused: tuple[str, ...] = ()


class Channel:
    """The channel of a source and a client that is authorised for it."""

    def __init__(self, http: Http, source: Source) -> None:
        self.http = http
        self.options: YoutubeOptions = source.options
        self.id = source.account
        if self.id and isinstance(identifier(self.id), DropReason):
            raise ConnectorError("the account of the source is not the id of a channel")

    async def data(self, what: str, **params: str) -> Response:
        """Ask the Data API."""
        return await self.http.get(f"youtube/v3/{what}", params)

    async def itself(self, part: str) -> Response:
        """Ask for the channel: the one the source names, else the one the token belongs to."""
        who = {"id": self.id} if self.id else {"mine": "true"}
        return await self.data("channels", part=part, **who)

    async def home(self) -> Home:
        """Return the channel's id and its list of uploads. Raises :class:`ConnectorError` where it has none."""
        body = require(await self.itself("contentDetails"), READS)
        found = values.first(body.get("items"))
        lists = values.mapping(values.mapping(found.get("contentDetails")).get("relatedPlaylists"))
        channel, uploads = identifier(found.get("id")), identifier(lists.get("uploads"))
        if isinstance(channel, DropReason) or isinstance(uploads, DropReason):
            raise ConnectorError("there is no such channel, or the token belongs to none")
        return Home(channel=channel, uploads=uploads)

    async def report(self, metrics: tuple[str, ...], **params: str) -> Answer:
        """Ask for a report of days, and without refused metrics again: one wrong metric empties the whole answer."""
        asked = metrics
        while True:
            query = {"metrics": ",".join(asked), "dimensions": "day", "sort": "day", **params}
            response = await self.http.at("analytics").get("v2/reports", query)
            body, fault = examine(response, REPORTS)
            if fault is None:
                refused = tuple(name for name in metrics if name not in asked)
                return Answer(response=response, body=body, refused=refused)
            rest = _without_refused(fault, asked)
            if not rest:
                require(response, REPORTS)
            asked = rest

    def page(self, response: Response, cursor: Mapping[str, str], *, last: bool, **request: str) -> Page:
        """Return a page of this channel."""
        return pages.page_of(response, cursor, last=last, **request)


def _without_refused(fault: Fault, asked: tuple[str, ...]) -> tuple[str, ...]:
    """Return what is worth asking after a refusal: always fewer than before, nothing where it is not about metrics."""
    if fault.refusal is not Refusal.BAD_REQUEST:
        return ()
    return narrowed(asked, named_in(fault.told, asked), LAST_RESORT)
