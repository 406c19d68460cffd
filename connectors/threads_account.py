"""One Threads account as a fetch and a check see it: options, host, permissions, OAuth."""

from __future__ import annotations

from typing import Annotated

import msgspec

from connectors import graph_account
from connectors.contract import Http, Source
from connectors.graph_login import self_renewing
from connectors.threads_metrics import LAST_RESORT

HOST = "https://graph.threads.net"
VERSION = "v1.0"
SCOPES = ("threads_basic", "threads_manage_insights")
OAUTH2 = self_renewing("https://www.threads.net/oauth/authorize", f"{HOST}/oauth/access_token", HOST, "th")


class ThreadsOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``user_id`` is the account (default: the source's); ``with_replies`` reads what it wrote below posts as well."""

    user_id: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_]{0,64}$")] = ""
    with_replies: bool = True


class Account(graph_account.Account):
    """The account of a source and a client that is authorised for it."""

    basic, insights = SCOPES
    last_resort = LAST_RESORT

    def __init__(self, http: Http, source: Source) -> None:
        options: ThreadsOptions = source.options
        super().__init__(http, source, options.user_id or source.account, VERSION)
        self.with_replies = options.with_replies
