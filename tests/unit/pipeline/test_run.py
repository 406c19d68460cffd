"""Deliveries that are read together mean what each means alone."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec

from connectors.contract import Capabilities, Connector, Delivery, Item, Kind, Observation, SubjectRef
from service.pipeline.run import Read, read, read_all
from service.records import ClaimedDelivery, Outcome, delivery_of

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
CONVERTED: list[str] = []


class Choice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a source may choose."""

    metric: str = "likes"

    def __post_init__(self) -> None:
        CONVERTED.append(self.metric)


class One(Connector):
    """Counts one of what its options name."""

    name = "one"
    version = "1"
    options = Choice
    capabilities = Capabilities(webhook=True)

    def parse(self, delivery: Delivery, options: Any) -> list[Item]:
        """Read no body at all."""
        return [Observation(subject=SubjectRef("a"), kind=Kind.LIFETIME, metrics={options.metric: 1}, observed_at=NOW)]


def delivery(number: int, options: str) -> ClaimedDelivery:
    same = {"received_at": NOW, "channel": "webhook", "connector": "one", "headers": "{}", "request": "{}", "body": b""}
    return delivery_of({**same, "delivery_id": UUID(int=number), "options": options})


def told(result: Read | Outcome) -> tuple[str, ...] | str:
    return result.error if isinstance(result, Outcome) else tuple(result.normal.readings[0].metrics[0])


def test_options_that_deliveries_have_in_common_are_converted_once_and_no_others_stand_in_for_them() -> None:
    said = ["{}", '{"metric":"views"}', "{}", '{"colour":1}', '{"metric":"views"}', '{"colour":1}']
    deliveries = [delivery(number, options) for number, options in enumerate(said)]
    CONVERTED.clear()
    together = read_all(deliveries, {"one": One()}.__getitem__)
    assert CONVERTED == ["likes", "views"]
    assert [told(one) for one in together[:3]] == [("likes",), ("views",), ("likes",)]
    assert [told(one) for one in together] == [told(read(one, One())) for one in deliveries]
    assert [isinstance(one, Outcome) for one in together] == ["colour" in options for options in said]
