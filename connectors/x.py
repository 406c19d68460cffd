"""X (Twitter) through API v2: pulled posts, videos, followers and days, pushed activity.

Counted once. A post's public numbers hold organic and promoted ones together. With the owner's token (the option
``access``) its organic and its promoted numbers count, each as its own part, and the public ones are checks; only what
has no parts counts from elsewhere: quotes and bookmarks from the public numbers, the platform's engagements from the
private ones. Without the owner's token the public numbers count. X gives private numbers for 30 days: an older post's
counted numbers stand as they were, its public ones go on being checked.

Shares are retweets and quotes; retweets alone leave quotes out. Link clicks are counted, clicks on the author are not:
no total of clicks is given. A video's views are those of all posts that hold it, so the video is a subject of its own
and counts once. It is dated by its key, because a post may show an older video. Days of posts (analytics) hold the
same movements again and are checks; their days are taken for UTC days. Retweets carry another post's numbers and are
left out, replies too unless wanted. An edited post is the subject of its first id, and its newest version speaks.

An event's id is the key of its delivery; the older batches have none, so the key is a digest of the body. Pushed totals
have no time of their own and only ask for a refresh.

This file is what the service calls; its parts are ``x_metrics`` (the tables), ``x_account`` (options, calls),
``x_answers`` (errors, limits), ``x_values``, ``x_posts``, ``x_reading``, ``x_fetching``, ``x_pushes``, ``x_batches``
and ``x_signature``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import datetime, timedelta
from functools import partial
from http import HTTPStatus
from typing import Any

import msgspec

from connectors import pages, proving, rules, values, webhooks, x_values
from connectors.contract import (
    Auth,
    AuthKind,
    Capabilities,
    Connector,
    ConnectorError,
    Delivery,
    Finding,
    Http,
    Item,
    MetricMapping,
    NeedsReauth,
    NotSupported,
    OAuth2,
    Page,
    Reply,
    Response,
    Source,
    Task,
    TokenCall,
    TryLater,
    Usage,
    Verified,
    WebhookRequest,
    fingerprint,
)
from connectors.x_account import SCOPES, Account, XOptions
from connectors.x_answers import BUDGETS, OTHERS, examine, require, usage_of
from connectors.x_fetching import KINDS, SETTLE, pages_of
from connectors.x_metrics import ANSWERS
from connectors.x_pushes import read_push
from connectors.x_reading import read_page
from connectors.x_signature import crc_answer, event_key, verify

_TOKENS = "https://api.x.com/2/oauth2/token"
_LONGEST_CHALLENGE = 256
_WANTED = (
    ("post.create", ""),
    ("post.delete", ""),
    ("post.reply.create", ""),
    ("post.quote.create", ""),
    ("post.repost.create", ""),
    ("like.create", "inbound"),
    ("follow.follow", ""),
    ("follow.unfollow", ""),
)
"""The activity that is worth a push, with the direction that is of interest."""


class X(Connector):
    """See the head of this module."""

    name = "x"
    title = "X"
    version = "1"
    platform = "x"
    options = XOptions
    base_url = "https://api.x.com"
    auth = Auth(
        kind=AuthKind.OAUTH2,
        credentials={
            "access_token": "the user's token; with access public an app's token does",
            "refresh_token": "renews the access token; each one works once",
            "client_id": "of the app, for renewing",
            "client_secret": "of the app, for renewing",
            "app_secret": "the consumer secret of the app; signs the webhooks, the source's webhook secret",
        },
        scopes=SCOPES,
        oauth2=OAuth2(
            authorize_url="https://x.com/i/oauth2/authorize",
            code=TokenCall(url=_TOKENS, grant="authorization_code", sends="code", client_secret="", basic=True),
            refresh=TokenCall(url=_TOKENS, grant="refresh_token", sends="refresh_token", client_secret="", basic=True),
            pkce=True,
            rotates=True,
            lifetime=timedelta(seconds=7200),
        ),
    )
    capabilities = Capabilities(
        webhook=True,
        signature_headers=("x-twitter-webhooks-signature",),
        fetch=KINDS,
        settle=SETTLE,
        day_zone="UTC",
        rate_limit=(
            "per endpoint and user in 15 minutes (x-rate-limit-*); 3,000,000 posts read a month; "
            "each read is paid for, a post once per UTC day"
        ),
        budgets=BUDGETS,
    )
    metrics: Sequence[MetricMapping] = tuple(rules.declared(ANSWERS))

    def cost(self, method: str, path: str) -> tuple[str, float]:
        """Return the limit that a call draws on."""
        _ = method
        plain = path.partition("?")[0].rstrip("/")
        if plain.endswith("users/me"):
            return "me", 1.0
        return ("timeline", 1.0) if plain.endswith("/tweets") and "users/" in plain else (OTHERS, 1.0)

    def usage(self, response: Response) -> Sequence[Usage]:
        return usage_of(response)

    def handshake(self, request: WebhookRequest, source: Source) -> Reply | None:
        token = request.query.get("crc_token")
        if request.method != "GET" or token is None:
            return None
        secret = webhooks.lasting(webhooks.ring(source))
        if not secret or not 0 < len(token) <= _LONGEST_CHALLENGE or not token.isascii():
            return Reply(status=403)
        return webhooks.answered({"response_token": crc_answer(token, secret)})

    def verify(self, request: WebhookRequest, source: Source, now: datetime) -> Verified:
        verify(request.headers.get("x-twitter-webhooks-signature"), request.body, webhooks.ring(source), now)
        return Verified(key=event_key(request.body) or fingerprint(request.body))

    def parse(self, delivery: Delivery, options: Any) -> Iterable[Item]:
        push, page = partial(read_push, options=options), partial(read_page, options=options)
        return pages.read(delivery, self.title, push, page)

    def fetch(self, http: Http, task: Task, now: datetime) -> AsyncIterator[Page]:
        return pages_of(Account(http, task.source), task, now)

    async def check(self, http: Http, source: Source) -> list[Finding]:
        account = Account(http, source)
        reachable = await _check_account(account)
        if not reachable.ok:
            return [reachable, *_check_secrets(source)]
        found = [reachable, await _check_posts(account), await _check_usage(account)]
        return [*found, await _check_webhook(account), *_check_secrets(source)]

    async def subscribe(self, http: Http, source: Source, now: datetime) -> None:
        """Ask for the activity of the account to be pushed to the webhook of the option ``webhook_id``."""
        account = Account(http, source)
        if not account.options.webhook_id:
            raise NotSupported("make a webhook for the app at X first and give its id in the option webhook_id")
        for event, direction in _WANTED:
            chosen = {"user_id": account.id, **({"direction": direction} if direction else {})}
            wanted = {"event_type": event, "filter": chosen, "webhook_id": account.options.webhook_id}
            response = await http.post(
                "2/activity/subscriptions",
                body=msgspec.json.encode(wanted),
                headers={"content-type": "application/json"},
            )
            if not _is_there_already(response):
                require(response, "the user's consent to the app")


def _is_there_already(response: Response) -> bool:
    return response.status == HTTPStatus.CONFLICT or (
        response.status == HTTPStatus.BAD_REQUEST and b"uplicate" in response.body
    )


# ------------------------------------------------------------------------------------------------ proving a source


async def _check_account(account: Account) -> Finding:
    owner = account.options.access == "owner"
    try:
        body = require(await account.get("users/me") if owner else await account.user(), account.needs)
    except ConnectorError as error:
        found = proving.unreachable(error, "X", tells=True)
        is_refused = owner and not isinstance(error, NeedsReauth | TryLater)
        hint = "; a token of an app alone needs the option access public" if is_refused else ""
        return Finding(ok=False, text=f"{found.text}{hint}")
    user = values.mapping(body.get("data"))
    if owner and x_values.known_id(user) != account.id:
        return Finding(ok=False, text=f"the token belongs to another account than {values.shown(account.id)}")
    handle = values.shown(user.get("username"))
    return Finding(ok=True, text=f"the token is accepted and the account {handle} is readable")


async def _check_posts(account: Account) -> Finding:
    try:
        body = require(await account.timeline(max_results="5", **account.fields()), account.needs)
    except ConnectorError as error:
        return Finding(ok=False, text=f"the posts of the account are not readable: {error}")
    posts = [values.mapping(post) for post in values.items(body.get("data"))]
    if account.options.access == "owner" and posts and not any("organic_metrics" in post for post in posts):
        return Finding(ok=False, text="posts are readable, their private numbers are not: connect as their owner")
    return Finding(ok=True, text="the posts of the account are readable")


async def _check_usage(account: Account) -> Finding:
    """Only an app's token may read this; nothing is wrong with one that may not."""
    try:
        told = values.mapping(examine(await account.get("usage/tweets"), "an app's token").get("data"))
    except ConnectorError:
        return Finding(ok=True, text="this token does not tell how much of the month's cap is used")
    used, cap = values.written_count(told.get("project_usage")), values.written_count(told.get("project_cap"))
    if type(used) is not int or type(cap) is not int or cap == 0:
        return Finding(ok=True, text="the month's cap is not told")
    return Finding(ok=used < cap, text=f"{used} of {cap} posts of this month's cap have been read")


async def _check_webhook(account: Account) -> Finding:
    if not account.options.webhook_id:
        return Finding(ok=True, text="no option webhook_id: nothing is pushed unless it was set up at X, all is polled")
    try:
        body = examine(await account.get("webhooks"), "an app's token")
    except ConnectorError:
        return Finding(ok=True, text="this token does not tell whether the webhook is valid")
    hooks = [values.mapping(hook) for hook in values.items(body.get("data"))]
    hook = next((one for one in hooks if x_values.known_id(one) == account.options.webhook_id), None)
    if hook is None:
        return Finding(ok=False, text="the webhook of the option webhook_id is not there")
    if hook.get("valid") is not True:
        return Finding(ok=False, text="X calls the webhook invalid and pushes nothing: validate it again at X")
    return Finding(ok=True, text="the webhook is valid")


def _check_secrets(source: Source) -> list[Finding]:
    missing = proving.unsigned(webhooks.ring(source), "consumer secret")
    renewed = source.options.access != "owner" or source.credentials.get("refresh_token")
    return missing + proving.missing((renewed, "no refresh token: the access token ends after two hours"))


CONNECTOR = X()
