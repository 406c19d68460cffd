"""One account of X as a fetch and a check see it: options, permissions and the calls that both share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec

from connectors import pages
from connectors import x_metrics as metrics
from connectors.contract import ConnectorError, Http, Page, Response, Source

SCOPES = ("tweet.read", "users.read", "offline.access")
USER_FIELDS = "username,name,created_at,public_metrics"
_EXPANSIONS = "attachments.media_keys"


class XOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``access`` is what the token may see: ``owner`` is a user's own token with the private numbers of their posts,
    ``public`` any token, and any account. ``replies`` counts the account's own replies as posts. ``user_id`` is the
    account (default: the source's). ``webhook_id`` is the webhook that activity is subscribed for.
    """

    access: Literal["owner", "public"] = "owner"
    replies: bool = False
    user_id: Annotated[str, msgspec.Meta(pattern=r"^[0-9]{0,20}$")] = ""
    webhook_id: Annotated[str, msgspec.Meta(pattern=r"^[0-9]{0,20}$")] = ""


class Account:
    """The account of a source and a client that is authorised for it."""

    def __init__(self, http: Http, source: Source) -> None:
        self.http = http
        self.options: XOptions = source.options
        self.id = self.options.user_id or source.account
        self.needs = "tweet.read and users.read, for the account itself"

    async def get(self, path: str, **params: str) -> Response:
        return await self.http.get(f"2/{path}", {name: value for name, value in params.items() if value})

    async def timeline(self, **params: str) -> Response:
        """Ask for a page of the account's posts, without what others wrote."""
        self.require_number()
        left_out = "retweets" if self.options.replies else "retweets,replies"
        return await self.get(f"users/{self.id}/tweets", exclude=left_out, **params)

    async def posts(self, ids: str) -> Response:
        """Ask for up to a hundred posts by id."""
        return await self.get("tweets", ids=ids, **self.fields())

    async def user(self) -> Response:
        """Ask for the account itself."""
        self.require_number()
        return await self.get(f"users/{self.id}", **{"user.fields": USER_FIELDS})

    def fields(self) -> dict[str, str]:
        """Return the parameters that ask for facts and numbers of posts, and of the videos in them."""
        return {
            "expansions": _EXPANSIONS,
            "tweet.fields": metrics.POST_FIELDS[self.options.access],
            "media.fields": metrics.MEDIA_FIELDS[self.options.access],
        }

    def require_number(self) -> None:
        """Make sure that the account is named by its id: a handle may change hands."""
        if not (self.id.isascii() and self.id.isdigit()):
            raise ConnectorError("the account of the source is the number of the user, not the handle")

    def page(self, response: Response, cursor: Mapping[str, str], *, last: bool, **request: str) -> Page:
        """Return a page of this account."""
        return pages.page_of(response, cursor, last=last, account=self.id, **request)
