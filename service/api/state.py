"""What every route may use, made once by the composition root and kept in ``app.state.services``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from fastapi import Depends, Request
from sqlalchemy.ext.asyncio import AsyncConnection

from connectors import contract
from connectors.contract import Connector
from service.access.secrets import Vault
from service.context import Context
from service.db.engine import Database
from service.fetch.logins import Logins
from service.fetch.standing import Standings
from service.fetch.subscribing import Subscriber
from service.fetch.tokens import Tokens
from service.inbox.land import Lander
from service.records import CampaignVersion, Settled, Verdict
from service.settings import Settings

RecordVersion = Callable[[AsyncConnection, UUID, UUID, CampaignVersion, Context], Awaitable[int]]
"""Writes the next version of a campaign (workspace, campaign) and returns its number."""
Reassign = Callable[[AsyncConnection, UUID, Iterable[UUID], Context], Awaitable[None]]
"""Decides campaigns of a workspace anew."""
FinishMoves = Callable[[UUID], Awaitable[None]]
"""Moves the subjects of a workspace that wait for it, in transactions of its own."""
SettleFall = Callable[[AsyncConnection, UUID, UUID, str, datetime, Verdict, str, Context], Awaitable[Settled]]
"""Says what a fall is (workspace, subject, metric, instant, verdict, who says it)."""

RecordPolicy = Callable[[AsyncConnection, UUID, str, str, Mapping[str, Any], Context], Awaitable[int]]
"""Writes the next version of a policy (workspace, kind, name, body) and returns its number."""


class Services(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of a running process. ``revision`` is the newest migration that the code knows.

    ``http_for`` gives a connector its client towards its platform, ``tokens`` keeps its tokens alive,
    ``logins`` connects accounts, ``subscriber`` asks platforms to push, ``standings`` says how a source stands.
    ``record_version``, ``reassign``, ``finish_moves``, ``settle_fall`` and ``record_policy`` are the ledger's: HTTP
    reaches it through what it is handed.
    """

    settings: Settings
    context: Context
    db: Database
    vault: Vault
    connectors: Mapping[str, Connector]
    lander: Lander
    http_for: Callable[[contract.Source, Connector], contract.Http]
    tokens: Tokens
    logins: Logins
    subscriber: Subscriber
    standings: Standings
    revision: str
    record_version: RecordVersion
    reassign: Reassign
    finish_moves: FinishMoves
    settle_fall: SettleFall
    record_policy: RecordPolicy


async def services_of(request: Request) -> Services:
    """Return the parts that the composition root made. A coroutine: plain functions are sent to a thread."""
    made: Services = request.app.state.services
    return made


Parts = Annotated[Services, Depends(services_of)]
