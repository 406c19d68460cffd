"""Connecting an account by a login at its platform: the address to go to, and what is made of the code that comes back.

The two halves meet in a state that is random, kept hashed, bound to its workspace, good once and for ten minutes. No
transaction is open while the platform is asked.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from connectors.contract import Auth, Connector, ConnectorError, OAuth2, TryLater
from service.access.secrets import Vault
from service.context import Context
from service.db.engine import Database
from service.errors import Busy, Invalid, NotFound
from service.fetch import oauth as protocol
from service.fetch import tokens
from service.fetch.oauth import App, Granted, Refused, TokenHttp
from service.records import SourceRow, SourceState
from service.registry import connections, options, rings, sources, terms, workspaces
from service.registry.connections import Wanted
from service.registry.sources import NewSource
from service.settings import Settings

CALLBACK = "/v1/sources/callback"


class Login(msgspec.Struct, frozen=True, kw_only=True):
    """Where a person lets the app read the account, and until when. Its repr hides the state."""

    url: str
    redirect: str
    expires_at: datetime

    def __repr__(self) -> str:
        return "Login(***)"


class Connected(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a login."""

    row: SourceRow
    created: bool


class Logins:
    """Begins and finishes logins."""

    def __init__(
        self,
        db: Database,
        context: Context,
        settings: Settings,
        vault: Vault,
        connectors: Mapping[str, Connector],
        token_http: TokenHttp,
    ) -> None:
        self._db = db
        self._context = context
        self._settings = settings
        self._vault = vault
        self._connectors = connectors
        self._http = token_http

    # -------------------------------------------------------------------------------------------- begin

    async def begin(self, workspace_id: UUID, wanted: NewSource, source_id: UUID | None = None) -> Login:
        """Return where to send a person to connect a new source, or one that is there. Raises Invalid, NotFound."""
        redirect = self._redirect()
        connector = options.connector_named(self._connectors, wanted.connector)
        async with self._db.workspace(workspace_id) as connection:
            vault = await workspaces.open_vault(connection, workspace_id, self._vault)
            stored: Mapping[str, Any] = wanted.options
            credentials: Mapping[str, str] = {}
            if source_id is not None:
                row = await sources.load(connection, workspace_id, source_id)
                if row.connector != connector.name:
                    raise NotFound("no such source of this connector")
                stored = row.options
                credentials = rings.unseal_credentials(vault, source_id, row.credentials)
            auth, oauth, app = self._way(connector, stored, credentials)
            verifier = _verifier(self._context) if oauth.pkce else None
            state = connections.new_state(workspace_id, self._context)
            kept = Wanted(
                connector=connector.name,
                redirect=redirect,
                source_id=source_id,
                name=wanted.name,
                account=wanted.account,
                platform=options.platform_of(connector, wanted.platform),
                options=dict(wanted.options),
                verifier=verifier,
            )
            until = await connections.begin(connection, vault, state, kept, self._context.now())
        url = protocol.authorize_url(auth, app, redirect, state, verifier)
        return Login(url=url, redirect=redirect, expires_at=until)

    def _redirect(self) -> str:
        if self._settings.public_url is None:
            raise Invalid("TALLYBOOK_PUBLIC_URL is not set: the platform does not know where to come back to")
        return self._settings.public_url.rstrip("/") + CALLBACK

    def _way(
        self, connector: Connector, stored: Mapping[str, Any], credentials: Mapping[str, str]
    ) -> tuple[Auth, OAuth2, App]:
        auth = connector.auth_for(options.decode(connector, stored))
        if auth.oauth2 is None or not auth.oauth2.authorize_url:
            raise Invalid(f"{connector.name} has no login: give its credentials by hand", code="no_login")
        app = protocol.app_of(self._settings, connector, credentials)
        if app is None:
            variable = f"TALLYBOOK_OAUTH_{connector.name.upper()}_CLIENT_ID"
            raise Invalid(f"no app is set up at {connector.title}: set {variable}", code="no_app")
        return auth, auth.oauth2, app

    # -------------------------------------------------------------------------------------------- finish

    async def finish(self, state: str, code: str | None, error: str | None) -> Connected:
        """Trade the code of a login for tokens and keep them in its source.

        Raises NotFound for a state that is unknown, used or too old, Invalid for a refusal, Busy for a passing fault.
        A code works once: after a fault the person begins again.
        """
        workspace_id = connections.workspace_of(state)
        wanted = None if workspace_id is None else await self._take(workspace_id, state)
        if workspace_id is None or wanted is None:
            raise NotFound("this login is unknown, used or more than ten minutes old: begin again")
        if code is None:
            raise Invalid(f"the platform gave no access ({protocol.word(error)})", code="not_connected")
        connector = options.connector_named(self._connectors, wanted.connector)
        auth, oauth, app = await self._way_of(workspace_id, connector, wanted)
        granted = await self._redeem(connector, oauth, app, code, wanted)
        async with self._db.workspace(workspace_id) as connection:
            vault = await workspaces.open_vault(connection, workspace_id, self._vault)
            row, created = await self._source(connection, workspace_id, wanted)
            known = await terms.load(connection, row, oauth)
            row = await tokens.keep(connection, row, vault, auth, granted, known.generation + 1, self._context)
        if row.state is SourceState.NEEDS_REAUTH:
            async with self._db.workspace(workspace_id) as connection:
                row = await sources.resume(connection, workspace_id, row.source_id, self._context)
        return Connected(row=row, created=created)

    async def _take(self, workspace_id: UUID, state: str) -> Wanted | None:
        async with self._db.workspace(workspace_id) as connection:
            try:
                vault = await workspaces.open_vault(connection, workspace_id, self._vault)
            except NotFound:
                return None
            return await connections.take(connection, vault, state, self._context.now())

    async def _way_of(self, workspace_id: UUID, connector: Connector, wanted: Wanted) -> tuple[Auth, OAuth2, App]:
        if wanted.source_id is None:
            return self._way(connector, wanted.options, {})
        async with self._db.workspace(workspace_id) as connection:
            vault = await workspaces.open_vault(connection, workspace_id, self._vault)
            row = await sources.load(connection, workspace_id, wanted.source_id)
        return self._way(connector, row.options, rings.unseal_credentials(vault, row.source_id, row.credentials))

    async def _redeem(self, connector: Connector, oauth: OAuth2, app: App, code: str, wanted: Wanted) -> Granted:
        more = {"redirect_uri": wanted.redirect}
        if wanted.verifier is not None:
            more["code_verifier"] = wanted.verifier
        try:
            first = await protocol.ask(self._http(connector, oauth.code.url), oauth.code, app, code, more)
            if oauth.exchange is None:
                return first
            client = self._http(connector, oauth.exchange.url)
            return await protocol.ask(client, oauth.exchange, app, first.access_token)
        except Refused as refusal:
            raise Invalid(f"the platform does not take the code ({refusal.label})", code="not_connected") from None
        except TryLater as error:
            raise Busy(f"{error}: begin again", seconds=error.seconds or 30.0) from None
        except ConnectorError as error:
            raise Invalid(str(error), code="not_connected") from None

    async def _source(self, connection: AsyncConnection, workspace_id: UUID, wanted: Wanted) -> tuple[SourceRow, bool]:
        """Return the source to keep tokens in, locked; a new one where none was named."""
        if wanted.source_id is not None:
            return await sources.load(connection, workspace_id, wanted.source_id, lock=True), False
        vault = await workspaces.open_vault(connection, workspace_id, self._vault)
        new = NewSource(
            connector=wanted.connector,
            name=wanted.name,
            account=wanted.account,
            platform=wanted.platform,
            options=wanted.options,
        )
        made = await sources.create(connection, workspace_id, new, self._connectors, vault, self._context)
        return await sources.load(connection, workspace_id, made.row.source_id, lock=True), True


def _verifier(context: Context) -> str:
    """Return a proof key of 43 characters (RFC 7636, 4.1)."""
    return base64.urlsafe_b64encode(context.token(32)).rstrip(b"=").decode()
