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

from connectors.contract import (
    Auth,
    AuthKind,
    BadPayload,
    Budget,
    Capabilities,
    Connector,
    ConnectorError,
    Delivery,
    Finding,
    Http,
    Item,
    MetricMapping,
    NeedsReauth,
    OAuth2,
    Page,
    Secret,
    Source,
    Task,
    TokenCall,
    TryLater,
    Verified,
    WebhookRequest,
)
from connectors.tiktok_display_calls import BASIC, HOST, SCOPES, STATS, Fault, User, examine, raise_fault
from connectors.tiktok_display_fetching import KINDS, pages_of
from connectors.tiktok_display_reading import declared, read_page
from connectors.tiktok_pushes import key_of, read_push, verify
from connectors.tiktok_values import mapping

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
    metrics: Sequence[MetricMapping] = tuple(declared())

    def verify(self, request: WebhookRequest, source: Source, now: datetime) -> Verified:
        verify(request.headers.get("tiktok-signature"), request.body, _ring(source), now)
        return Verified(key=key_of(request.body))

    def parse(self, delivery: Delivery, options: Any) -> Iterable[Item]:
        if delivery.channel == "webhook":
            return list(read_push(delivery))
        if delivery.channel == "fetch":
            return list(read_page(delivery))
        raise BadPayload("TikTok is pushed or fetched, not uploaded")

    def fetch(self, http: Http, task: Task, now: datetime) -> AsyncIterator[Page]:
        return pages_of(User(http, task.source), task)

    async def check(self, http: Http, source: Source) -> list[Finding]:
        user = User(http, source)
        reachable = await _check_user(user)
        if not reachable.ok:
            return [reachable, *_check_secret(source)]
        return [reachable, await _check_stats(user), await _check_videos(user), *_check_secret(source)]


def _ring(source: Source) -> tuple[Secret, ...]:
    app_secret = source.credentials.get("app_secret", "")
    return source.secrets or (Secret(value=app_secret),)


# ------------------------------------------------------------------------------------------------ proving a source


async def _check_user(user: User) -> Finding:
    try:
        data, fault = examine(await user.info(("open_id",)))
        _require(fault, BASIC)
    except NeedsReauth:
        return Finding(ok=False, text="the access token is not accepted: connect the account again")
    except TryLater:
        return Finding(ok=False, text="TikTok does not answer or throttles at the moment: try again later")
    except ConnectorError as error:
        return Finding(ok=False, text=f"the token is accepted, the account is not readable: {error}")
    told = mapping(data.get("user")).get("open_id")
    if user.id and isinstance(told, str) and told != user.id:
        return Finding(ok=False, text="the token belongs to another account than the source names")
    return Finding(ok=True, text="the token is accepted and the account is readable")


def _require(fault: Fault | None, needs: str) -> None:
    if fault is not None:
        raise_fault(fault, needs)


async def _check_stats(user: User) -> Finding:
    try:
        _, fault = examine(await user.info(("follower_count",)))
        _require(fault, STATS)
    except ConnectorError as error:
        return Finding(ok=False, text=f"the followers are not readable: {error}")
    return Finding(ok=True, text="the followers are readable")


async def _check_videos(user: User) -> Finding:
    try:
        await user.videos("list", ("id",), max_count=1)
    except ConnectorError as error:
        return Finding(ok=False, text=f"the videos are not readable: {error}")
    return Finding(ok=True, text="the videos are readable")


def _check_secret(source: Source) -> list[Finding]:
    if any(secret.value for secret in _ring(source)):
        return [Finding(ok=True, text="webhooks can be verified; their address is set in the developer portal")]
    return [Finding(ok=False, text="no client secret: webhooks cannot be verified and are refused")]


CONNECTOR = TiktokDisplay()
