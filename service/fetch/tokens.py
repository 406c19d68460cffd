"""Tokens that end, renewed in time by exactly one of many processes.

A renewal is claimed by a row that is committed before the call leaves, so that no connection is held while a platform
thinks, and two replicas never use the same refresh token: where it rotates, the second use would revoke the account.
What comes back is kept before it is used. A claim that ran out without being given back means that an answer may be
lost: the old refresh token is then tried once, and its refusal ends in *needs to be connected again*, not in a storm.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta

import msgspec
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from connectors.contract import Auth, Connector, ConnectorError, NeedsReauth, OAuth2, TokenCall, TryLater, Unreachable
from service import telemetry
from service.access.secrets import Vault, WorkspaceVault
from service.context import Context
from service.db.engine import Database
from service.fetch import assertion
from service.fetch import oauth as protocol
from service.fetch.oauth import App, Granted, Refused, TokenHttp
from service.records import SourceRow, SourceState
from service.registry import options, rings, sources, terms, workspaces
from service.registry.terms import Terms
from service.settings import Settings

_log = structlog.get_logger(__name__)

LONGEST_PULL = timedelta(minutes=16)
"""A token lasts this long when a pull begins, where it lives long enough at all."""
CLAIM = timedelta(seconds=75)
"""A call to a token endpoint ends within this, the write after it included."""
JUST_NOW = timedelta(minutes=5)
"""A token that a platform refuses so soon after giving it is no token that ran out."""
_LOOKS = 400
_LOOK_SECONDS = 0.25
_AFTER_FAULT = timedelta(seconds=60)
_AFTER_APP_ERROR = timedelta(minutes=10)
_AFTER_REFUSAL = timedelta(days=1)
_REFRESH = "refresh_token"


class _Claimed(msgspec.Struct, frozen=True, kw_only=True):
    """A renewal that is ours: what is sent, and whether an earlier one never ended."""

    row: SourceRow
    terms: Terms
    app: App
    call: TokenCall
    carried: str
    interrupted: bool

    def __repr__(self) -> str:
        return "_Claimed(***)"


class Tokens:
    """Keeps the tokens of sources alive. It holds nothing in memory: the database decides."""

    def __init__(
        self,
        db: Database,
        context: Context,
        settings: Settings,
        vault: Vault,
        token_http: TokenHttp,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._db = db
        self._context = context
        self._settings = settings
        self._vault = vault
        self._http = token_http
        self._sleep = sleep

    async def fresh(self, row: SourceRow, connector: Connector, refused: str | None = None) -> SourceRow:
        """Return a source whose token lives for a while; ``refused`` is a token that its platform does not take.

        Raises :class:`NeedsReauth` where a person must connect the account again, :class:`TryLater` where the token
        has ended and cannot be renewed just now, :class:`ConnectorError` where the app is not set up.
        """
        auth = connector.auth_for(options.restored(connector, row.options))
        if auth.oauth2 is None:
            return row
        for _ in range(_LOOKS):
            found = await self._claim(row, connector, auth, auth.oauth2, refused)
            if isinstance(found, SourceRow):
                return found
            if isinstance(found, _Claimed):
                # It outlives whoever waits for it: an answer that is on its way must be kept.
                return await asyncio.shield(asyncio.create_task(self._renew(found, connector, auth, refused)))
            await self._sleep(_LOOK_SECONDS * (0.5 + self._context.uniform()))
        raise TryLater("the token is being renewed by another process", CLAIM.total_seconds())

    async def replaced(self, row: SourceRow, connector: Connector, refused: str) -> SourceRow | None:
        """Return the source with another token than the one that was refused; None where there is none to be had.

        A peer may have renewed it meanwhile: then nothing is asked. Raises as :meth:`fresh` but for NeedsReauth.
        """
        try:
            found = await self.fresh(row, connector, refused)
        except NeedsReauth:
            return None
        return found if await self._token_of(found, connector) != refused else None

    async def _token_of(self, row: SourceRow, connector: Connector) -> str:
        auth = connector.auth_for(options.restored(connector, row.options))
        async with self._db.workspace(row.workspace_id) as connection:
            vault = await workspaces.open_vault(connection, row.workspace_id, self._vault)
        return rings.unseal_credentials(vault, row.source_id, row.credentials).get(auth.token, "")

    # -------------------------------------------------------------------------------------------- claiming

    async def _claim(
        self, row: SourceRow, connector: Connector, auth: Auth, oauth: OAuth2, refused: str | None
    ) -> SourceRow | _Claimed | None:
        """Return the source where nothing is to be done, a claim, or None while another process has it."""
        now = self._context.now()
        async with self._db.workspace(row.workspace_id) as connection:
            row = await sources.load(connection, row.workspace_id, row.source_id, lock=True)
            vault = await workspaces.open_vault(connection, row.workspace_id, self._vault)
            credentials = rings.unseal_credentials(vault, row.source_id, row.credentials)
            known = await terms.load(connection, row, oauth)
            token = credentials.get(auth.token, "")
            is_refused = refused is not None and token == refused
            # An account of a machine begins with no token at all.
            is_none = oauth.key != "" and not token
            if not (is_refused or is_none or _is_due(known, oauth, now)):
                return row
            if known.claimed_until is not None and known.claimed_until > now:
                return None
            _require_old(known, now, is_refused=is_refused)
            if known.next_try is not None and known.next_try > now and not is_refused:
                return _still(row, known, now, is_refused=is_none)
            app = protocol.app_of(self._settings, connector, credentials) or _no_app(oauth)
            lacking = _lacking(oauth, app, credentials, token)
            if lacking or oauth.refresh is None or app is None:
                return _still(row, known, now, lacking, is_refused=is_refused or is_none)
            carried = _carried(auth, oauth, credentials, now)
            claimed = msgspec.structs.replace(known, claimed_until=now + CLAIM)
            await terms.keep(connection, row, claimed)
        return _Claimed(
            row=row,
            terms=known,
            app=app,
            call=oauth.refresh,
            carried=carried,
            interrupted=known.claimed_until is not None,
        )

    # -------------------------------------------------------------------------------------------- renewing

    async def _renew(self, claimed: _Claimed, connector: Connector, auth: Auth, refused: str | None) -> SourceRow:
        """Make the one call and keep what it says, whatever that is."""
        outcome = "renewed"
        try:
            granted = await protocol.ask(
                self._http(connector, claimed.call.url), claimed.call, claimed.app, claimed.carried
            )
            return await self._keep(claimed, auth, granted)
        except Refused as refusal:
            outcome = "refused" if refusal.dead else "app_refused"
            return await self._take_no(claimed, auth, refusal, refused)
        except TryLater as error:
            outcome = "failed"
            return await self._go_on(claimed, auth, error, refused)
        finally:
            telemetry.TOKEN_RENEWALS.labels(connector.name, outcome).inc()

    async def _keep(self, claimed: _Claimed, auth: Auth, granted: Granted) -> SourceRow:
        """Keep new tokens before anybody uses them; where a person brought others meanwhile, those stay."""
        async with self._db.workspace(claimed.row.workspace_id) as connection:
            row, known, unchanged = await self._look_again(connection, claimed, auth)
            if not unchanged:
                return row
            vault = await workspaces.open_vault(connection, row.workspace_id, self._vault)
            return await keep(connection, row, vault, auth, granted, known.generation + 1, self._context)

    async def _take_no(self, claimed: _Claimed, auth: Auth, refusal: Refused, refused: str | None) -> SourceRow:
        """A refusal ends the account's connection, unless a peer was faster or a living token goes on without it."""
        now = self._context.now()
        async with self._db.workspace(claimed.row.workspace_id) as connection:
            row, known, unchanged = await self._look_again(connection, claimed, auth)
            if not unchanged:
                return row
            lives = refused is None and _is_alive(known, now)
            goes_on = lives and auth.oauth2 is not None and (not refusal.dead or terms.renews_itself(auth.oauth2))
            text = _why(refusal, interrupted=claimed.interrupted)
            again = now + (_AFTER_REFUSAL if refusal.dead else _AFTER_APP_ERROR)
            await terms.keep(connection, row, terms.unclaimed(known, error=text, next_try=again))
            if goes_on:
                return row
            if refusal.dead:
                state = SourceState.NEEDS_REAUTH
                await sources.set_state(connection, row.workspace_id, row.source_id, state, self._context, text)
        _log.warning("token.refused", source=str(row.source_id), error=refusal.label)
        raise NeedsReauth(text) if refusal.dead else ConnectorError(text)

    async def _go_on(self, claimed: _Claimed, auth: Auth, error: TryLater, refused: str | None) -> SourceRow:
        """A passing fault: a token that lives is used on. Where an answer may be lost the claim stays as a mark."""
        now = self._context.now()
        async with self._db.workspace(claimed.row.workspace_id) as connection:
            row, known, unchanged = await self._look_again(connection, claimed, auth)
            if not unchanged:
                return row
            waited = timedelta(seconds=error.seconds) if error.seconds is not None else _AFTER_FAULT
            left = terms.unclaimed(known, error=str(error), next_try=now + max(waited, _AFTER_FAULT))
            if isinstance(error, Unreachable) and error.sent:
                left = msgspec.structs.replace(left, claimed_until=now)
            await terms.keep(connection, row, left)
            if refused is None and _is_alive(known, now):
                return row
        raise error

    async def _look_again(
        self, connection: AsyncConnection, claimed: _Claimed, auth: Auth
    ) -> tuple[SourceRow, Terms, bool]:
        """Lock the source and read it once more: (row, terms, whether its tokens are those that were claimed)."""
        row = await sources.load(connection, claimed.row.workspace_id, claimed.row.source_id, lock=True)
        known = await terms.load(connection, row, auth.oauth2)
        unchanged = known.generation == claimed.terms.generation and row.credentials == claimed.row.credentials
        if not unchanged and known.generation == claimed.terms.generation:
            await terms.keep(connection, row, terms.unclaimed(known))
        return row, known, unchanged


async def keep(
    connection: AsyncConnection,
    row: SourceRow,
    vault: WorkspaceVault,
    auth: Auth,
    granted: Granted,
    generation: int,
    context: Context,
) -> SourceRow:
    """Write tokens and their terms into a source that is locked; a refresh token that is not replaced stays."""
    now, oauth = context.now(), auth.oauth2 or _NO_LOGIN
    credentials = rings.unseal_credentials(vault, row.source_id, row.credentials)
    credentials[auth.token] = granted.access_token
    older = await terms.load(connection, row, oauth)
    refresh_end = older.refresh_expires_at
    if granted.refresh_token is not None:
        refresh_end = protocol.refresh_end_of(oauth, granted, now)
        if granted.refresh_token == credentials.get(_REFRESH) and granted.refresh_expires_in is None:
            refresh_end = older.refresh_expires_at or refresh_end
        credentials[_REFRESH] = granted.refresh_token
    sealed = rings.seal_credentials(vault, row.source_id, credentials)
    end, estimated = protocol.end_of(oauth, granted, now)
    new = Terms(
        obtained_at=now,
        expires_at=end,
        refresh_expires_at=refresh_end,
        estimated=estimated,
        generation=generation,
    )
    await terms.keep(connection, row, new)
    return await sources.update(connection, row, context, credentials=sealed)


_NO_LOGIN = OAuth2(authorize_url="", code=TokenCall(url="", grant="", sends=""))


# ------------------------------------------------------------------------------------------------ rules


def _is_due(known: Terms, oauth: OAuth2, now: datetime) -> bool:
    if known.expires_at is None:
        return False
    if oauth.refresh is None:
        return not known.estimated and known.expires_at <= now
    return known.expires_at - terms.margin(oauth, LONGEST_PULL) <= now


def _is_alive(known: Terms, now: datetime) -> bool:
    """An end that was reckoned is no end: the platform says when it is over."""
    return known.expires_at is None or known.estimated or known.expires_at > now


def _require_old(known: Terms, now: datetime, *, is_refused: bool) -> None:
    if is_refused and known.generation > 0 and known.obtained_at > now - JUST_NOW:
        raise NeedsReauth("the platform does not take a token that it has just given: connect the account again")


def _no_app(oauth: OAuth2) -> App | None:
    """Return the app of an account of a machine, which speaks for itself; None where one is needed."""
    return App(client_id="") if oauth.key else None


def _carried(auth: Auth, oauth: OAuth2, credentials: Mapping[str, str], now: datetime) -> str:
    """Return what renews a token: the key's word for it, the token itself, or a refresh token."""
    if oauth.key and oauth.refresh is not None:
        return assertion.signed(auth, credentials[oauth.key], oauth.refresh.url, now)
    return credentials[auth.token if terms.renews_itself(oauth) else _REFRESH]


def _lacking(oauth: OAuth2, app: App | None, credentials: Mapping[str, str], token: str) -> str:
    """Return what is missing to renew a token, in plain words; empty where nothing is."""
    call = oauth.refresh
    if call is None:
        return "the platform renews no tokens"
    if oauth.key:
        return "" if credentials.get(oauth.key) else "there is no key of a service account"
    if app is None and (call.client_id or call.client_secret or call.basic):
        return "no app is set up that could renew it"
    carried = token if terms.renews_itself(oauth) else credentials.get(_REFRESH, "")
    return "" if carried else "there is no refresh token"


def lacking_to_renew(auth: Auth, app: App | None, credentials: Mapping[str, str]) -> str:
    """Return why a source's token is not renewed without a person, in plain words; empty where it is."""
    return "" if auth.oauth2 is None else _lacking(auth.oauth2, app, credentials, credentials.get(auth.token, ""))


def _still(row: SourceRow, known: Terms, now: datetime, lacking: str = "", *, is_refused: bool = False) -> SourceRow:
    """Return the source where its token may still be used. Raises where it has ended."""
    if not is_refused and _is_alive(known, now):
        return row
    if lacking:
        raise NeedsReauth(f"the access token has ended and {lacking}: connect the account again")
    wait = None if known.next_try is None else (known.next_try - now).total_seconds()
    raise TryLater(f"the token could not be renewed: {known.error}", wait)


def _why(refusal: Refused, *, interrupted: bool) -> str:
    if not refusal.dead:
        return f"the app's id or secret is not accepted ({refusal.label}): look at its settings"
    if interrupted:
        return "a renewal of the token was interrupted and its answer is lost: connect the account again"
    return f"the platform renews the token no more ({refusal.label}): connect the account again"
