"""How people connect accounts to Meta's platforms, as data: codes, tokens that live long, renewal, calls of a budget.

Meta has no refresh tokens. A first token lives for an hour or two and is traded for one of about sixty days. Threads
and the Instagram login renew that one with itself, once it is a day old and while it lives. With the Facebook login the
same trade is tried once more before the end; where it is refused, or brings no later end, a person connects again. The
tokens of pages and of system users do not end by time, and a refusal takes nothing from them.
"""

from __future__ import annotations

from datetime import timedelta

from connectors.contract import Budget, OAuth2, TokenCall

VERSION = "v25.0"
"""The version of the Graph API that a source is set to unless it says otherwise."""
LIFETIME = timedelta(days=60)
RENEWED_BEFORE = timedelta(days=53)
"""A token is renewed from its seventh day on: once a week, and never on the day that it was made."""

_FACEBOOK_TOKENS = f"https://graph.facebook.com/{VERSION}/oauth/access_token"
_LONG_LIVED = TokenCall(url=_FACEBOOK_TOKENS, grant="fb_exchange_token", sends="fb_exchange_token", method="query")

FACEBOOK_LOGIN = OAuth2(
    authorize_url=f"https://www.facebook.com/{VERSION}/dialog/oauth",
    code=TokenCall(url=_FACEBOOK_TOKENS, grant="authorization_code", sends="code", method="query"),
    exchange=_LONG_LIVED,
    refresh=_LONG_LIVED,
    scope_separator=",",
    lifetime=LIFETIME,
    refresh_before=timedelta(days=10),
)
"""The login of pages, of the Instagram accounts that belong to them, and of ad accounts."""


def self_renewing(authorize_url: str, code_url: str, host: str, prefix: str) -> OAuth2:
    """Return the login of a platform whose long-lived token renews itself; ``prefix`` begins its grants."""
    return OAuth2(
        authorize_url=authorize_url,
        code=TokenCall(url=code_url, grant="authorization_code", sends="code"),
        exchange=TokenCall(
            url=f"{host}/access_token",
            grant=f"{prefix}_exchange_token",
            sends="access_token",
            method="query",
            client_id="",
        ),
        # Neither the id nor the secret of the app: the token is its own proof.
        refresh=TokenCall(
            url=f"{host}/refresh_access_token",
            grant=f"{prefix}_refresh_token",
            sends="access_token",
            method="query",
            client_id="",
            client_secret="",
        ),
        scope_separator=",",
        lifetime=LIFETIME,
        refresh_lifetime=LIFETIME,
        refresh_before=RENEWED_BEFORE,
    )


# ------------------------------------------------------------------------------------------------ budgets

_DAY = timedelta(days=1)
_APP_CALLS = 200
_BUSINESS_CALLS = 4800


def budgets(bucket: str, people: int = 1) -> tuple[Budget, ...]:
    """Return the documented limits: so many calls for each person who saw or used the account in 24 hours.

    How many people that were is not known beforehand, so the least is assumed; the headers of answers tell more.
    """
    business = Budget(bucket=bucket, calls=_BUSINESS_CALLS * people, window=_DAY)
    return business, Budget(bucket="app", calls=_APP_CALLS, window=timedelta(hours=1))


def cost(bucket: str, path: str) -> tuple[str, float]:
    """Return the budget that a call draws on: the app's for what is asked of the token, else the account's."""
    parts = [part for part in path.split("/") if part]
    asked_of_token = "me" in parts[:2] or "debug_token" in parts[:2]
    return ("app" if asked_of_token else bucket, 1.0)
