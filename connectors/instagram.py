"""Instagram professional accounts through the Graph API: pulled media, stories and account days, pushed story totals.

Counted once. Likes and comments come twice: from the media node (``like_count``, ``comments_count``) and from the
insights (``likes``, ``comments``). The node's count, because every media has it, albums and media from before the
account became professional too, and because a listing gives a hundred of them per call; the insights' are checks.
Totals of the account per day hold the numbers of its posts again and are checks; only what no post reports (followers,
taps on the profile's links) counts there. Followers gained are the day series ``follower_count``, which is new
followers despite its name; ``follows_and_unfollows`` counts for those lost and checks the gain.

Views are impressions as well (rule ``meta_views@1``: Meta replaced impressions, plays and video views by views); an
older ``impressions`` stays impressions alone. Reach is never added; the account's includes ads, a media's does not.
Days are Pacific days throughout: Meta's series are, and totals are asked for the same days.

Webhooks carry no delivery id, so the key is a digest of the body, which holds the send time: two deliveries merge
only when every byte is equal, and then they say the same. This connector publishes nothing and reads no messages.

This file is what the service calls; its parts are ``instagram_metrics`` (the tables), ``instagram_account`` (options,
hosts, permissions), ``instagram_fetching``, ``instagram_reading`` and ``instagram_pushes``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from connectors import graph
from connectors import graph_values as values
from connectors.contract import (
    Auth,
    AuthKind,
    BadPayload,
    Capabilities,
    Connector,
    ConnectorError,
    Delivery,
    DropReason,
    Finding,
    Http,
    Item,
    MetricMapping,
    NeedsReauth,
    Page,
    Reply,
    Secret,
    Source,
    Task,
    TryLater,
    Verified,
    WebhookRequest,
    fingerprint,
)
from connectors.instagram_account import HOSTS, SCOPES, Account, InstagramOptions
from connectors.instagram_fetching import KINDS, LOOK_BACK, pages_of
from connectors.instagram_metrics import declared
from connectors.instagram_pushes import read_push
from connectors.instagram_reading import read_page
from connectors.signatures import hub_sha256

_PUSHED = "comments,live_comments"  # fields of the Instagram login; stories' totals are not among them


class Instagram(Connector):
    """See the head of this module."""

    name = "instagram"
    title = "Instagram"
    version = "1"
    platform = "instagram"
    options = InstagramOptions
    base_url = HOSTS["facebook"]
    auth = Auth(
        kind=AuthKind.TOKEN,
        credentials={
            "access_token": "page, system user or Instagram user token; read only",
            "app_secret": "signs the webhooks; the source's webhook secret",
            "verify_token": "chosen by you, entered where the webhook is set up at Meta",
        },
        scopes=SCOPES["facebook"],
    )
    capabilities = Capabilities(
        webhook=True,
        fetch=KINDS,
        settle=LOOK_BACK,
        lag=timedelta(hours=48),
        day_zone=values.PACIFIC,
        rate_limit="4800 calls per impression in 24 hours; X-App-Usage, X-Business-Use-Case-Usage; errors 4, 17, 80002",
    )
    metrics: Sequence[MetricMapping] = tuple(declared())

    def address(self, options: InstagramOptions) -> str:
        """Return the base address of the login: one of two constants, whatever the options say."""
        return HOSTS[options.login]

    def handshake(self, request: WebhookRequest, source: Source) -> Reply | None:
        return graph.handshake(request, source.credentials.get("verify_token", ""))

    def verify(self, request: WebhookRequest, source: Source, now: datetime) -> Verified:
        hub_sha256(request.headers.get("x-hub-signature-256"), request.body, _ring(source), now)
        return Verified(key=fingerprint(request.body))

    def parse(self, delivery: Delivery, options: Any) -> Iterable[Item]:
        if delivery.channel == "webhook":
            return list(read_push(delivery))
        if delivery.channel == "fetch":
            return list(read_page(delivery))
        raise BadPayload("Instagram is pushed or fetched, not uploaded")

    def fetch(self, http: Http, task: Task, now: datetime) -> AsyncIterator[Page]:
        return pages_of(Account(http, task.source), task, now)

    async def check(self, http: Http, source: Source) -> list[Finding]:
        # Without insights: they fail for reasons (a young account, a quiet one) that are no fault of the set-up.
        account = Account(http, source)
        reachable = await _check_account(account)
        if not reachable.ok:
            return [reachable, *_check_secrets(source)]
        found = [reachable, await _check_media(account), *await _check_permissions(account)]
        return [*found, await _check_subscription(account), *_check_secrets(source)]

    async def subscribe(self, http: Http, source: Source, now: datetime) -> None:
        """Ask for pushes. With the Facebook login any field of the page switches those of the account on."""
        account = Account(http, source)
        owner, fields = "me", _PUSHED
        if account.options.login == "facebook":
            owner, fields = await _page_of(account) or "me", "feed"
        params = {"subscribed_fields": fields}
        graph.require(await http.post(account.path(owner, "subscribed_apps"), params), "pages_manage_metadata")


def _ring(source: Source) -> tuple[Secret, ...]:
    app_secret = source.credentials.get("app_secret", "")
    return source.secrets or (Secret(value=app_secret),)


# ------------------------------------------------------------------------------------------------ proving a source


async def _check_account(account: Account) -> Finding:
    try:
        body = graph.require(await account.get(account.id, fields="id,username"), account.basic)
    except NeedsReauth:
        return Finding(ok=False, text="the access token is not accepted: connect the account again")
    except TryLater:
        return Finding(ok=False, text="Instagram does not answer or throttles at the moment: try again later")
    except ConnectorError as error:
        return Finding(ok=False, text=f"the token is accepted, the account {account.id} is not readable: {error}")
    handle = values.text(body.get("username"), 200) or account.id
    return Finding(ok=True, text=f"the token is accepted and the account {handle} is readable")


async def _check_media(account: Account) -> Finding:
    try:
        graph.require(await account.get(account.id, "media", fields="id", limit="1"), account.basic)
    except ConnectorError as error:
        return Finding(ok=False, text=f"the media of the account are not readable: {error}")
    return Finding(ok=True, text="the media of the account are readable")


async def _check_permissions(account: Account) -> list[Finding]:
    """Only a user token of the Facebook login lists its permissions; nothing is wrong with one that does not."""
    wanted = SCOPES[account.options.login]
    try:
        body = graph.require(await account.get("me", "permissions"), account.basic)
    except ConnectorError:
        return [Finding(ok=True, text=f"this token does not list its permissions; needed are {', '.join(wanted)}")]
    entries = [values.mapping(entry) for entry in values.items(body.get("data"))]
    granted = {entry.get("permission") for entry in entries if entry.get("status") == "granted"}
    missing = [scope for scope in wanted if scope not in granted]
    if missing:
        return [Finding(ok=False, text=f"the permission {scope} is missing") for scope in missing]
    return [Finding(ok=True, text="all permissions are granted")]


async def _check_subscription(account: Account) -> Finding:
    login = account.options.login
    try:
        owner = await _page_of(account) if login == "facebook" else "me"
        body = graph.require(await account.get(owner or "me", "subscribed_apps"), "pages_manage_metadata")
    except ConnectorError:
        return Finding(ok=False, text="the webhook subscription cannot be read; stories are polled meanwhile")
    if not values.items(body.get("data")):
        return Finding(ok=False, text="no webhook subscription: nothing is pushed, stories are polled")
    if login == "instagram":
        return Finding(ok=True, text="subscribed; this login is pushed no story totals, stories are polled")
    return Finding(ok=True, text="subscribed; the field story_insights must be chosen in the app's dashboard")


def _check_secrets(source: Source) -> list[Finding]:
    missing = []
    if not any(secret.value for secret in _ring(source)):
        missing.append(Finding(ok=False, text="no app secret: webhooks cannot be verified and are refused"))
    if not source.credentials.get("verify_token"):
        missing.append(Finding(ok=False, text="no verify token: Meta cannot confirm the webhook address"))
    return missing


async def _page_of(account: Account) -> str | None:
    """Return the id of the page that the account belongs to; None for a page token, which is *me* itself."""
    path, params = account.path("me", "accounts"), {"fields": "id,instagram_business_account", "limit": "100"}
    try:
        async for sheet in graph.listing(account.http, path, params, {}, "pages_show_list"):
            for page in map(values.mapping, values.items(sheet.body.get("data"))):
                linked = values.mapping(page.get("instagram_business_account")).get("id")
                found = values.identifier(page.get("id"))
                if linked == account.id and not isinstance(found, DropReason):
                    return found
    except ConnectorError:
        return None
    return None


CONNECTOR = Instagram()
