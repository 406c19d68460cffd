"""Workspaces, sources and a small connector for tests of the inbox, the worker and the fetcher."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from connectors.contract import (
    BadPayload,
    Capabilities,
    Connector,
    Delivery,
    FetchKind,
    Http,
    Item,
    Outcome,
    Page,
    Reply,
    SignatureInvalid,
    Source,
    Task,
    Verified,
    WebhookRequest,
    fingerprint,
)
from service import context as contexts
from service.access.secrets import Vault
from service.context import Context
from service.db.engine import Database
from service.db.tables import books, sources, tenants, workspaces
from service.fetch.plan import slot_of
from service.records import ClaimedDelivery, Fate, SourceRow, SourceState
from service.records import Outcome as PostedOutcome
from service.settings import Settings

SETTINGS = Settings(retry_seconds=0.0, worker_poll_seconds=0.05)
VAULT = Vault(base64.b64encode(bytes(32)).decode(), contexts.real())


class Clock:
    """A clock that tests move by hand; ids and randomness are real."""

    def __init__(self) -> None:
        self.real = contexts.real()
        self.ahead = timedelta()

    def now(self) -> datetime:
        return self.real.now() + self.ahead

    def context(self) -> Context:
        return msgspec.structs.replace(self.real, now=self.now, uniform=lambda: 1.0)


async def make_workspace(db: Database, context: Context) -> UUID:
    workspace_id, now = context.new_id(), context.now()
    async with db.workspace(workspace_id) as connection:
        await connection.execute(tenants.insert().values(workspace_id=workspace_id, created_at=now))
        await connection.execute(
            workspaces.insert().values(
                workspace_id=workspace_id,
                name="w",
                zone="UTC",
                currency="EUR",
                data_key=VAULT.new_data_key(workspace_id),
                created_at=now,
            )
        )
        await connection.execute(books.insert().values(workspace_id=workspace_id, posting=0, recorded_at=now))
    return workspace_id


_SLOTS = (
    (timedelta(minutes=15), "all", 1 / 15),
    (timedelta(hours=6), "posts", 1 / 2),
    (timedelta(days=7), "posts", 1 / 2),
    (timedelta(hours=6), "numbers", 1 / 2),
    (timedelta(hours=6), "words", 1 / 2),
    (timedelta(hours=6), "lists", 1 / 2),
)
"""Lengths of slots and kinds of tasks that tests use, and the part of a slot that may be over when a test begins."""


def _early_in_its_slots(context: Context, now: datetime) -> UUID:
    """Return an id whose slots have just begun: a test that moves the clock must not meet the next one by chance."""
    while True:
        source_id = context.new_id()
        if all((now - slot_of(now, every, source_id, kind)) / every < most for every, kind, most in _SLOTS):
            return source_id


async def make_source(db: Database, context: Context, workspace_id: UUID | None = None, **changes: Any) -> SourceRow:
    workspace_id = workspace_id or await make_workspace(db, context)
    now = context.now()
    row = SourceRow(
        workspace_id=workspace_id,
        source_id=_early_in_its_slots(context, now),
        connector="toy",
        platform="toy",
        account="",
        name="toy",
        options={},
        credentials=None,
        secrets=None,
        counts=True,
        tracks_from=now,
        state=SourceState.ACTIVE,
        state_detail="",
        created_at=now,
        updated_at=now,
    )
    row = msgspec.structs.replace(row, **changes)
    values = {name: getattr(row, name) for name in SourceRow.__struct_fields__} | {"state": row.state.value}
    async with db.workspace(workspace_id) as connection:
        await connection.execute(sources.insert().values(values))
    return row


async def rows(db: Database, workspace_id: UUID, query: str, **values: Any) -> list[Any]:
    """Return what a query sees inside the workspace; ``:w`` is its id."""
    async with db.workspace(workspace_id) as connection:
        return list(await connection.execute(sa.text(query), {"w": workspace_id, **values}))


async def count(db: Database, workspace_id: UUID, table: str) -> int:
    ((found,),) = await rows(db, workspace_id, f"select count(*) from {table} where workspace_id = :w")
    return int(found)


# ------------------------------------------------------------------------------------------------ connector


class ToyOptions(msgspec.Struct, frozen=True, kw_only=True):
    flavour: str = ""


Fetch = Callable[[Http, Task, datetime], AsyncIterator[Page]]


class Toy(Connector):
    """Signed when the header says so; an unreadable body says ``bad``."""

    name = "toy"
    title = "Toy"
    version = "1"
    platform = "toy"
    options = ToyOptions
    capabilities = Capabilities(
        webhook=True,
        upload=True,
        max_body=4096,
        fetch=(FetchKind(name="all", every=timedelta(minutes=15), look_back=timedelta(days=3)),),
    )

    def __init__(self, fetch: Fetch | None = None) -> None:
        self._fetch = fetch

    def handshake(self, request: WebhookRequest, source: Source) -> Reply | None:
        challenge = request.query.get("challenge")
        return None if challenge is None else Reply(status=200, body=challenge.encode())

    def verify(self, request: WebhookRequest, source: Source, now: datetime) -> Verified:
        if request.headers.get("webhook-signature") != "good":
            raise SignatureInvalid("no")
        return Verified(key=request.headers.get("webhook-id") or fingerprint(request.body))

    def reply(self, outcome: Outcome) -> Reply:
        status = 401 if outcome is Outcome.BAD_SIGNATURE else 200
        return Reply(status=status, body=outcome.value.encode(), headers={"x-toy": "yes"})

    def parse(self, delivery: Delivery, options: Any) -> Iterable[Item]:
        if delivery.body.startswith(b"bad"):
            raise BadPayload("bad")
        return ()

    def fetch(self, http: Http, task: Task, now: datetime) -> AsyncIterator[Page]:
        if self._fetch is None:
            return super().fetch(http, task, now)
        return self._fetch(http, task, now)


# ------------------------------------------------------------------------------------------------ posting


class FakePost:
    """Stands in for the ledger: notes what it was given and lets a test interfere before it answers."""

    def __init__(self, hook: Callable[[Sequence[ClaimedDelivery]], Any] | None = None) -> None:
        self.hook = hook
        self.batches: list[list[ClaimedDelivery]] = []
        self.exclusive: list[bool] = []

    @property
    def bodies(self) -> list[bytes]:
        return [delivery.body for batch in self.batches for delivery in batch]

    async def __call__(
        self,
        connection: AsyncConnection,
        workspace_id: UUID,
        source: SourceRow,
        deliveries: Sequence[ClaimedDelivery],
        connector_of: Callable[[str], Connector],
        context: Context,
        *,
        exclusive: bool = False,
    ) -> list[PostedOutcome]:
        self.exclusive.append(exclusive)
        if self.hook is not None:
            result = self.hook(deliveries)
            if hasattr(result, "__await__"):
                await result
        self.batches.append(list(deliveries))
        return [outcome_of(delivery, connector_of) for delivery in deliveries]


def outcome_of(delivery: ClaimedDelivery, connector_of: Callable[[str], Connector]) -> PostedOutcome:
    dead = delivery.body.startswith(b"bad")
    return PostedOutcome(
        delivery_id=delivery.delivery_id,
        received_at=delivery.received_at,
        fate=Fate.DEAD if dead else Fate.POSTED,
        connector_version=connector_of(delivery.connector).version,
        items=1,
        drops=({"reason": "malformed", "row": 1, "detail": "a \x00 b"},),
        error="BadPayload" if dead else "",
    )


TOYS: Mapping[str, Connector] = {"toy": Toy()}
