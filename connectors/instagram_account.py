"""One Instagram account as a fetch and a check see it: options, hosts, permissions and the calls that both share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec

from connectors import graph
from connectors.contract import Http, NotPermitted, Page, Response, Source
from connectors.graph import Fault, Refusal
from connectors.instagram_metrics import LAST_RESORT

HOSTS: Mapping[str, str] = {"facebook": "https://graph.facebook.com", "instagram": "https://graph.instagram.com"}
"""The base address of each login; a token of one is worth nothing at the other."""
SCOPES: Mapping[str, tuple[str, ...]] = {
    "facebook": ("instagram_basic", "instagram_manage_insights", "pages_read_engagement", "pages_show_list"),
    "instagram": ("instagram_business_basic", "instagram_business_manage_insights"),
}
"""The permissions of each login: the first reads the account and its media, the second insights."""


class InstagramOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``login`` is how the account was connected, ``ig_user_id`` the account (default: the source's)."""

    login: Literal["facebook", "instagram"] = "facebook"
    graph_version: Annotated[str, msgspec.Meta(pattern=r"^v[0-9]{1,3}\.[0-9]$")] = "v25.0"
    ig_user_id: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_]{0,64}$")] = ""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """An answer of an insights edge: what was asked in the end, what was refused on the way, what is left as error."""

    response: Response
    asked: tuple[str, ...]
    refused: tuple[str, ...] = ()
    fault: Fault | None = None

    def described(self) -> dict[str, str]:
        """Return what a page's request says of it."""
        if self.fault is not None:
            return {"metrics": ",".join(self.asked), "refusal": self.fault.refusal.value}
        return {"metrics": ",".join(self.asked), "refused": ",".join(self.refused)}


class Account:
    """The account of a source and a client that is authorised for it."""

    def __init__(self, http: Http, source: Source) -> None:
        self.http = http
        self.options: InstagramOptions = source.options
        self.id = self.options.ig_user_id or source.account
        self.basic, self.insights = SCOPES[self.options.login][:2]
        self._is_visible = False

    def path(self, *parts: str) -> str:
        return "/".join((self.options.graph_version, *parts))

    async def get(self, *parts: str, **params: str) -> Response:
        return await self.http.get(self.path(*parts), params)

    def page(self, response: Response, cursor: Mapping[str, str], *, last: bool, **request: str) -> Page:
        """Return a page whose request says all that reading it takes; a last page leaves no cursor."""
        said = {"account": self.id, **{name: value for name, value in request.items() if value}}
        after = {} if last else {key: value for key, value in cursor.items() if value}
        return Page(body=response.body, request=said, cursor=after, received_at=response.received_at, last=last)

    async def require_visible(self) -> None:
        """Make sure that what is missing is missing alone. Raises :class:`NotPermitted` when the account is too.

        A media that does not exist and one that the token may not see are the same error.
        """
        if not self._is_visible:
            _, fault = graph.examine(await self.get(self.id, fields="id"), self.basic)
            if fault is not None:
                raise NotPermitted(f"the account is not visible to this token: {self.basic} ({fault.label})")
            self._is_visible = True

    async def ask(self, path: str, metrics: tuple[str, ...], params: Mapping[str, str]) -> Answer:
        """Ask for metrics, and without a refused one again: one wrong metric empties the whole answer."""
        asked = metrics
        while True:
            response = await self.http.get(path, {"metric": ",".join(asked), **params})
            _, fault = graph.examine(response, self.insights)
            rest = () if fault is None else _without_refused(fault, asked)
            if not rest:
                refused = tuple(name for name in metrics if name not in asked)
                return Answer(response=response, asked=asked, refused=refused, fault=fault)
            asked = rest


def _without_refused(fault: Fault, asked: tuple[str, ...]) -> tuple[str, ...]:
    """Return what is worth asking after a refusal: always fewer than before, nothing where it is not about metrics."""
    if fault.refusal not in {Refusal.BAD_METRIC, Refusal.BAD_REQUEST}:
        return ()
    refused = graph.refused_metrics(fault, asked)
    rest = tuple(name for name in asked if (name not in refused if refused else name in LAST_RESORT))
    return rest if len(rest) < len(asked) else ()
