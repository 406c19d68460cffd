"""The contract's own suite over the recordings and the fake Data API."""

from __future__ import annotations

from datetime import date

import msgspec
import pytest

from connectors.contract import (
    Delivery,
    Drop,
    DropReason,
    Item,
    Kind,
    Observation,
    Quality,
    SubjectRef,
    SubjectSeen,
    SubjectType,
    Task,
    day_window,
)
from connectors.ga4 import CONNECTOR
from connectors.ga4_property import Ga4Options
from connectors.testing import Check, Pull, Recording, contract_suite
from tests.contract.ga4.desk import NOW, RECORDINGS, REQUEST, client, source, task
from tests.fakes.ga4 import PROPERTY, FakeGa4, Utm, Visits

DAY = day_window(date(2026, 3, 2), "Europe/Berlin")
SAID = (Quality.SAMPLED, Quality.THRESHOLDED)


def link(parameters: str) -> SubjectRef:
    return SubjectRef(f"{PROPERTY}/{parameters}", SubjectType.LINK)


PAID = link(
    "utm_campaign=spring_launch&utm_id=6215293444271&utm_source=Instagram&utm_medium=paid_social"
    "&utm_content=6215293456071"
)
ORGANIC = link("utm_campaign=spring_launch&utm_source=tiktok&utm_medium=social")
LUMPED = link(
    "utm_campaign=%7B%7Bcampaign.name%7D%7D&utm_source=facebook&utm_medium=influencer&utm_content=%28other%29"
)


def numbers(
    subject: SubjectRef, paid: bool | None, said: tuple[Quality, ...], sessions: int, events: int, revenue: int
) -> tuple[Item, ...]:
    def one(key: str, value: int, goal: str = "", currency: str | None = None) -> Observation:
        return Observation(
            subject=subject,
            kind=Kind.PERIOD,
            metrics={key: value},
            window=DAY,
            paid=paid,
            goal=goal,
            currency=currency,
            quality=said,
        )

    return (
        one("sessions", sessions),
        one("conversions_platform", events, "purchase"),
        one("conversion_value_platform", revenue, "purchase", "EUR"),
    )


def seen(subject: SubjectRef, title: str, paid: bool | None, **more: str) -> SubjectSeen:
    return SubjectSeen(subject=subject, title=title, content_type="link", paid=paid, **more)  # type: ignore[arg-type]


ROWS: tuple[Item, ...] = (
    seen(
        PAID,
        "Instagram / paid_social / spring_launch / 6215293456071",
        True,
        platform_campaign="6215293444271",
        utm_campaign="spring_launch",
        utm_source="Instagram",
        utm_medium="paid_social",
    ),
    *numbers(PAID, True, SAID, 120, 4_500_000, 530_400_000),
    seen(
        ORGANIC,
        "tiktok / social / spring_launch",
        False,
        utm_campaign="spring_launch",
        utm_source="tiktok",
        utm_medium="social",
    ),
    *numbers(ORGANIC, False, SAID, 18, 0, 0),
    seen(LUMPED, "facebook / influencer", None, utm_source="facebook", utm_medium="influencer"),
    *numbers(LUMPED, None, (*SAID, Quality.TRUNCATED), 7, 333_333, 12_500_000),
    Drop(reason=DropReason.NOT_MAPPED, row=4, detail="visits of no tracked link"),
    Drop(reason=DropReason.NOT_AVAILABLE, row=5, detail="rows lumped together"),
    Drop(reason=DropReason.BAD_TIME, row=6, detail="date"),
)


def recording(name: str, items: tuple[Item, ...]) -> Recording:
    body = (RECORDINGS / f"{name}.json").read_bytes()
    return Recording(
        name=name, delivery=Delivery(channel="fetch", body=body, received_at=NOW, request=REQUEST), items=items
    )


ALL = [
    recording("link_days", ROWS),
    recording("empty", ()),
    recording("error_quota", (Drop(reason=DropReason.NOT_AVAILABLE, detail="429 RESOURCE_EXHAUSTED"),)),
]


def platform() -> FakeGa4:
    """Return a property with three links and the rest on ten days."""
    visits = {
        Utm("spring", "instagram", "paid_social", "1"): Visits(12, "2", "99.90"),
        Utm("spring", "tiktok", "social"): Visits(4, "0.5", "10.005"),
        Utm("autumn", "youtube", "influencer", "x" * 300): Visits(1),
        Utm(): Visits(400, "9", "1000"),
    }
    return FakeGa4(days={date(2026, 8, n): visits for n in range(11, 21)}, page_size=3)


def restated() -> FakeGa4:
    """Return the same property a cycle later: of an old day more events are known, and one link has none."""
    fake = platform()
    fake.now += KIND.every
    fake.days[date(2026, 8, 12)] = {
        Utm("spring", "instagram", "paid_social", "1"): Visits(12, "3", "149.90"),
        Utm("spring", "tiktok", "social"): Visits(4, "0", "0"),
        Utm(): Visits(400, "9", "1000"),
    }
    return fake


def pull(wanted: Task, name: str) -> Pull:
    return Pull(name=name, task=wanted, http=lambda: client(platform()), now=NOW)


(KIND,) = CONNECTOR.capabilities.fetch
PULLS = [
    msgspec.structs.replace(pull(task(), ""), changed=lambda: client(restated())),
    pull(task(14, source=source(Ga4Options(today=True, mediums=("social",)))), "link_days with today"),
]


@pytest.mark.parametrize("check", contract_suite(CONNECTOR, ALL, pulls=PULLS), ids=str)
async def test_contract(check: Check) -> None:
    await check()
