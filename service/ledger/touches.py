"""What a posting changes of the days of campaigns' members: from which day on running sums are no longer what is.

A posting notes it while it writes tallies and leaves one row per campaign when it closes, of those campaigns alone that
have running sums (``service.ledger.running``). What is noted may be too much, never too little. Windows of several days
are in no running sum.
"""

from __future__ import annotations

from datetime import date
from typing import Any
from uuid import UUID

import msgspec

from service.ledger.history.places import roster_of
from service.ledger.tallies import OPENING_DAY, Cell


class Touch(msgspec.Struct, kw_only=True):
    """What is changed of one campaign; ``moved`` are subjects that joined or left it."""

    first_day: date = date.max
    openings: bool = False
    moved: set[UUID] = msgspec.field(default_factory=set)


class Touches:
    """What a posting changes, by campaign."""

    def __init__(self) -> None:
        self._by_campaign: dict[UUID, Touch] = {}

    def _of(self, campaign_id: UUID) -> Touch:
        found = self._by_campaign.get(campaign_id)
        if found is None:
            found = self._by_campaign[campaign_id] = Touch()
        return found

    def cell(self, campaign_id: UUID, cell: Cell) -> None:
        """Note that a cell of a member changes, who is one before and after."""
        if cell.days != 1:
            return
        touch = self._of(campaign_id)
        if cell.day == OPENING_DAY:
            touch.openings = True
        elif cell.day < touch.first_day:
            touch.first_day = cell.day

    def move(self, campaign_id: UUID, subject_id: UUID) -> None:
        """Note that a subject joins or leaves: its place is not trusted until the sums are built again."""
        self._of(campaign_id).moved.add(subject_id)

    def columns(self) -> list[list[Any]]:
        """Return campaigns, first days, whether openings changed, and who moved, in the order of campaigns."""
        found = sorted(self._by_campaign.items())
        return [
            [campaign_id for campaign_id, _ in found],
            [touch.first_day for _, touch in found],
            [touch.openings for _, touch in found],
            [roster_of(sorted(touch.moved)) for _, touch in found],
        ]
