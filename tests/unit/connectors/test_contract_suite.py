"""The contract suite finds what it is there to find: a sound connector passes, each broken one fails one check."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest

from connectors.contract import (
    BadPayload,
    Capabilities,
    Connector,
    ConnectorError,
    Conversion,
    Delivery,
    Drop,
    DropReason,
    FetchKind,
    Http,
    Item,
    Kind,
    MetricMapping,
    NotSupported,
    Observation,
    Outcome,
    Page,
    Quality,
    Reply,
    Response,
    Secret,
    SignatureInvalid,
    Source,
    SubjectRef,
    Task,
    Verified,
    WebhookRequest,
    Withdrawal,
    day_window,
    fingerprint,
)
from connectors.signatures import hub_sha256
from connectors.testing import Check, ContractBroken, Pull, Recording, Signed, contract_suite
from connectors.testing_items import Sound, outcome

NOW = datetime(2025, 3, 2, 18, tzinfo=UTC)
BODY = b'{"id": "p", "likes": 3, "note": "n"}'
MAC = "sha256=bfe742da27419f24732ab89e27a48f6590fb88a5c8d01cffa3210594b8683dfc"
PUSHED = WebhookRequest(method="POST", headers={"x-mac": MAC}, query={}, body=BODY)


class ToyOptions(msgspec.Struct, frozen=True, kw_only=True):
    region: str = "eu"


class Toy(Connector):
    """A connector that keeps the contract."""

    name = "toy"
    title = "Toy"
    version = "1"
    platform = "toy"
    options: type[msgspec.Struct] = ToyOptions
    base_url = "https://toy.example"
    capabilities = Capabilities(webhook=True, fetch=(FetchKind(name="posts", every=timedelta(hours=1)),))
    metrics: Sequence[MetricMapping] = (MetricMapping(wire="likes", metric="likes", kind=Kind.LIFETIME),)

    def verify(self, request: WebhookRequest, source: Source, now: datetime) -> Verified:
        hub_sha256(request.headers.get("x-mac"), request.body, source.secrets, now)
        return Verified(key=fingerprint(request.body))

    def parse(self, delivery: Delivery, options: Any) -> Iterable[Item]:
        try:
            found = msgspec.json.decode(delivery.body, type=dict[str, Any])
        except (ValueError, RecursionError) as error:
            raise BadPayload("no JSON object") from error
        return [self.item(found)]

    def item(self, found: dict[str, Any]) -> Item:
        likes, name = found.get("likes"), found.get("id")
        if type(likes) is not int or not isinstance(name, str) or not 0 < len(name) <= 256 or "\x00" in name:
            return Drop(reason=DropReason.MALFORMED, row=1, detail="id and likes")
        if not 0 <= likes < 2**63:
            return Drop(reason=DropReason.OUT_OF_RANGE, row=1, detail="likes")
        return likes_of(name, likes)

    async def fetch(self, http: Http, task: Task, now: datetime) -> AsyncIterator[Page]:
        if task.kind != "posts":
            raise NotSupported("only posts are fetched")
        for number in range(int(task.cursor.get("page", "0")), 3):
            answer = await http.get(f"posts/{number}")
            yield self.page(answer, number)

    def page(self, answer: Response, number: int) -> Page:
        return Page(
            body=answer.body,
            request={"page": str(number)},
            cursor={"page": str(number + 1)},
            received_at=answer.received_at,
            last=number == 2,
        )


class Server:
    async def get(self, path: str, params: object = None, **more: object) -> Response:
        return Response(status=200, headers={}, body=BODY, received_at=NOW)

    async def post(self, path: str, params: object = None, body: bytes = b"", **more: object) -> Response:
        raise ConnectorError("nothing is posted")

    async def put(self, path: str, params: object = None, body: bytes = b"", **more: object) -> Response:
        raise NotImplementedError

    def at(self, host: str) -> Http:
        raise NotImplementedError


def likes_of(name: str, likes: int, **more: Any) -> Observation:
    plain = Observation(subject=SubjectRef(name), kind=Kind.LIFETIME, metrics={"likes": likes}, observed_at=NOW)
    return msgspec.structs.replace(plain, **more)


SOURCE = Source(
    id="s",
    platform="toy",
    account="a",
    options=ToyOptions(),
    credentials={"access_token": "to-ken"},
    secrets=(Secret(value="se-cret"),),
)


ONE = Recording(name="one", delivery=Delivery(channel="webhook", body=BODY, received_at=NOW))


def suite(toy: Connector, recording: Recording = ONE) -> list[Check]:
    return contract_suite(
        toy,
        [recording],
        signed=[Signed(request=PUSHED, source=SOURCE, now=NOW, headers=("x-mac",))],
        pulls=[Pull(task=Task(kind="posts", source=SOURCE), http=Server, now=NOW)],
        most=60,
    )


async def broken(checks: Iterable[Check]) -> dict[str, str]:
    """Return the checks that fail, with what they say."""
    found = {}
    for check in checks:
        try:
            await check()
        except ContractBroken as error:
            found[check.name] = str(error)
    return found


async def test_a_connector_that_keeps_the_contract_passes() -> None:
    expected = msgspec.structs.replace(ONE, items=(likes_of("p", 3),))
    assert await broken(suite(Toy(), expected)) == {}
    refused = msgspec.structs.replace(ONE, unreadable=True, delivery=msgspec.structs.replace(ONE.delivery, body=b"-"))
    assert await broken(suite(Toy(), refused)) == {}


async def test_other_items_than_expected_are_found() -> None:
    other = msgspec.structs.replace(ONE, items=(likes_of("p", 4),))
    assert set(await broken(suite(Toy(), other))) == {"one: reading"}
    assert set(await broken(suite(Toy(), msgspec.structs.replace(ONE, unreadable=True)))) == {"one: reading"}


async def test_cases_that_are_missing_are_found() -> None:
    assert await broken(contract_suite(Toy(), [ONE])) == {
        "cases": "webhooks are declared and no signed request is given"
    }
    found = await broken(
        contract_suite(Toy(), [ONE], signed=[Signed(request=PUSHED, source=SOURCE, now=NOW, headers=())])
    )
    assert found == {"cases": "no pull is given for posts"}
    assert (await broken(contract_suite(Toy(), [])))["cases"] == "no recording is given"


# ------------------------------------------------------------------------------------------------ items

DAY = day_window(NOW.date(), "UTC")
P = SubjectRef("p")


@pytest.mark.parametrize(
    ("item", "said"),
    [
        (likes_of("", 1), "no id"),
        (likes_of("p" * 257, 1), "no id"),
        (likes_of("a\x00", 1), "NUL"),
        (likes_of("a\ud800", 1), "surrogate"),
        (likes_of("p", -1), "negative"),
        (likes_of("p", 2**63), "64 bits"),
        (likes_of("p", True), "no integer"),
        (likes_of("p", 1, metrics={}), "without metrics"),
        (likes_of("p", 1, metrics={"likes": 1.5}), "float"),
        (likes_of("p", 1, metrics={"engagements": 1}), "no stored metric"),
        (likes_of("p", 1, metrics={"comments": 1}), "not declared"),
        (likes_of("p", 1, kind=Kind.LEVEL), "not declared"),
        (likes_of("p", 1, kind=Kind.EVENT), "an event"),
        (likes_of("p", 1, quality=(Quality.SAMPLED,)), "said against likes is not declared"),
        (likes_of("p", 1, observed_at=None), "refresh hint"),
        (likes_of("p", 1, observed_at=NOW.replace(tzinfo=None)), "not in UTC"),
        (likes_of("p", 1, observed_at=NOW + timedelta(minutes=6)), "after the delivery"),
        (likes_of("p", 1, window=DAY), "a window does not go"),
        (likes_of("p", 1, currency="EUR"), "counts carry a currency"),
        (likes_of("p", 1, currency="euro"), "three capital letters"),
        (Withdrawal(subject=P, kind=Kind.LIFETIME, window=DAY, metrics=("likes",)), "only what has a window"),
        (Withdrawal(subject=P, kind=Kind.PERIOD, window=DAY, metrics=()), "no stored metric"),
        (Conversion(id="1", at=NOW, kind="order"), "orders is not declared"),
        (Drop(reason=DropReason.MALFORMED, row=0), "count from 1"),
        (Drop(reason=DropReason.MALFORMED, detail="a\nb"), "one printable line"),
    ],
    ids=lambda one: one if isinstance(one, str) else type(one).__name__,
)
async def test_an_item_that_is_not_sound_is_found(item: Item, said: str) -> None:
    class Unsound(Toy):
        def item(self, found: dict[str, Any]) -> Item:
            return item

    failures = await broken(suite(Unsound()))
    assert said in failures["one: reading"]


# ------------------------------------------------------------------------------------------------ behaviour


class Alternating(Toy):
    turns = 0

    def item(self, found: dict[str, Any]) -> Item:
        self.turns += 1
        return likes_of("p", self.turns)


class Telltale(Toy):
    def item(self, found: dict[str, Any]) -> Item:
        return Drop(reason=DropReason.MALFORMED, detail=str(found.get("note"))[:200])


class Unchecked(Toy):
    def verify(self, request: WebhookRequest, source: Source, now: datetime) -> Verified:
        return Verified(key="always")


class Careless(Toy):
    """It compares the first characters of the signature, for whatever key."""

    def verify(self, request: WebhookRequest, source: Source, now: datetime) -> Verified:
        if request.headers.get("x-mac", "")[:60] != MAC[:60] or request.body != BODY:
            raise SignatureInvalid("no")
        return Verified(key="k")


class Suspicious(Toy):
    """It looks at the first key alone."""

    def verify(self, request: WebhookRequest, source: Source, now: datetime) -> Verified:
        return super().verify(request, msgspec.structs.replace(source, secrets=source.secrets[:1]), now)


class Chatty(Toy):
    def verify(self, request: WebhookRequest, source: Source, now: datetime) -> Verified:
        try:
            return super().verify(request, source, now)
        except SignatureInvalid:
            raise SignatureInvalid(f"not signed by {[key.value for key in source.secrets]}") from None


class Deaf(Toy):
    def reply(self, outcome: Outcome) -> Reply:
        return Reply(status=500)


class Forgetful(Toy):
    """Its cursor says where it was, not where it goes on."""

    def page(self, answer: Response, number: int) -> Page:
        return msgspec.structs.replace(super().page(answer, number), cursor={"page": str(number)})


class Endless(Toy):
    def page(self, answer: Response, number: int) -> Page:
        return msgspec.structs.replace(super().page(answer, number), last=False)


class Turning(Toy):
    """Its last page looks like the one before: the service would take it for a circle."""

    def page(self, answer: Response, number: int) -> Page:
        page = super().page(answer, number)
        return msgspec.structs.replace(page, request={}, cursor={"page": str(min(number + 1, 2))})


class Numbering(Toy):
    def page(self, answer: Response, number: int) -> Page:
        return msgspec.structs.replace(super().page(answer, number), cursor={"page": number + 1})


class Leaking(Toy):
    def page(self, answer: Response, number: int) -> Page:
        return msgspec.structs.replace(super().page(answer, number), request={"path": "posts?access_token=to-ken"})


class Undeclared(Toy):
    metrics = (MetricMapping(wire="reach", metric=None),)


class Derived(Toy):
    metrics = (*Toy.metrics, MetricMapping(wire="engagement", metric="engagements", kind=Kind.LIFETIME))


class Loose(Toy):
    class Mutable(msgspec.Struct):
        region: str = "eu"

    options = Mutable


class Plain(Toy):
    base_url = "http://toy.example"


class Strange(Toy):
    def fetch(self, http: Http, task: Task, now: datetime) -> AsyncIterator[Page]:
        return super().fetch(http, msgspec.structs.replace(task, kind="posts"), now)


@pytest.mark.parametrize(
    ("toy", "check", "said"),
    [
        (Alternating, "one: reading", "in two ways"),
        (Telltale, "one: totality", "quotes a value"),
        (Unchecked, "webhook: tampered with", "not authentic"),
        (Unchecked, "webhook: without the key", "not authentic"),
        (Careless, "webhook: tampered with", "not authentic"),
        (Careless, "webhook: without the key", "not authentic"),
        (Suspicious, "webhook: authentic", "with a second key"),
        (Chatty, "webhook: secrets", "shows a secret"),
        (Deaf, "replies", "answered as a failure"),
        (Forgetful, "fetch posts: resuming", "after page 1 of 3"),
        (Endless, "fetch posts: pages", "last is said"),
        (Turning, "fetch posts: pages", "taken for a circle"),
        (Numbering, "fetch posts: pages", "not of text"),
        (Leaking, "fetch posts: pages", "shows a secret"),
        (Undeclared, "metrics", "no note says why"),
        (Derived, "metrics", "not stored"),
        (Loose, "declaration", "frozen"),
        (Plain, "declaration", "https"),
        (Strange, "fetch posts: unknown kind", "is fetched"),
    ],
)
async def test_a_broken_connector_is_found(toy: Callable[[], Connector], check: str, said: str) -> None:
    assert said in (await broken(suite(toy())))[check]


class Fragile(Toy):
    def parse(self, delivery: Delivery, options: Any) -> Iterable[Item]:
        found = json.loads(delivery.body)
        return [likes_of(found["id"], found["likes"])]


class Crashing(Toy):
    def verify(self, request: WebhookRequest, source: Source, now: datetime) -> Verified:
        request.headers["x-mac"].encode("ascii")
        return super().verify(request, source, now)


@pytest.mark.parametrize(("toy", "name"), [(Fragile, "one: totality"), (Crashing, "webhook: tampered with")])
async def test_any_other_error_comes_through_with_what_was_tried(toy: Callable[[], Connector], name: str) -> None:
    (check,) = [check for check in suite(toy()) if check.name == name]
    with pytest.raises((ValueError, KeyError)) as caught:
        await check()
    assert any(note.startswith("tried: ") for note in caught.value.__notes__)


async def test_a_time_that_is_not_checked_is_found() -> None:
    stamped = Signed(request=PUSHED, source=SOURCE, now=NOW, headers=("x-mac",), tolerance=timedelta(seconds=300))
    failures = await broken(contract_suite(Toy(), [ONE], signed=[stamped]))
    assert "a time far from now" in failures["webhook: at another time"]


@pytest.mark.parametrize(
    ("sound", "unsound"),
    [
        (likes_of("p", 1), likes_of("p", 1, metrics={"likes": 1.0})),
        (likes_of("p", 1), likes_of("p", 1, metrics={"likes": True})),
        (likes_of("p", 1), likes_of("p", 1, observed_at=NOW.astimezone(timezone(timedelta(hours=2))))),
        (likes_of("p", 1), likes_of("p", 1, scope="\ud800")),
        (likes_of("p", 1, paid=None), likes_of("p", 1, paid=float("nan"))),
    ],
)
def test_what_resembles_a_sound_item_is_looked_at_itself(sound: Item, unsound: Item) -> None:
    class Changing(Toy):
        def parse(self, delivery: Delivery, options: Any) -> Iterable[Item]:
            return [sound if delivery.body == b"sound" else unsound]

    known: Sound = set()
    page = Delivery(channel="fetch", body=b"sound", received_at=NOW)
    for _ in range(2):
        assert outcome(Changing(), page, ToyOptions(), known) == [sound]
    assert len(known) == 1
    with pytest.raises(ContractBroken):
        outcome(Changing(), msgspec.structs.replace(page, body=b"other"), ToyOptions(), known)
