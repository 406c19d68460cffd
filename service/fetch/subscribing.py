"""Asking platforms to push, and asking again before a lease ends. Each renewal is made by exactly one replica."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from uuid import UUID

import structlog

from connectors import contract
from connectors.contract import Connector, ConnectorError, Http, NeedsReauth, TryLater
from service import telemetry
from service.access.secrets import Vault
from service.context import Context
from service.db.engine import Database
from service.errors import Busy, Invalid, TallybookError
from service.fetch.tokens import Tokens
from service.records import SourceRow, SourceState
from service.registry import options, sources, subscriptions, workspaces
from service.settings import Settings

_log = structlog.get_logger(__name__)

CLAIM = timedelta(minutes=10)
_AGAIN = timedelta(minutes=15)


class Subscriber:
    """Subscribes sources at their platforms and keeps their leases alive."""

    def __init__(
        self,
        db: Database,
        context: Context,
        settings: Settings,
        vault: Vault,
        connectors: Mapping[str, Connector],
        http_for: Callable[[contract.Source, Connector], Http],
        tokens: Tokens,
    ) -> None:
        self._db = db
        self._context = context
        self._settings = settings
        self._vault = vault
        self._connectors = connectors
        self._http_for = http_for
        self._tokens = tokens

    async def subscribe(self, workspace_id: UUID, source_id: UUID) -> None:
        """Ask a source's platform to push. Raises NotFound, Invalid for a refusal, Busy for a passing fault."""
        async with self._db.workspace(workspace_id) as connection:
            row = await sources.load(connection, workspace_id, source_id)
        connector = options.connector_named(self._connectors, row.connector)
        try:
            await self._ask(row, connector, again=False)
        except TryLater as error:
            raise Busy(str(error), seconds=error.seconds or 60.0) from None
        except NeedsReauth as error:
            raise Invalid(str(error), code="needs_reauth") from None
        except ConnectorError as error:
            raise Invalid(str(error), code="not_subscribed") from None

    async def renew_due(self, workspace_id: UUID) -> int:
        """Renew the leases of a workspace that are due; return how many were. Failures are noted and tried again."""
        now = self._context.now()
        async with self._db.workspace(workspace_id) as connection:
            due = await subscriptions.claim_due(connection, workspace_id, now, now + CLAIM)
            rows = [await sources.load(connection, workspace_id, source_id) for source_id in due]
        renewed = 0
        for row in rows:
            renewed += await self._renew(row)
        return renewed

    async def _renew(self, row: SourceRow) -> bool:
        connector = self._connectors.get(row.connector)
        if connector is None:
            return await self._failed(row, "the connector is not installed")
        if row.state is SourceState.NEEDS_REAUTH:
            return await self._failed(row, "the account must be connected again first")
        try:
            await self._ask(row, connector, again=True)
        except (ConnectorError, TallybookError) as error:
            return await self._failed(row, str(error))
        return True

    async def _failed(self, row: SourceRow, error: str) -> bool:
        again = self._context.now() + _AGAIN
        async with self._db.workspace(row.workspace_id) as connection:
            await subscriptions.failed(connection, row.workspace_id, row.source_id, error, again)
        telemetry.SUBSCRIPTIONS.labels(row.connector, "failed").inc()
        _log.warning("subscription.failed", source=str(row.source_id), error=error[:200])
        return False

    async def _ask(self, row: SourceRow, connector: Connector, *, again: bool) -> None:
        row = await self._tokens.fresh(row, connector)
        async with self._db.workspace(row.workspace_id) as connection:
            vault = await workspaces.open_vault(connection, row.workspace_id, self._vault)
        known = sources.contract_source(row, vault, connector, self._settings.public_url)
        asked = connector.renew if again else connector.subscribe
        await asked(self._http_for(known, connector), known, self._context.now())
        async with self._db.workspace(row.workspace_id) as connection:
            lease = connector.capabilities.lease
            await subscriptions.begun(connection, row.workspace_id, row.source_id, self._context.now(), lease)
        telemetry.SUBSCRIPTIONS.labels(row.connector, "renewed" if again else "asked").inc()
