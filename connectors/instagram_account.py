"""One Instagram account as a fetch and a check see it: the two logins, options, hosts, permissions, OAuth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec

from connectors import graph_account
from connectors.contract import Http, OAuth2, Source
from connectors.graph_login import FACEBOOK_LOGIN, VERSION, self_renewing
from connectors.instagram_metrics import LAST_RESORT

HOSTS: Mapping[str, str] = {"facebook": "https://graph.facebook.com", "instagram": "https://graph.instagram.com"}
"""The base address of each login; a token of one is worth nothing at the other."""
SCOPES: Mapping[str, tuple[str, ...]] = {
    "facebook": ("instagram_basic", "instagram_manage_insights", "pages_read_engagement", "pages_show_list"),
    "instagram": ("instagram_business_basic", "instagram_business_manage_insights"),
}
"""The permissions of each login: the first reads the account and its media, the second insights."""
OAUTH2: Mapping[str, OAuth2] = {
    "facebook": FACEBOOK_LOGIN,
    "instagram": self_renewing(
        "https://www.instagram.com/oauth/authorize",
        "https://api.instagram.com/oauth/access_token",
        HOSTS["instagram"],
        "ig",
    ),
}
"""How a person connects an account by each login."""


class InstagramOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``login`` is how the account was connected, ``ig_user_id`` the account (default: the source's)."""

    login: Literal["facebook", "instagram"] = "facebook"
    graph_version: Annotated[str, msgspec.Meta(pattern=r"^v[0-9]{1,3}\.[0-9]$")] = VERSION
    ig_user_id: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_]{0,64}$")] = ""


class Account(graph_account.Account):
    """The account of a source and a client that is authorised for it."""

    last_resort = LAST_RESORT

    def __init__(self, http: Http, source: Source) -> None:
        options: InstagramOptions = source.options
        super().__init__(http, source, options.ig_user_id or source.account, options.graph_version)
        self.login = options.login
        self.basic, self.insights = SCOPES[options.login][:2]
