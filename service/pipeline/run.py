"""The one use case of the pipeline: deliveries of one source become a posting, in the caller's transaction.

Claiming before it and finishing after it are the caller's; a delivery that cannot be read becomes a dead letter here,
anything else that goes wrong is raised and undoes the whole batch.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from connectors.contract import BadPayload, Connector, Delivery, Drop
from service.access.secrets import Vault
from service.context import Context
from service.errors import Misconfigured
from service.ledger.posting import Posted, close_posting, open_posting
from service.ledger.readings import EventReading, Names
from service.ledger.series import Ref
from service.ledger.write import Said, post
from service.pipeline import edge
from service.pipeline.normalise import Normal, normalise
from service.records import ClaimedDelivery, Fate, Outcome, SourceRow
from service.registry import profiles, workspaces

Veil = Callable[[str, str], bytes]
"""Gives the keyed hash of (purpose, text)."""
MAX_DROPS = 1000
"""Drops listed one by one; beyond it they are counted by reason in one last line."""

_HINT = sa.text("""
insert into refresh_hints (workspace_id, source_id, external_id, type, hinted_at)
select :workspace, :source, external_id, type, :now from unnest(cast(:ids as text[]), cast(:types as text[]))
  as given (external_id, type)
on conflict (workspace_id, source_id, external_id) do update set hinted_at = excluded.hinted_at
""")


class Read(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery that was read: what it says, in the ledger's words."""

    delivery: ClaimedDelivery
    version: str
    normal: Normal


Known = dict[tuple[str, int], Any]
"""Options as their connector takes them, by its name and the object that a delivery has them in."""


def read_all(deliveries: Sequence[ClaimedDelivery], connector_of: Callable[[str], Connector]) -> list[Read | Outcome]:
    """Read deliveries that are posted together, each as :func:`read` does."""
    known: Known = {}
    return [read(delivery, connector_of(delivery.connector), known) for delivery in deliveries]


def read(delivery: ClaimedDelivery, connector: Connector, known: Known | None = None) -> Read | Outcome:
    """Parse and normalise one delivery. Pure: the same delivery and connector version give the same result.

    ``known`` is shared by deliveries that are all held on to meanwhile: most have their options in one object.
    """
    try:
        options = _options(delivery, connector, {} if known is None else known)
        raw = Delivery(
            channel=delivery.channel,
            body=delivery.body,
            received_at=delivery.received_at,
            headers=delivery.headers,
            request=delivery.request,
        )
        normal = normalise(connector.parse(raw, options), delivery.received_at)
    except (BadPayload, msgspec.ValidationError) as error:
        return Outcome(
            delivery_id=delivery.delivery_id,
            received_at=delivery.received_at,
            fate=Fate.DEAD,
            connector_version=connector.version,
            error=f"{type(error).__name__}: {str(error)[:300]}",
        )
    return Read(delivery=delivery, version=connector.version, normal=normal)


def _options(delivery: ClaimedDelivery, connector: Connector, known: Known) -> Any:
    place = (connector.name, id(delivery.options))
    options = known.get(place)
    if options is None:
        options = known[place] = msgspec.convert(dict(delivery.options), connector.options)
    return options


async def post_deliveries(
    connection: AsyncConnection,
    workspace_id: UUID,
    source: SourceRow,
    deliveries: Sequence[ClaimedDelivery],
    connector_of: Callable[[str], Connector],
    context: Context,
    *,
    exclusive: bool = False,
    vault: Vault | None = None,
) -> list[Outcome]:
    """Read deliveries of one source and post them together; return one outcome per delivery.

    ``vault`` is needed where events name persons.
    Raises ``RetryExclusive`` when the same call must be repeated, in a new transaction, with ``exclusive=True``.
    """
    results = read_all(deliveries, connector_of)
    reads = [result for result in results if isinstance(result, Read)]
    posted: Posted | None = None
    entries: Mapping[UUID, int] = {}
    if reads:
        posting = await open_posting(
            connection, workspace_id, context, cause="deliveries", source_id=source.source_id, exclusive=exclusive
        )
        source = await edge.hold(connection, posting, source, [part.normal for part in reads])
        await profiles.ensure(connection, workspace_id, source.platform, profiles_of(reads), context)
        veil = await _veil(connection, workspace_id, reads, vault)
        said = [_said(part, veil) for part in reads]
        written = await post(connection, posting, source, said, context, exclusive=exclusive)
        entries = written.entries
        await _hint(connection, workspace_id, source, reads, context.now())
        if written.changed:
            total = sum(entries.values())
            posted = await close_posting(
                connection, posting, context, deliveries=len(reads), entries=total, shaped=written.shaped
            )
    return [
        result if isinstance(result, Outcome) else outcome_of(result, entries, posted.number if posted else None)
        for result in results
    ]


def posting_with(vault: Vault) -> Callable[..., Coroutine[Any, Any, list[Outcome]]]:
    """Return :func:`post_deliveries` of an instance: its vault has the keys that persons are hashed with."""
    return partial(post_deliveries, vault=vault)


def _said(part: Read, veil: Veil | None) -> Said:
    normal = part.normal
    ref = Ref(part.delivery.delivery_id, part.delivery.received_at)
    events = normal.events if veil is None else veiled(normal.events, veil)
    return Said(ref=ref, facts=normal.facts, readings=normal.readings, events=events)


async def _veil(
    connection: AsyncConnection, workspace_id: UUID, reads: Sequence[Read], vault: Vault | None
) -> Veil | None:
    """Return what hashes persons; None where nobody is named, which needs no key."""
    if not any(event.names is not None for part in reads for event in part.normal.events):
        return None
    if vault is None:
        raise Misconfigured("events name persons, and there is no vault to hash them with")
    return (await workspaces.open_vault(connection, workspace_id, vault)).hash


def veiled(events: Iterable[EventReading], veil: Veil) -> list[EventReading]:
    """Return events that name persons by their hashes alone."""
    return [event if event.names is None else _veiled(event, event.names, veil) for event in events]


def unnamed(events: Iterable[EventReading], veil: Veil | None) -> list[EventReading]:
    """Return events that name persons by their hashes alone. Raises Misconfigured where that cannot be done."""
    found = list(events)
    if veil is not None:
        return veiled(found, veil)
    if any(event.names is not None for event in found):
        raise Misconfigured("events name persons, and there is no vault to hash them with")
    return found


def _veiled(event: EventReading, names: Names, veil: Veil) -> EventReading:
    visit = msgspec.structs.replace(
        event.visit,
        customer=veil("customer", names.customer) if names.customer else None,
        click=veil("click", names.click_id) if names.click_id else None,
    )
    return msgspec.structs.replace(event, visit=visit, names=None)


def profiles_of(reads: Sequence[Read]) -> dict[str, str]:
    """Return the profiles that deliveries name, with the best name said of each."""
    names = {name: "" for part in reads for name in part.normal.profiles}
    for part in reads:
        for fact in part.normal.facts:
            if fact.name in {"handle", "title"} and fact.subject.external_id in names:
                names[fact.subject.external_id] = names[fact.subject.external_id] or str(fact.value)
    return names


async def _hint(
    connection: AsyncConnection, workspace_id: UUID, source: SourceRow, reads: Sequence[Read], now: datetime
) -> None:
    hinted = {hint.subject.external_id: hint.subject.type for part in reads for hint in part.normal.hints}
    if hinted:
        values = {"workspace": workspace_id, "source": source.source_id, "now": now}
        lists = {"ids": sorted(hinted), "types": [str(hinted[name]) for name in sorted(hinted)]}
        await connection.execute(_HINT, values | lists)


def outcome_of(part: Read, entries: Mapping[UUID, int], posting: int | None) -> Outcome:
    """Return what became of a delivery that was read, given its entries and the posting that holds them."""
    return Outcome(
        delivery_id=part.delivery.delivery_id,
        received_at=part.delivery.received_at,
        fate=Fate.POSTED,
        connector_version=part.version,
        items=part.normal.items,
        entries=entries.get(part.delivery.delivery_id, 0),
        drops=_drops(part.normal.drops) if part.normal.drops else (),
        posting=posting,
    )


def _drops(drops: Sequence[Drop]) -> tuple[Mapping[str, Any], ...]:
    listed: list[Mapping[str, Any]] = [
        {"reason": drop.reason.value, "row": drop.row, "detail": drop.detail[:200]} for drop in drops[:MAX_DROPS]
    ]
    rest = len(drops) - len(listed)
    if rest:
        listed.append({"reason": "more", "row": None, "detail": f"{rest} more drops"})
    return tuple(listed)
