"""The simulated platform, pulled through its own server and pushed as signed messages."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta

import httpx
import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st

from connectors.contract import (
    Conversion,
    CreatorSeen,
    Delivery,
    Item,
    Kind,
    NeedsReauth,
    Observation,
    Page,
    Secret,
    SignatureInvalid,
    Source,
    SubjectSeen,
    Task,
    WebhookRequest,
    singly,
)
from connectors.http import PlatformHttp, new_client
from connectors.items import Defaults
from connectors.synthetic import CONNECTOR
from connectors.synthetic_platform import Platform, decimal, messages, webhooks
from connectors.synthetic_world import TIERS, World
from tests.contract.synthetic.load import load_pages

START = datetime(2026, 5, 1, tzinfo=UTC)
NOW = START + timedelta(days=41, hours=7)
WORLD = World(7, START)
SECRET = "whsec_" + "c2ltdWxhdGVkLXNlY3JldC1mb3ItdGVzdHM="
SOURCE = Source(id="src", platform="synthetic", account="", options=Defaults(), secrets=(Secret(value=SECRET),))


def http_with(token: str, at: datetime = NOW) -> PlatformHttp:
    """Return a client of the simulated platform at an instant of its world."""
    transport = httpx.ASGITransport(app=Platform(WORLD, lambda: at, "right"))
    client = new_client(transport=transport)
    return PlatformHttp(client, "http://simulated.test", token=token, now=lambda: at, uniform=lambda: 0.5)


@pytest_asyncio.fixture
async def http() -> AsyncIterator[PlatformHttp]:
    yield http_with("right")


async def pages(http: PlatformHttp, kind: str, cursor: dict[str, str] | None = None) -> list[Page]:
    task = Task(kind=kind, source=SOURCE, cursor=cursor or {})
    return [page async for page in CONNECTOR.fetch(http, task, NOW)]


def read(page: Page) -> list[Item]:
    delivery = Delivery(channel="fetch", body=page.body, received_at=page.received_at, request=page.request)
    return list(singly(CONNECTOR.parse(delivery, Defaults())))


@pytest.mark.parametrize("kind", [kind.name for kind in CONNECTOR.capabilities.fetch])
async def test_a_task_resumes_from_every_page(http: PlatformHttp, kind: str) -> None:
    whole = await pages(http, kind)
    assert [page.last for page in whole] == [False] * (len(whole) - 1) + [True]
    for number, page in enumerate(whole[:-1]):
        assert await pages(http, kind, dict(page.cursor)) == whole[number + 1 :]


async def test_posts_and_profiles_say_what_the_world_holds(http: PlatformHttp) -> None:
    items = [item for page in await pages(http, "posts") for item in read(page)]
    posts = [item for item in items if isinstance(item, SubjectSeen)]
    assert len(posts) == len(WORLD.published(NOW)) > 60
    assert {item.external_id for item in items if isinstance(item, CreatorSeen)} == {c.id for c in WORLD.creators}
    assert all("imulated" in (post.title or "") for post in posts)
    assert {creator.tier for creator in WORLD.creators} == set(TIERS)


async def test_counters_and_reach_are_the_worlds(http: PlatformHttp) -> None:
    found = [item for page in await pages(http, "metrics") for item in read(page)]
    by_post = {(item.subject.external_id, item.kind): item.metrics for item in found if isinstance(item, Observation)}
    for post in WORLD.published(NOW):
        assert by_post[post.id, Kind.LIFETIME] == WORLD.counters(post, NOW)
        assert by_post[post.id, Kind.UNIQUE] == {"reach": WORLD.reach(post, NOW)}
        assert ("views" in by_post[post.id, Kind.LIFETIME]) is (post.content_type != "image")


async def test_money_of_a_day_is_exact_and_is_restated(http: PlatformHttp) -> None:
    found = [item for page in await pages(http, "daily") for item in read(page)]
    days = [item for item in found if isinstance(item, Observation)]
    assert len(days) == len(found) > 100
    for item in days:
        post = next(post for post in WORLD.posts if post.id == item.subject.external_id)
        assert item.window is not None
        assert item.window.day is not None
        assert item.metrics == WORLD.daily(post, item.window.day, NOW)
    restated = 0
    for post, day in itertools.product(WORLD.posts, (START.date() + timedelta(days=n) for n in range(30))):
        early, late = WORLD.daily(post, day, START + timedelta(days=30, hours=1)), WORLD.daily(post, day, NOW)
        restated += early != late and bool(early)
    assert restated > 0


async def test_a_wrong_token_asks_for_a_person() -> None:
    with pytest.raises(NeedsReauth):
        await pages(http_with("wrong"), "posts")
    assert not (await CONNECTOR.check(http_with("wrong"), SOURCE))[0].ok
    assert (await CONNECTOR.check(http_with("right"), SOURCE))[0].ok


def test_messages_are_signed_and_say_every_sale_once() -> None:
    said: list[Conversion] = []
    for headers, body in webhooks(WORLD, START, NOW, SECRET, NOW):
        request = WebhookRequest(method="POST", headers=headers, query={}, body=body)
        assert CONNECTOR.verify(request, SOURCE, NOW).key == headers["webhook-id"]
        with pytest.raises(SignatureInvalid):
            CONNECTOR.verify(WebhookRequest(method="POST", headers=headers, query={}, body=body + b" "), SOURCE, NOW)
        delivery = Delivery(channel="webhook", body=body, received_at=NOW, headers=headers)
        found = list(CONNECTOR.parse(delivery, Defaults()))
        said += [item for item in found if isinstance(item, Conversion)]
        assert len(said)
        assert all(isinstance(item, Conversion) for item in found)
    sales = [sale for sale in WORLD.sales if sale.at < NOW]
    assert [item.id for item in said] == [sale.id for sale in sales]
    assert Counter(item.kind for item in said).keys() == {"conversion", "order", "refund"}
    assert sum(item.value or 0 for item in said if item.kind == "order") == sum(
        sale.value or 0 for sale in sales if sale.kind == "order"
    )
    assert list(messages(WORLD, START, NOW)) == list(messages(WORLD, START, NOW))


def test_days_made_for_measuring_hold_what_was_asked() -> None:
    bodies = list(load_pages(100, 1000, ("impressions", "likes"), 300, NOW))
    assert len(bodies) == 4
    found = []
    for body in bodies:
        delivery = Delivery(channel="fetch", body=body, received_at=NOW, request={"list": "load"})
        found += list(singly(CONNECTOR.parse(delivery, Defaults())))
    assert len({(item.subject, item.window) for item in found if isinstance(item, Observation)}) == 1000
    newest = max(item.window.day or date.min for item in found if isinstance(item, Observation) and item.window)
    assert newest == NOW.date() - timedelta(days=1)


@given(st.integers(-(10**12), 10**12))
def test_decimals_are_exact(amount: int) -> None:
    whole, _, rest = decimal(amount).partition(".")
    assert int(whole + rest) == amount or (amount < 0 and int(whole + rest) == amount)
