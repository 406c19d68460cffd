"""Proving a source, and what the connector declares of itself."""

from __future__ import annotations

import msgspec
import pytest

from connectors.contract import Source
from connectors.youtube import CONNECTOR
from connectors.youtube_channel import HOSTS, YoutubeOptions
from tests.contract.youtube.desk import client, source
from tests.fakes.wire import Failure
from tests.fakes.youtube import CHANNEL, FORBIDDEN, NOT_ENABLED, QUOTA, TOKEN, FakeYoutube
from tests.fakes.youtube import HOSTS as FAKE_HOSTS

LEASE = "pushes can be subscribed to, for 5 days at a time; the hub does not say if one is"


async def check(fake: FakeYoutube, of: Source | None = None) -> list[tuple[bool, str]]:
    findings = await CONNECTOR.check(client(fake), of or source())
    assert TOKEN not in repr(findings)
    return [(finding.ok, finding.text) for finding in findings]


async def test_a_source_in_order() -> None:
    assert await check(FakeYoutube()) == [
        (True, "the token is accepted and the channel Brand is readable"),
        (True, "the uploads are readable"),
        (True, "the reports are readable"),
        (True, LEASE),
    ]


async def test_a_dead_token_ends_the_check_at_once() -> None:
    fake = FakeYoutube(token="another")
    assert (await check(fake))[0] == (False, "the access token is not accepted: connect the channel again")
    assert len(fake.calls) == 1


async def test_a_used_up_quota_blames_nothing_else() -> None:
    (ok, text), *_ = await check(FakeYoutube(failures=[Failure(403, QUOTA)]))
    assert not ok
    assert "quota" in text


async def test_an_api_that_is_not_enabled() -> None:
    (ok, text), *_ = await check(FakeYoutube(failures=[Failure(403, NOT_ENABLED)]))
    assert not ok
    assert "not enabled" in text


async def test_a_channel_that_is_not_there() -> None:
    (ok, text), *_ = await check(FakeYoutube(), source(account="UC_nobody"))
    assert (ok, text) == (False, "there is no such channel, or the token belongs to none")


async def test_reports_without_their_permission() -> None:
    found = await check(FakeYoutube(failures=[Failure(403, FORBIDDEN, "reports")]))
    assert [ok for ok, _ in found] == [True, True, False, True]
    assert "yt-analytics.readonly" in found[2][1]


async def test_reports_that_are_off_are_no_fault() -> None:
    fake = FakeYoutube()
    found = await check(fake, source(YoutubeOptions(reports=False)))
    assert [ok for ok, _ in found] == [True, True, True, True]
    assert "reports" not in fake.paths()


async def test_a_channel_without_uploads_is_no_fault() -> None:
    assert (True, "the channel has no uploads yet") in await check(FakeYoutube(no_uploads=True))


async def test_uploads_that_are_not_readable() -> None:
    found = await check(FakeYoutube(failures=[Failure(403, FORBIDDEN, "playlistItems")]))
    assert [ok for ok, _ in found] == [True, False, True, True]


async def test_what_pushes_lack() -> None:
    bare = msgspec.structs.replace(source(account="", secrets=()), credentials={"access_token": TOKEN})
    assert [text for ok, text in await check(FakeYoutube(), bare) if not ok] == [
        "the source names no channel id: its feed cannot be subscribed to",
        "no webhook address is given: nothing is pushed, videos are polled",
        "no webhook secret: pushes cannot be verified",
    ]


async def test_a_title_is_shown_without_what_is_not_printable() -> None:
    assert (await check(FakeYoutube(title="Br\nand\x1b[31m")))[0][1].endswith("the channel Brand[31m is readable")
    assert (await check(FakeYoutube(title="")))[0][1].endswith("the channel without a title is readable")


# ------------------------------------------------------------------------------------------------ declared


def test_the_connector_declares_what_it_is() -> None:
    assert (CONNECTOR.name, CONNECTOR.platform) == ("youtube", "youtube")
    assert [kind.name for kind in CONNECTOR.capabilities.fetch if kind.subjects] == ["videos"]
    assert CONNECTOR.capabilities.day_zone == "America/Los_Angeles"
    assert all(address.startswith("https://") for address in HOSTS.values())
    assert HOSTS == FAKE_HOSTS


def test_a_person_connects_with_a_token_that_can_be_renewed() -> None:
    flow = CONNECTOR.auth.oauth2
    assert flow is not None
    assert flow.refresh is not None
    assert (flow.parameters["access_type"], flow.parameters["prompt"]) == ("offline", "consent")
    assert (flow.pkce, flow.rotates) == (True, False)
    assert {flow.code.grant, flow.refresh.grant} == {"authorization_code", "refresh_token"}


@pytest.mark.parametrize("options", [{"reports": "yes"}, {"host": "x"}, {"channel": CHANNEL}])
def test_options_that_cannot_be(options: dict[str, str]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(options, YoutubeOptions)
