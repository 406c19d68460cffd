"""TikTok accounts through the Display API: public videos of any person who logs in, with their four counters.

For creators, whose accounts the Business API does not take in. Counted once: views, likes, comments and shares are
counters of each video, near live; likes of the account hold the videos' again and are a check. There are no days, no
reach, no saves and no watch time here, and no impressions anywhere on TikTok. Photo posts have no views.

An account is connected through this API or through ``connectors.tiktok``, not through both: the ids of its videos are
the same, but its own id is another one in each app, so nobody could tell that it is one account.

Its parts are ``tiktok_display_calls``, ``tiktok_display_fetching`` and ``tiktok_display_reading``; events and their
signature are those of ``tiktok_pushes``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from connectors import pages, proving, rules, values, webhooks
from connectors.contract import (
    Auth,
    AuthKind,
    Budget,
    Capabilities,
    Connector,
    ConnectorError,
    Delivery,
    Finding,
    Http,
    Item,
    MetricMapping,
    OAuth2,
    Page,
    Source,
    Task,
    TokenCall,
    Verified,
    WebhookRequest,
)
from connectors.tiktok_display_calls import BASIC, HOST, SCOPES, STATS, User
from connectors.tiktok_display_fetching import KINDS, pages_of
from connectors.tiktok_display_reading import ANSWERS, read_page
from connectors.tiktok_pushes import key_of, read_push, verify

_TOKENS = f"{HOST}/v2/oauth/token/"


class TiktokDisplayOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nothing to choose."""


class TiktokDisplay(Connector):
    """See the head of this module."""

    name = "tiktok_display"
    title = "TikTok (Display API)"
    version = "1"
    platform = "tiktok"
    options = TiktokDisplayOptions
    base_url = HOST
    auth = Auth(
        kind=AuthKind.OAUTH2,
        credentials={
            "access_token": "of the person who logged in; read only",
            "app_secret": "the client secret of the app, signs the webhooks; the source's webhook secret",
        },
        scopes=SCOPES,
        oauth2=OAuth2(
            authorize_url="https://www.tiktok.com/v2/auth/authorize/",
            code=TokenCall(url=_TOKENS, grant="authorization_code", sends="code", client_id="client_key"),
            refresh=TokenCall(url=_TOKENS, grant="refresh_token", sends="refresh_token", client_id="client_key"),
            client_id="client_key",
            scope_separator=",",
            rotates=True,
            lifetime=timedelta(seconds=86_400),
            refresh_lifetime=timedelta(seconds=31_536_000),
            refresh_before=timedelta(hours=1),
        ),
    )
    capabilities = Capabilities(
        webhook=True,
        signature_headers=("tiktok-signature",),
        fetch=KINDS,
        rate_limit="600 calls per minute and endpoint for the whole app; HTTP 429",
        budgets=(Budget(bucket="app", calls=600, window=timedelta(minutes=1), per="app"),),
    )
    metrics: Sequence[MetricMapping] = tuple(rules.declared(ANSWERS))

    def verify(self, request: WebhookRequest, source: Source, now: datetime) -> Verified:
        verify(request.headers.get("tiktok-signature"), request.body, webhooks.ring(source), now)
        return Verified(key=key_of(request.body))

    def parse(self, delivery: Delivery, options: Any) -> Iterable[Item]:
        return pages.read(delivery, self.title, read_push, read_page)

    def fetch(self, http: Http, task: Task, now: datetime) -> AsyncIterator[Page]:
        return pages_of(User(http, task.source), task)

    async def check(self, http: Http, source: Source) -> list[Finding]:
        user = User(http, source)
        reachable = await _check_user(user)
        if not reachable.ok:
            return [reachable, *_check_secret(source)]
        found = [
            await proving.readable("the followers", user.read(("follower_count",), STATS)),
            await proving.readable("the videos", user.videos("list", ("id",), max_count=1)),
        ]
        return [reachable, *found, *_check_secret(source)]


# ------------------------------------------------------------------------------------------------ proving a source


async def _check_user(user: User) -> Finding:
    try:
        data = await user.read(("open_id",), BASIC)
    except ConnectorError as error:
        return proving.unreachable(error, "TikTok")
    told = values.mapping(data.get("user")).get("open_id")
    if user.id and isinstance(told, str) and told != user.id:
        return Finding(ok=False, text="the token belongs to another account than the source names")
    return Finding(ok=True, text="the token is accepted and the account is readable")


def _check_secret(source: Source) -> list[Finding]:
    able = Finding(ok=True, text="webhooks can be verified; their address is set in the developer portal")
    return proving.unsigned(webhooks.ring(source), "client secret") or [able]


CONNECTOR = TiktokDisplay()
