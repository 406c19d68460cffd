"""How deliveries become durable, whatever road they came: nobody is told *stored* before it is committed.

Webhooks and uploads go through :class:`Lander` and share commits. A fetched page is written in the caller's
transaction, beside the cursor after it (:func:`land_pages`). Nothing is parsed here.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from connectors.contract import Delivery, Page, fingerprint
from service.context import Context
from service.db.engine import Database, driver
from service.errors import TooLarge
from service.inbox.commit import Limits, SharedCommit
from service.inbox.store import Landed, Landing, key_hash, store
from service.records import SourceRow
from service.settings import Settings

SIGNATURES = (
    *(f"{family}-{part}" for family in ("webhook", "svix") for part in ("id", "timestamp", "signature")),
    "x-hub-signature",
    "x-hub-signature-256",
)
"""Headers of signatures that many senders share, for connectors that declare none of their own."""
_LONGEST_NAME = 200


def kept_headers(headers: Mapping[str, str], signatures: Collection[str] = SIGNATURES) -> dict[str, str]:
    """Return the headers that are kept with a delivery: its type and what its signature can be checked with again.

    Nothing that opens a door is (Authorization, Cookie); a value with control characters verifies nothing.
    """
    wanted = {"content-type", *signatures}
    return {
        name.lower(): value
        for name, value in headers.items()
        if name.lower() in wanted and (name + value).isprintable()
    }


def _landing(
    source: SourceRow,
    delivery: Delivery,
    key: str,
    options: Mapping[str, Any],
    context: Context,
    signatures: Collection[str] = (),
) -> Landing:
    return Landing(
        workspace_id=source.workspace_id,
        source_id=source.source_id,
        delivery_id=context.new_id(),
        received_at=delivery.received_at,
        channel=delivery.channel,
        connector=source.connector,
        options=msgspec.json.encode(options).decode(),
        headers=msgspec.json.encode(kept_headers(delivery.headers, signatures or SIGNATURES)).decode(),
        request=msgspec.json.encode(delivery.request).decode(),
        body=delivery.body,
        body_hash=hashlib.sha256(delivery.body).digest(),
        key_hash=key_hash(f"{delivery.channel}:{key}"),
    )


async def land_pages(
    connection: AsyncConnection, source: SourceRow, pages: Sequence[Page], task: Sequence[str], context: Context
) -> list[Landed]:
    """Keep fetched pages in the caller's workspace transaction, which also moves the cursor; say what became of each.

    ``task`` names the unit of pulling (kind and slot). The same answer to the same request of one task is one delivery;
    in another slot it is a reading of its own, even where nothing changed.
    """
    landings = []
    for page in pages:
        key = fingerprint(*task, msgspec.json.encode(page.request, order="sorted"), page.body)
        delivery = Delivery(channel="fetch", body=page.body, received_at=page.received_at, request=page.request)
        landings.append(_landing(source, delivery, key, source.options, context))
    return await store(await driver(connection), landings, context.now())


class Lander:
    """Takes deliveries in. ``landed`` is set after each commit: a worker in the same process need not poll."""

    def __init__(self, db: Database, context: Context, settings: Settings, limits: Limits | None = None) -> None:
        self._commit = SharedCommit(db, context, limits or Limits(alone_queue_bytes=2 * settings.max_upload))
        self._context = context
        self._settings = settings

    @property
    def landed(self) -> asyncio.Event:
        return self._commit.landed

    async def start(self) -> None:
        """Begin to take deliveries; until then all are refused."""
        self._commit.start()

    async def stop(self) -> None:
        """Take no more, and return when those that wait are stored or refused."""
        await self._commit.stop()

    async def land(
        self,
        source: SourceRow,
        *,
        key: str,
        body: bytes,
        channel: str = "webhook",
        headers: Mapping[str, str] | None = None,
        request: Mapping[str, str] | None = None,
        options: Mapping[str, Any] | None = None,
        signatures: Collection[str] = (),
    ) -> Landed:
        """Keep a delivery and return once it is committed. ``key`` is its idempotency key within the source.

        ``options`` defaults to the source's; ``signatures`` names the headers that its connector verifies with. Raises
        :class:`service.errors.Busy` when it was not committed (or this is not known: sent again it is then a
        duplicate), :class:`service.errors.Invalid` when it cannot be kept at all.
        """
        now = self._context.now()
        delivery = Delivery(channel=channel, body=body, received_at=now, headers=headers or {}, request=request or {})
        chosen = source.options if options is None else options
        return await self._commit.write(_landing(source, delivery, key, chosen, self._context, signatures))

    async def land_upload(
        self, source: SourceRow, body: bytes, *, filename: str = "", options: Mapping[str, Any] | None = None
    ) -> Landed:
        """Keep an uploaded file; ``options`` override the source's for this file. Errors as for :meth:`land`.

        The same bytes with the same options are one delivery, whatever the file is called. Raises
        :class:`service.errors.TooLarge` too.
        """
        if len(body) > self._settings.max_upload:
            raise TooLarge(f"a file has at most {self._settings.max_upload} bytes")
        merged = {**source.options, **(options or {})}
        key = fingerprint(body, msgspec.json.encode(merged, order="sorted"))
        name = "".join(letter for letter in filename if letter.isprintable())[:_LONGEST_NAME]
        request = {"filename": name} if name else {}
        return await self.land(source, key=key, body=body, channel="upload", request=request, options=merged)
