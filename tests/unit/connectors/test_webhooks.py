"""Keys, challenges and hints of pushed platforms; findings about a source."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest

from connectors import proving, webhooks
from connectors.contract import (
    ConnectorError,
    Drop,
    DropReason,
    NeedsReauth,
    RefreshHint,
    Secret,
    Source,
    SubjectRef,
    SubjectType,
    TryLater,
)

OLD = Secret(value="old", valid_until=datetime(2026, 9, 1, tzinfo=UTC))
NEW = Secret(value="new")
BARE = Source(id="src_1", platform="p", account="a", options=None)


def test_the_ring_of_a_source_goes_before_its_credentials() -> None:
    credentials = {"app_secret": "", "client_secret": "c"}
    source = msgspec.structs.replace(BARE, credentials=credentials)
    assert webhooks.ring(msgspec.structs.replace(source, secrets=(OLD, NEW))) == (OLD, NEW)
    assert webhooks.ring(source, "app_secret", "client_secret") == (Secret(value="c"),)
    assert not webhooks.has_key(webhooks.ring(source))
    assert not webhooks.has_key(webhooks.ring(BARE))


@pytest.mark.parametrize(("keys", "found"), [((OLD, NEW), "new"), ((OLD,), "old"), ((Secret(value=""),), ""), ((), "")])
def test_a_challenge_is_answered_by_the_key_without_an_end(keys: tuple[Secret, ...], found: str) -> None:
    assert webhooks.lasting(keys) == found


@pytest.mark.parametrize("challenge", ["", "<b>", "a\n", "\u00e9", 'a"', "a&b", "x" * 257])
def test_a_challenge_that_could_be_markup_is_not_sent_back(challenge: str) -> None:
    assert not webhooks.is_plain(challenge)


def test_answers_are_not_guessed_at() -> None:
    plain, told = webhooks.echoed("13579"), webhooks.answered({"response_token": "x"})
    assert webhooks.is_plain("13579")
    assert (plain.body, told.body) == (b"13579", b'{"response_token":"x"}')
    assert {one.headers["x-content-type-options"] for one in (plain, told)} == {"nosniff"}
    assert plain.headers["content-type"].startswith("text/plain")
    assert told.headers["content-type"] == "application/json"


def test_hints_come_last_and_once_for_each_subject() -> None:
    one, other = RefreshHint(subject=SubjectRef("1"), reason="a"), RefreshHint(subject=SubjectRef("1"), reason="b")
    profile = RefreshHint(subject=SubjectRef("1", SubjectType.PROFILE))
    drop = Drop(reason=DropReason.TEST_EVENT)
    assert list(webhooks.hints_once([one, other, drop, profile])) == [drop, one, profile]


# ------------------------------------------------------------------------------------------------ findings


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (NeedsReauth("x"), "the access token is not accepted: connect the shop again"),
        (TryLater("x"), "P does not answer or throttles at the moment: try again later"),
        (ConnectorError("why"), "the token is accepted, the shop is not readable: why"),
    ],
)
def test_why_something_cannot_be_read(error: ConnectorError, text: str) -> None:
    found = proving.unreachable(error, "P", "shop", "shop")
    assert (found.ok, found.text) == (False, text)


def test_a_platform_that_tells_why_is_quoted() -> None:
    found = proving.unreachable(TryLater("the quota"), "P", tells=True)
    assert found.text == "P cannot be asked at the moment: the quota"


async def test_what_can_be_read_is_proven_by_reading_it() -> None:
    async def works() -> int:
        return 1

    async def fails() -> int:
        raise ConnectorError("why")

    assert (await proving.readable("the posts", works())).text == "the posts are readable"
    found = await proving.readable("the posts", fails())
    assert (found.ok, found.text) == (False, "the posts are not readable: why")


def test_what_is_missing() -> None:
    assert [found.text for found in proving.missing((True, "a"), ("", "b"), (None, "c"))] == ["b", "c"]
    assert [found.ok for found in proving.unsigned((Secret(value=""),))] == [False]
    assert proving.unsigned((NEW,)) == []
    assert [one.text for one in proving.permissions(["a", "b"], ["b", 7])] == ["the permission a is missing"]
    assert [one.text for one in proving.permissions(["a"], ["a"])] == ["all permissions are granted"]
