"""OAuth 2.0 as the platforms speak it: an address to send a person to, and one call to a token endpoint. No storage.

How a platform differs is data of its connector (``connectors.contract.OAuth2``). What is sent and what comes back is
secret: nothing of it is in an error, and of a refusal only its code is told.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote, urlencode, urlsplit, urlunsplit

import msgspec

from connectors.contract import (
    Auth,
    Connector,
    ConnectorError,
    Http,
    OAuth2,
    Response,
    TokenCall,
    TryLater,
    Unreachable,
)
from service.settings import Settings

TokenHttp = Callable[[Connector, str], Http]
"""Gives the client towards a token endpoint: the composition root's business, as for the platform itself."""

_WORD = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_APP_ERRORS = frozenset(
    {"invalid_client", "unauthorized_client", "invalid_request", "unsupported_grant_type", "invalid_scope"}
)
_PASSING_ERRORS = frozenset({"temporarily_unavailable", "server_error", "slow_down", "internal_failure"})
_PASSING_CODES = frozenset({1, 2, 4, 17, 341, 613})  # Meta's, whose token endpoint speaks the Graph dialect
_LONGEST_TOKEN = 16_384
_LONGEST_LIFE = 10 * 365 * 86_400


class App(msgspec.Struct, frozen=True, kw_only=True):
    """The app at the platform that speaks for the account. Its repr hides the secret."""

    client_id: str
    client_secret: str = ""

    def __repr__(self) -> str:
        return f"App({self.client_id!r})"


class Granted(msgspec.Struct, frozen=True, kw_only=True):
    """What a token endpoint gave. Seconds are as it said, None where it did not. Its repr hides the tokens."""

    access_token: str
    refresh_token: str | None = None
    expires_in: float | None = None
    refresh_expires_in: float | None = None

    def __repr__(self) -> str:
        return "Granted(***)"


class Refused(Exception):  # noqa: N818 - reads as an answer
    """A token endpoint said no. ``dead``: to this code or token, for good; else to the app that asked."""

    def __init__(self, label: str, *, dead: bool) -> None:
        """Keep the code of the refusal."""
        super().__init__(label)
        self.label = label
        self.dead = dead


def word(said: str | None) -> str:
    """Return the code of a refusal that came with a browser, as far as it is one."""
    return said if said is not None and _WORD.fullmatch(said) else "without a reason"


def app_of(settings: Settings, connector: Connector, credentials: Mapping[str, str]) -> App | None:
    """Return the app of a source: its own credentials go before the settings; None where neither names one."""
    own = credentials.get("client_id") or credentials.get("app_id")
    known = settings.oauth_apps.get(connector.name)
    if own:
        secret = credentials.get("client_secret", "")
        if not secret and known is not None and known.client_id == own and known.client_secret is not None:
            secret = known.client_secret.get_secret_value()
        return App(client_id=own, client_secret=secret)
    if known is None:
        return None
    return App(
        client_id=known.client_id,
        client_secret="" if known.client_secret is None else known.client_secret.get_secret_value(),
    )


# ------------------------------------------------------------------------------------------------ asking a person


def challenge_of(verifier: str) -> str:
    """Return the S256 challenge of a proof key (RFC 7636, 4.2)."""
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def authorize_url(auth: Auth, app: App, redirect: str, state: str, verifier: str | None) -> str:
    """Return the address where a person lets the app read the account. Raises :class:`ConnectorError` without one."""
    oauth = auth.oauth2
    if oauth is None or not oauth.authorize_url:
        raise ConnectorError("accounts of this platform are not connected by a login")
    query = {
        "response_type": "code",
        oauth.client_id: app.client_id,
        "redirect_uri": redirect,
        "state": state,
        "scope": oauth.scope_separator.join(auth.scopes),
        **oauth.parameters,
    }
    if verifier is not None:
        query |= {"code_challenge": challenge_of(verifier), "code_challenge_method": "S256"}
    parts = urlsplit(oauth.authorize_url)
    return urlunsplit(parts._replace(query=urlencode({k: v for k, v in query.items() if v}, quote_via=quote)))


# ------------------------------------------------------------------------------------------------ asking for tokens


async def ask(http: Http, call: TokenCall, app: App, carried: str, more: Mapping[str, str] | None = None) -> Granted:
    """Make one call to a token endpoint; ``carried`` is the code or token, ``more`` what goes with it.

    Raises :class:`Refused`; :class:`TryLater` for a passing fault, of which an :class:`Unreachable` that was sent
    leaves open what happened.
    """
    fields = _fields(call, app, carried) | dict(more or {})
    headers = {"accept": "application/json"} | _basic(call, app)
    path = urlsplit(call.url).path
    if call.method == "query":
        response = await http.get(path, fields, headers=headers)
    elif call.method == "json":
        body = msgspec.json.encode(fields)
        response = await http.post(path, body=body, headers=headers | {"content-type": "application/json"})
    else:
        form = {"content-type": "application/x-www-form-urlencoded"}
        response = await http.post(path, body=urlencode(fields).encode(), headers=headers | form)
    return _read(response, call)


def _fields(call: TokenCall, app: App, carried: str) -> dict[str, str]:
    by_header = call.basic and app.client_secret
    named = {
        "grant_type": call.grant,
        call.client_id: app.client_id,
        # A public client has no secret to prove itself with: its id stands in the call.
        call.client_secret: "" if by_header else app.client_secret,
    }
    return {name: value for name, value in named.items() if name and value} | {call.sends: carried}


def _basic(call: TokenCall, app: App) -> dict[str, str]:
    if not (call.basic and app.client_secret):
        return {}
    pair = f"{quote(app.client_id, safe='')}:{quote(app.client_secret, safe='')}"
    return {"authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


def _read(response: Response, call: TokenCall) -> Granted:
    try:
        body = msgspec.json.decode(response.body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise Unreachable(
            f"the token endpoint answered {response.status} with something that is not JSON", None, response
        )
    found = _answer(body, call.answer)
    token = found.get("access_token")
    if not isinstance(token, str) or not _is_token(token):
        raise _refusal(body, found, response)
    renews = found.get("refresh_token")
    return Granted(
        access_token=token,
        refresh_token=renews if isinstance(renews, str) and _is_token(renews) else None,
        expires_in=_seconds(found, "expires_in", "expires"),
        refresh_expires_in=_seconds(found, "refresh_expires_in", "refresh_token_expires_in"),
    )


def _answer(body: dict[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
    """Return the object that holds the tokens; where it is a list of one, that one."""
    found: Any = body
    for step in path:
        found = found.get(step) if isinstance(found, dict) else None
    listed = found.get("data") if isinstance(found, dict) and "access_token" not in found else None
    if isinstance(listed, list) and listed:
        found = listed[0]
    return found if isinstance(found, dict) else {}


def _is_token(text: str) -> bool:
    return 0 < len(text) <= _LONGEST_TOKEN and text.isascii() and text.isprintable()


def _seconds(found: Mapping[str, Any], *names: str) -> float | None:
    """Return a lifetime in seconds; some say it as text, and zero is said of what does not end."""
    for name in names:
        value = found.get(name)
        if isinstance(value, str) and value.isascii() and value.isdecimal():
            value = int(value[:12])
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= _LONGEST_LIFE:
            return float(value)
    return None


def _refusal(body: Mapping[str, Any], found: Mapping[str, Any], response: Response) -> Exception:
    error = body.get("error") or found.get("error")
    code = error.get("code") if isinstance(error, dict) else body.get("code")
    label = error if isinstance(error, str) and _WORD.fullmatch(error) else f"status {response.status}"
    if not isinstance(error, str) and (type(code) is int or (isinstance(code, str) and _WORD.fullmatch(code))):
        label = f"code {code}"
    transient = isinstance(error, dict) and (error.get("is_transient") is True or code in _PASSING_CODES)
    if transient or label in _PASSING_ERRORS:
        return TryLater(f"the token endpoint has a temporary fault ({label})", None, response)
    return Refused(label, dead=label not in _APP_ERRORS)


def end_of(oauth: OAuth2, granted: Granted, at: datetime) -> tuple[datetime | None, bool]:
    """Return when a token ends, and whether that is reckoned from its usual lifetime; None where nobody says."""
    if granted.expires_in is not None:
        return at + timedelta(seconds=granted.expires_in), False
    return (None, False) if oauth.lifetime is None else (at + oauth.lifetime, True)


def refresh_end_of(oauth: OAuth2, granted: Granted, at: datetime) -> datetime | None:
    """Return when the refresh token ends; None where it does not or is not known to."""
    if granted.refresh_expires_in is not None:
        return at + timedelta(seconds=granted.refresh_expires_in)
    return None if oauth.refresh_lifetime is None else at + oauth.refresh_lifetime
