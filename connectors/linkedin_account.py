"""One organisation of LinkedIn as a fetch and a check see it: options, headers, addresses and the calls.

Addresses are written whole: the query language has parentheses and commas of its own that must not be escaped, and
URNs within it that must be.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from http import HTTPStatus
from typing import Annotated

import msgspec

from connectors import pages
from connectors.contract import ConnectorError, Http, Page, Response, Source
from connectors.linkedin_answers import is_young_token
from connectors.linkedin_values import encoded, kind_of, listed, milliseconds, organisation

SCOPES = ("r_organization_social", "rw_organization_admin")
"""The permissions: the first reads posts, the second statistics, followers and visits."""
FRESH_TOKEN_PAUSE = 6.0
"""Seconds after which a token that was only just made is known everywhere."""


class LinkedInOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``version`` is the month of the API that is spoken: each one lives for about a year.

    ``application`` is the number of the app in the developer portal, which its client id is not; needed to subscribe.
    """

    version: Annotated[str, msgspec.Meta(pattern=r"^20[0-9]{2}(0[1-9]|1[0-2])$")] = "202606"
    application: Annotated[str, msgspec.Meta(pattern=r"^[0-9]{0,20}\Z")] = ""


class Organisation:
    """The organisation of a source and a client that is authorised for it."""

    def __init__(self, http: Http, source: Source) -> None:
        self.http = http
        self.options: LinkedInOptions = source.options
        self._urn = organisation(source.account)
        self.posts_need, self.statistics_need = SCOPES

    @property
    def urn(self) -> str:
        """The organisation's URN. Raises :class:`ConnectorError` where the source does not name one."""
        if self._urn is None:
            raise ConnectorError("the account of the source is the number of the organisation")
        return self._urn

    @property
    def number(self) -> str:
        """The organisation's number."""
        return self.urn.rpartition(":")[2]

    @property
    def _headers(self) -> Mapping[str, str]:
        return {"LinkedIn-Version": self.options.version, "X-Restli-Protocol-Version": "2.0.0"}

    async def get(self, path: str, method: str = "") -> Response:
        """Ask, and once more a little later where only the age of the token speaks against it."""
        headers = dict(self._headers)
        if method:
            headers["X-RestLi-Method"] = method
        response = await self.http.get(path, headers=headers)
        if response.status == HTTPStatus.UNAUTHORIZED and is_young_token(response):
            await asyncio.sleep(FRESH_TOKEN_PAUSE)
            response = await self.http.get(path, headers=headers)
        return response

    async def posts(self, start: int, size: int) -> Response:
        """Ask for a page of the organisation's posts, the last modified first."""
        author = encoded(self.urn)
        return await self.get(
            f"posts?q=author&author={author}&count={size}&start={start}&sortBy=LAST_MODIFIED", "FINDER"
        )

    async def post(self, urn: str) -> Response:
        """Ask for one post."""
        return await self.get(f"posts/{encoded(urn)}")

    async def statistics(self, urns: Sequence[str]) -> Response:
        """Ask for the lifetime numbers of posts of one kind."""
        name = "shares" if kind_of(urns[0]) == "share" else "ugcPosts"
        return await self.get(f"{self._of('organizationalEntityShareStatistics')}&{name}={listed(urns)}")

    async def totals(self) -> Response:
        """Ask for the organisation's numbers of the last twelve months, which prove that it may be asked for them."""
        return await self.get(self._of("organizationalEntityShareStatistics"))

    async def days(self, resource: str, start: datetime, end: datetime) -> Response:
        """Ask for the days of the organisation: of its posts, its followers or its page."""
        within = f"(start:{milliseconds(start)},end:{milliseconds(end)})"
        intervals = f"timeIntervals=(timeRange:{within},timeGranularityType:DAY)"
        return await self.get(f"{self._of(resource)}&{intervals}")

    async def size(self) -> Response:
        """Ask for the number of followers."""
        return await self.get(f"networkSizes/{encoded(self.urn)}?edgeType=COMPANY_FOLLOWED_BY_MEMBER")

    async def itself(self) -> Response:
        """Ask for the organisation itself."""
        return await self.get(f"organizations/{self.number}")

    async def video(self, urn: str, metric: str) -> Response:
        """Ask for one lifetime number of the video in a post."""
        return await self.get(f"videoAnalytics?q=entity&entity={encoded(urn)}&type={metric}&aggregation=ALL")

    async def roles(self) -> Response:
        """Ask which organisations the member of the token administers."""
        return await self.get("organizationAcls?q=roleAssignee&role=ADMINISTRATOR&state=APPROVED&count=100")

    async def subscribe(self, member: str, event: str, callback: str) -> Response:
        """Ask for pushes of an event to an address. The same call again changes nothing."""
        application = encoded(f"urn:li:developerApplication:{self.options.application}")
        key = f"developerApplication:{application},user:{encoded(member)},entity:{encoded(self.urn)},eventType:{event}"
        headers = {**self._headers, "content-type": "application/json"}
        body = msgspec.json.encode({"webhook": callback})
        return await self.http.put(f"eventSubscriptions/({key})", body=body, headers=headers)

    def _of(self, resource: str) -> str:
        # Statistics of the page call the same organisation by another name.
        name = "organization" if resource == "organizationPageStatistics" else "organizationalEntity"
        return f"{resource}?q={name}&{name}={encoded(self.urn)}"

    def page(self, response: Response, cursor: Mapping[str, str], *, last: bool, **request: str) -> Page:
        """Return a page of this organisation."""
        return pages.page_of(response, cursor, last=last, account=self.urn, **request)
