"""Errors of platforms: what follows from their class, and what is asked for next."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from connectors import faults
from connectors.contract import ConnectorError, NeedsReauth, NotPermitted, Response, TryLater
from connectors.faults import Fault, Refusal

NOW = datetime(2026, 8, 20, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("status", "refusal"),
    [
        (401, "dead_token"),
        (403, "permission"),
        (404, "gone"),
        (418, "bad_request"),
        (429, "throttled"),
        (503, "temporary"),
    ],
)
def test_what_a_status_alone_says(status: int, refusal: str) -> None:
    assert faults.by_status(status) == refusal


@pytest.mark.parametrize(
    ("refusal", "error", "says"),
    [
        (Refusal.THROTTLED, TryLater, "P throttles (code 4)"),
        (Refusal.TEMPORARY, TryLater, "P has a temporary fault (code 4)"),
        (Refusal.DEAD_TOKEN, NeedsReauth, "the access token is no longer valid (code 4): connect the page again"),
        (Refusal.PERMISSION, NotPermitted, "the token lacks a permission: posts.read (code 4)"),
        (Refusal.GONE, ConnectorError, "P refuses a request: gone (code 4)"),
    ],
)
def test_what_follows_from_a_class(refusal: Refusal, error: type[Exception], says: str) -> None:
    with pytest.raises(error) as caught:
        faults.raise_refusal(refusal, "P", "code 4", "posts.read", wait=60.0, owner="page")
    assert (type(caught.value), str(caught.value)) == (error, says)
    assert getattr(caught.value, "seconds", None) == (60.0 if refusal is Refusal.THROTTLED else None)


def test_what_a_platform_told_is_never_shown() -> None:
    fault = Fault(refusal=Refusal.GONE, label="code 4", told="object 77 of Ada")
    assert repr(fault) == "Fault(gone, code 4)"


def test_the_body_of_an_answer() -> None:
    def answer(status: int, body: bytes) -> Response:
        return Response(status=status, headers={}, body=body, received_at=NOW)

    assert faults.body_of(answer(200, b'{"a":1}'), "P") == {"a": 1}
    assert faults.body_of(answer(502, b"<html>"), "P") == {}
    with pytest.raises(TryLater, match="P answered with something that is not JSON"):
        faults.body_of(answer(200, b"{"), "P")


def test_what_an_error_names_is_left_out() -> None:
    asked = ("likes", "reach", "views")
    assert faults.named_in("fields: reach is not one of the allowed values", asked) == ("reach",)
    assert faults.narrowed(asked, ("reach",), ()) == ("likes", "views")
    assert faults.narrowed(asked, (), ("likes",)) == ("likes",)
    assert faults.narrowed(asked, ("reach", "views"), (), needed=("views",)) == ("likes", "views")
    assert faults.narrowed(asked, ("other",), ()) == ()  # nothing less to ask for
    assert faults.narrowed(("likes",), (), ("likes",)) == ()
