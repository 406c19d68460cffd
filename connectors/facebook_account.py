"""One Facebook page as a fetch and a check see it: options, host, permissions, and which fields it lets us read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import msgspec

from connectors import graph, graph_account
from connectors.contract import Http, NotPermitted, Source
from connectors.facebook_metrics import SPLIT_BY
from connectors.graph import Refusal
from connectors.graph_account import Answer
from connectors.graph_login import VERSION

HOST = "https://graph.facebook.com"
SCOPES = ("pages_read_engagement", "read_insights", "pages_show_list")
"""The permissions without which nothing is read: the first for the page and its posts, the second for insights."""
COUNTS = "pages_read_user_content"
"""The permission behind the counts of comments and reactions; without it posts are read, those counts are not."""
SUBSCRIBING = "pages_manage_metadata"
"""The permission that the subscription of webhooks takes."""

_COUNTED = ("reactions", "comments")
_COUNTS_FIELDS = ",".join(f"{name}.summary(total_count).limit(0)" for name in _COUNTED)
_POST_FIELDS = (
    "id,message,created_time,permalink_url,status_type,shares,attachments{media_type,type,unshimmed_url,target{id}}"
)
REEL_FIELDS = "id,description,created_time,permalink_url"
_NOTE = "counts"
_SPLIT = "split"


class FacebookOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``page_id`` is the page (default: the source's account)."""

    graph_version: Annotated[str, msgspec.Meta(pattern=r"^v[0-9]{1,3}\.[0-9]$")] = VERSION
    page_id: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_]{0,64}$")] = ""


class FacebookPage(graph_account.Account):
    """The page of a source and a client that is authorised for it."""

    basic, insights = SCOPES[:2]

    def __init__(self, http: Http, source: Source) -> None:
        options: FacebookOptions = source.options
        super().__init__(http, source, options.page_id or source.account, options.graph_version)

    def resume(self, cursor: Mapping[str, str]) -> None:
        super().resume(cursor)
        self.notes = {name: cursor[name] for name in (_NOTE, _SPLIT) if name in cursor}

    async def learn(self) -> bool:
        """Find out once per task whether counts of comments and reactions may be read.

        One field that is not permitted takes all posts with it, so it is tried on a single one.
        """
        if _NOTE not in self.notes:
            response = await self.get(self.id, "published_posts", fields=f"id,{_COUNTS_FIELDS}", limit="1")
            try:
                graph.examine(response, COUNTS)
            except NotPermitted:
                self.notes[_NOTE] = "no"
            else:
                self.notes[_NOTE] = "yes"
        return self.notes[_NOTE] == "yes"

    async def ask_views(self, path: str, wanted: tuple[str, ...], params: Mapping[str, str]) -> Answer:
        """Ask for views told apart by ads, or as they are once that was refused."""
        if _SPLIT not in self.notes:
            answer = await self.ask(path, wanted, {**params, "breakdown": SPLIT_BY})
            if answer.fault is None or answer.fault.refusal not in {Refusal.BAD_METRIC, Refusal.BAD_REQUEST}:
                return answer
            self.notes[_SPLIT] = "no"
        return await self.ask(path, wanted, params)

    @property
    def post_fields(self) -> str:
        """The fields of a post that may be read, as :meth:`learn` found out."""
        return f"{_POST_FIELDS},{_COUNTS_FIELDS}" if self.notes.get(_NOTE) == "yes" else _POST_FIELDS

    @property
    def refused_fields(self) -> str:
        """What is not among them."""
        return "" if self.notes.get(_NOTE) == "yes" else ",".join(_COUNTED)
