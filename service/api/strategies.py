"""Strategies: the long umbrellas over campaigns."""

from __future__ import annotations

from fastapi import APIRouter
from msgspec import structs
from pydantic import Field

from service import ids
from service.api.auth import ReadsRegistry, WritesRegistry
from service.api.listing import listed, named
from service.api.models import (
    UNSET,
    Day,
    Input,
    Instant,
    Name,
    Output,
    Page,
    Paged,
    Prose,
    StrategyId,
)
from service.api.state import Parts
from service.records import Strategy
from service.registry import strategies

router = APIRouter(prefix="/v1/strategies", tags=["strategies"])


class StrategyInput(Input):
    """A new strategy."""

    name: Name
    description: Prose = ""
    objectives: list[Prose] = Field(default_factory=list, max_length=50)
    starts: Day | None = None
    ends: Day | None = None


class StrategyChange(Input):
    """What changes; what is left out stays."""

    name: Name = UNSET
    description: Prose = UNSET
    objectives: list[Prose] = Field(default_factory=list, max_length=50)
    starts: Day | None = None
    ends: Day | None = None


class StrategyOutput(Output):
    """A strategy."""

    id: StrategyId
    name: str
    description: str
    objectives: list[str]
    starts: Day | None
    ends: Day | None
    created_at: Instant
    updated_at: Instant


class StrategyPage(Page[StrategyOutput]):
    """Strategies in the order of their ids."""


@router.post("", status_code=201)
async def create_strategy(body: StrategyInput, caller: WritesRegistry, parts: Parts) -> StrategyOutput:
    """Create a strategy."""
    now = parts.context.now()
    strategy = Strategy(
        strategy_id=parts.context.new_id(),
        name=body.name,
        description=body.description,
        objectives=tuple(body.objectives),
        starts=body.starts,
        ends=body.ends,
        created_at=now,
        updated_at=now,
    )
    async with parts.db.workspace(caller.workspace_id) as connection:
        return _output(await strategies.create(connection, caller.workspace_id, strategy))


@router.get("")
async def list_strategies(caller: ReadsRegistry, parts: Parts, paging: Paged) -> StrategyPage:
    """List strategies."""
    shown, page = await listed(parts, caller, paging, "strategy", strategies.listing, lambda row: row.strategy_id)
    return StrategyPage(data=[_output(row) for row in shown], page=page)


@router.get("/{strategy}")
async def get_strategy(strategy: str, caller: ReadsRegistry, parts: Parts) -> StrategyOutput:
    """Return a strategy."""
    return _output(await named(parts, caller, "strategy", strategy, strategies.get))


@router.patch("/{strategy}")
async def update_strategy(strategy: str, body: StrategyChange, caller: WritesRegistry, parts: Parts) -> StrategyOutput:
    """Change a strategy."""
    changes = body.changes()
    if "objectives" in changes:
        changes["objectives"] = tuple(changes["objectives"])
    async with parts.db.workspace(caller.workspace_id) as connection:
        strategy_id = ids.read("strategy", strategy)
        found = await strategies.get(connection, caller.workspace_id, strategy_id, lock=True)
        changed = structs.replace(found, **changes, updated_at=parts.context.now())
        return _output(await strategies.replace(connection, caller.workspace_id, changed))


@router.delete("/{strategy}", status_code=204)
async def delete_strategy(strategy: str, caller: WritesRegistry, parts: Parts) -> None:
    """Delete a strategy that no campaign belongs to."""
    async with parts.db.workspace(caller.workspace_id) as connection:
        await strategies.delete(connection, caller.workspace_id, ids.read("strategy", strategy))


def _output(strategy: Strategy) -> StrategyOutput:
    return StrategyOutput(
        id=ids.show("strategy", strategy.strategy_id),
        name=strategy.name,
        description=strategy.description,
        objectives=list(strategy.objectives),
        starts=strategy.starts,
        ends=strategy.ends,
        created_at=strategy.created_at,
        updated_at=strategy.updated_at,
    )
