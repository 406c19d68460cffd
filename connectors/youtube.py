"""YouTube channels: counters of videos, days of reports, and a feed that says which video to look at.

Counted once. Views, likes and comments come twice: as counters of each video (Data API, near real time, for every
channel) and per day (Analytics, two or three days late, for one's own). The counters count; the days of the same
three are checks, since they are filtered another way and never agree. Shares, watch time, playlists and clicks on
cards are in the days alone and count there, per video. Days of the whole channel hold the videos' numbers again and
are checks; only subscribers won and lost count there. Followers are the channel's subscriber count.

Impressions stay unknown: what YouTube calls so are thumbnails. Views do not say whether an ad led to them. Days are
Pacific days. Days without activity may be left out by the platform, and stay unknown here.

A push says only that a video changed, so it becomes a hint. Its key is a digest of the body: equal bytes say the
same. Views count as playback begins from 2026-08-24 on, a step in every counter that is no growth of an audience.

This file is what the service calls; its parts are ``youtube_metrics`` (the tables), ``youtube_channel`` (options,
hosts, calls), ``youtube_faults``, ``youtube_fetching``, ``youtube_reading``, ``youtube_hub``, ``youtube_pushes`` and
``youtube_atom``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from connectors import pages, proving, rules, values
from connectors import youtube_hub as hub
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
    Outcome,
    Page,
    Reply,
    Response,
    Source,
    Task,
    TokenCall,
    Usage,
    Verified,
    WebhookRequest,
    fingerprint,
)
from connectors.faults import Refusal
from connectors.signatures import hub_sha1
from connectors.webhooks import has_key
from connectors.youtube_channel import DATA, HOSTS, READS, REPORTS, Channel, YoutubeOptions
from connectors.youtube_faults import examine, fault_of, require
from connectors.youtube_fetching import KINDS, SETTLE, pages_of
from connectors.youtube_metrics import ANSWERS
from connectors.youtube_pushes import read_push
from connectors.youtube_reading import read_page
from connectors.youtube_values import PACIFIC, until_midnight

_TOKENS = "https://oauth2.googleapis.com/token"
_QUOTA = "data"
_UNITS = 10_000
_SEARCH_UNITS = 100.0


class Youtube(Connector):
    """See the head of this module."""

    name = "youtube"
    title = "YouTube"
    version = "1"
    platform = "youtube"
    options = YoutubeOptions
    base_url = DATA
    hosts = HOSTS
    open_hosts = frozenset({"hub"})
    auth = Auth(
        kind=AuthKind.OAUTH2,
        credentials={
            "access_token": "of a person who owns or manages the channel; read only",
            "webhook_secret": "the hub signs the pushes with it",
            "callback": "the public https address of the source's webhook, where the service does not know its own",
        },
        scopes=(READS, REPORTS),
        oauth2=OAuth2(
            authorize_url="https://accounts.google.com/o/oauth2/v2/auth",
            code=TokenCall(url=_TOKENS, grant="authorization_code", sends="code"),
            refresh=TokenCall(url=_TOKENS, grant="refresh_token", sends="refresh_token"),
            # Without both of them a second consent brings no refresh token.
            parameters={"access_type": "offline", "prompt": "consent"},
            pkce=True,
            lifetime=timedelta(seconds=3599),
        ),
    )
    capabilities = Capabilities(
        webhook=True,
        signature_headers=("x-hub-signature",),
        fetch=KINDS,
        settle=SETTLE,
        lease=timedelta(seconds=hub.LEASE_SECONDS),
        lag=timedelta(hours=72),
        day_zone=PACIFIC,
        rate_limit="10,000 units per Google project and Pacific day, one for each list call; told by errors alone",
        budgets=(Budget(bucket=_QUOTA, calls=_UNITS, window=timedelta(days=1), per="app"),),
    )
    metrics: Sequence[MetricMapping] = tuple(rules.declared(ANSWERS))

    def cost(self, method: str, path: str) -> tuple[str, float]:
        """Reports and the hub draw on no quota of units."""
        if "youtube/v3/" not in path:
            return "", 1.0
        return _QUOTA, _SEARCH_UNITS if path.endswith("/search") else 1.0

    def usage(self, response: Response) -> Sequence[Usage]:
        fault = fault_of(values.readable(response.body), response.status)
        if fault is None or fault.refusal is not Refusal.QUOTA:
            return ()
        return (Usage(bucket=_QUOTA, used=1.0, reset=until_midnight(response.received_at)),)

    def handshake(self, request: WebhookRequest, source: Source) -> Reply | None:
        return hub.handshake(request, source.account)

    def verify(self, request: WebhookRequest, source: Source, now: datetime) -> Verified:
        hub_sha1(request.headers.get("x-hub-signature"), request.body, source.secrets, now)
        return Verified(key=fingerprint(request.body))

    def reply(self, outcome: Outcome) -> Reply:
        """A hub is answered 2xx whatever was thought of its signature; what is not authentic is not kept."""
        return Reply(status=204)

    def parse(self, delivery: Delivery, options: Any) -> Iterable[Item]:
        return pages.read(delivery, self.title, read_push, read_page)

    def fetch(self, http: Http, task: Task, now: datetime) -> AsyncIterator[Page]:
        return pages_of(Channel(http, task.source), task, now)

    async def check(self, http: Http, source: Source) -> list[Finding]:
        channel = Channel(http, source)
        reachable = await _check_channel(channel)
        if not reachable.ok:
            return [reachable, *_check_pushes(source)]
        return [reachable, await _check_uploads(channel), await _check_reports(channel), *_check_pushes(source)]

    async def subscribe(self, http: Http, source: Source, now: datetime) -> None:
        await hub.subscribe(http, source, now)


# ------------------------------------------------------------------------------------------------ proving a source


async def _check_channel(channel: Channel) -> Finding:
    try:
        body = require(await channel.itself("snippet"), READS)
    except ConnectorError as error:
        return proving.unreachable(error, "YouTube", "channel", "channel", tells=True)
    found = values.items(body.get("items"))
    if not found:
        return Finding(ok=False, text="there is no such channel, or the token belongs to none")
    title = values.mapping(values.mapping(found[0]).get("snippet")).get("title")
    shown = values.printable(title) or "without a title"
    return Finding(ok=True, text=f"the token is accepted and the channel {shown} is readable")


async def _check_uploads(channel: Channel) -> Finding:
    try:
        home = await channel.home()
        listed = await channel.data("playlistItems", part="contentDetails", playlistId=home.uploads, maxResults="1")
        _, fault = examine(listed, READS)
    except ConnectorError as error:
        return Finding(ok=False, text=f"the uploads are not readable: {error}")
    if fault is not None and fault.refusal is not Refusal.GONE:
        return Finding(ok=False, text=f"the uploads are not readable: {fault.label}")
    return Finding(ok=True, text="the uploads are readable" if fault is None else "the channel has no uploads yet")


async def _check_reports(channel: Channel) -> Finding:
    if not channel.options.reports:
        return Finding(ok=True, text="reports are off: shares, watch time, saves and new subscribers stay unknown")
    try:
        owner = channel.id or (await channel.home()).channel
        day = {"startDate": "2026-01-01", "endDate": "2026-01-01"}  # any day: an empty report is an answer too
        await channel.report(("views",), ids=f"channel=={owner}", **day)
    except ConnectorError as error:
        return Finding(ok=False, text=f"the reports are not readable (somebody else's channel has none): {error}")
    return Finding(ok=True, text="the reports are readable")


def _check_pushes(source: Source) -> list[Finding]:
    missing = proving.missing(
        (source.account, "the source names no channel id: its feed cannot be subscribed to"),
        (hub.callback_of(source), "no webhook address is given: nothing is pushed, videos are polled"),
        (has_key(source.secrets), "no webhook secret: pushes cannot be verified"),
    )
    lease = (
        f"pushes can be subscribed to, for {hub.LEASE_SECONDS // 86_400} days at a time; the hub does not say if one is"
    )
    return missing or [Finding(ok=True, text=lease)]


CONNECTOR = Youtube()
