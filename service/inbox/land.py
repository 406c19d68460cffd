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
from service.inbox.commit import Limits, SharedCommit, Waiter
from service.inbox.store import Landed, Landing, Origin, key_hash, store
from service.records import SourceRow
from service.settings import Settings

SIGNATURES = (
    *(f"{family}-{part}" for family in ("webhook", "svix") for part in ("id", "timestamp", "signature")),
    "x-hub-signature",
    "x-hub-signature-256",
)
"""Headers of signatures that many senders share, for connectors that declare none of their own."""
_KEPT = frozenset({"content-type", *SIGNATURES})
_LONGEST_NAME = 200


def kept_headers(headers: Mapping[str, str], wanted: Collection[str] = _KEPT) -> dict[str, str]:
    """Return the wanted ones of headers, without control characters. Nothing that opens a door is wanted."""
    return {
        lower: value
        for name, value in headers.items()
        if (lower := name.lower()) in wanted and lower.isprintable() and value.isprintable()
    }


def origin_of(
    source: SourceRow,
    channel: str = "webhook",
    options: Mapping[str, Any] | None = None,
    signatures: Collection[str] = (),
) -> Origin:
    """Return what the deliveries of a source by one channel have in common; ``options`` defaults to the source's.

    ``signatures`` names the headers that its connector verifies with.
    """
    return Origin(
        workspace_id=source.workspace_id,
        source_id=source.source_id,
        channel=channel,
        connector=source.connector,
        options=_text(source.options if options is None else options),
        prefix=source.workspace_id.bytes + source.source_id.bytes,
        headers=frozenset({"content-type", *signatures}) if signatures else _KEPT,
    )


def landing(origin: Origin, delivery: Delivery, key: str, context: Context, body_hash: bytes | None = None) -> Landing:
    """Return a delivery as it is kept, with an id of its own; ``key`` is its idempotency key within the source."""
    return Landing(
        origin=origin,
        slot=origin.prefix + key_hash(f"{origin.channel}:{key}"),
        delivery_id=context.new_id(),
        received_at=delivery.received_at,
        headers=_text(kept_headers(delivery.headers, origin.headers)),
        request=_text(delivery.request) if delivery.request else "{}",
        body=delivery.body,
        body_hash=body_hash or hashlib.sha256(delivery.body).digest(),
    )


def _text(value: Mapping[str, Any]) -> str:
    return msgspec.json.encode(value).decode()


async def land_pages(
    connection: AsyncConnection, source: SourceRow, pages: Sequence[Page], task: Sequence[str], context: Context
) -> list[Landed]:
    """Keep fetched pages in the caller's workspace transaction, which also moves the cursor; say what became of each.

    ``task`` names the unit of pulling (kind and slot). The same answer to the same request of one task is one delivery;
    in another slot it is a reading of its own, even where nothing changed.
    """
    origin = origin_of(source, "fetch")
    landings = []
    for page in pages:
        body_hash = hashlib.sha256(page.body).digest()  # once: of a large page it is much of what keeping it takes
        key = fingerprint(*task, msgspec.json.encode(page.request, order="sorted"), body_hash)
        delivery = Delivery(channel="fetch", body=page.body, received_at=page.received_at, request=page.request)
        landings.append(landing(origin, delivery, key, context, body_hash))
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
    ) -> Landed:
        """Keep a delivery and return once it is committed. ``key`` is its idempotency key within the source.

        ``options`` defaults to the source's. Raises :class:`service.errors.Busy` when it was not committed (or this is
        not known: sent again it is then a duplicate), :class:`service.errors.Invalid` when it cannot be kept at all.
        """
        new = Delivery(
            channel=channel, body=body, received_at=self._context.now(), headers=headers or {}, request=request or {}
        )
        return await self.submit(origin_of(source, channel, options), new, key)

    def submit(self, origin: Origin, delivery: Delivery, key: str) -> asyncio.Future[Landed]:
        """Take a delivery in and return what tells when it is committed, with the errors of :meth:`land`.

        Raises :class:`service.errors.Busy` for what is not taken at all.
        """
        return self._commit.submit(landing(origin, delivery, key, self._context))

    def hand_in(self, origin: Origin, delivery: Delivery, key: str, waiter: Waiter) -> None:
        """Take a delivery in and tell the waiter when it is committed; otherwise as :meth:`submit`."""
        self._commit.hand_in(landing(origin, delivery, key, self._context), waiter)

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
