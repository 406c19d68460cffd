"""The Graph dialect by itself: classes of errors, usage headers, cursors and days."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors import graph
from connectors import graph_values as values
from connectors.contract import ConnectorError, DropReason, NeedsReauth, NotPermitted, Response, TryLater, day_window
from connectors.contract import Usage as BudgetUsage
from connectors.graph import Refusal
from connectors.values import document
from tests.contract.instagram.desk import NOW, RECORDINGS
from tests.fakes.graph import envelope


def fault(body: bytes, status: int = 400) -> graph.Fault:
    found = graph.fault_of(document(body), status)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("code", "subcode", "message", "refusal"),
    [
        *[(code, None, "too many calls", Refusal.THROTTLED) for code in (4, 17, 32, 341, 613, 80001, 80002)],
        *[(190, subcode, "Error", Refusal.DEAD_TOKEN) for subcode in (None, 458, 459, 460, 463, 464, 467)],
        (102, None, "Session key invalid", Refusal.DEAD_TOKEN),
        (1, None, "The session has been invalidated because the user changed it", Refusal.DEAD_TOKEN),
        *[(code, None, "unknown", Refusal.TEMPORARY) for code in (1, 2)],
        *[(code, None, "no permission", Refusal.PERMISSION) for code in (3, 10, 200, 299)],
        (10, None, "(#10) Not enough viewers for the media to show insights", Refusal.TOO_FEW_VIEWERS),
        (100, 2108006, "Invalid parameter", Refusal.BEFORE_BUSINESS),
        (100, 33, "Unsupported get request", Refusal.GONE),
        (100, None, "(#100) The value must be a valid insights metric", Refusal.BAD_METRIC),
        (
            100,
            None,
            "(#100) Starting from version v22.0 the impressions metric is no longer supported",
            Refusal.BAD_METRIC,
        ),
        (100, None, "(#100) Param since must be a timestamp", Refusal.BAD_REQUEST),
        (3001, 1504028, "No metric was specified", Refusal.BAD_REQUEST),
        (12, None, "deprecated", Refusal.BAD_REQUEST),
        (803, None, "Some of the aliases you requested do not exist", Refusal.BAD_REQUEST),
        (99999, None, "new", Refusal.BAD_REQUEST),
        (190, None, "(#190) This method must be called with a Page Access Token", Refusal.OTHER_TOKEN),
        (210, None, "(#210) A page access token is required to request this resource.", Refusal.OTHER_TOKEN),
        (100, None, "API calls from the server require an appsecret_proof argument", Refusal.NEEDS_PROOF),
        (100, None, "(#100) Tried accessing nonexisting field (insights)", Refusal.BAD_REQUEST),
    ],
)
def test_classes_of_errors(code: int, subcode: int | None, message: str, refusal: Refusal) -> None:
    assert fault(envelope(code, message, subcode)).refusal is refusal


def test_an_object_that_is_missing_without_a_subcode_is_gone() -> None:
    assert fault((RECORDINGS / "error_object_missing.json").read_bytes()).refusal is Refusal.GONE


def test_is_transient_and_5xx_are_temporary_whatever_the_code() -> None:
    assert fault(envelope(100, "x", is_transient=True)).refusal is Refusal.TEMPORARY
    assert fault(envelope(100, "x"), 503).refusal is Refusal.TEMPORARY
    assert fault(envelope(190, "x", is_transient=True)).refusal is Refusal.DEAD_TOKEN


@pytest.mark.parametrize(
    ("status", "refusal"),
    [
        (401, Refusal.DEAD_TOKEN),
        (403, Refusal.PERMISSION),
        (404, Refusal.BAD_REQUEST),
        (429, Refusal.THROTTLED),
        (502, Refusal.TEMPORARY),
    ],
)
def test_an_answer_without_an_envelope_is_classed_by_its_status(status: int, refusal: Refusal) -> None:
    assert fault(b"{}", status).refusal is refusal
    assert graph.fault_of({}, 200) is None


@pytest.mark.parametrize(
    "error", [{}, {"code": "190"}, {"code": 190.0}, {"message": 5}, {"code": True, "error_subcode": "x"}]
)
def test_an_odd_envelope_is_an_error_still(error: Mapping[str, Any]) -> None:
    assert fault(json.dumps({"error": error}).encode()).refusal is Refusal.BAD_REQUEST


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (envelope(4, "secret words"), TryLater),
        (envelope(2, "secret words"), TryLater),
        (envelope(190, "secret words", 463), NeedsReauth),
        (envelope(10, "secret words"), NotPermitted),
        (envelope(12, "secret words"), ConnectorError),
    ],
)
def test_errors_say_the_code_and_never_the_platforms_words(body: bytes, error: type[ConnectorError]) -> None:
    response = Response(status=400, headers={}, body=body, received_at=NOW)
    with pytest.raises(error) as caught:
        graph.require(response, "instagram_basic")
    assert "code" in str(caught.value)
    assert "secret" not in str(caught.value) + repr(fault(body))


def test_throttling_without_a_time_waits_an_hour() -> None:
    response = Response(status=400, headers={}, body=envelope(4, "x"), received_at=NOW)
    with pytest.raises(TryLater) as caught:
        graph.require(response)
    assert caught.value.seconds == 3600


ASKED = ("views", "reach", "likes", "saved")


@pytest.mark.parametrize(
    ("message", "refused"),
    [
        ("(#100) metric[2] must be one of the following values: views, reach", ("likes",)),
        ("(#100) metric[0], metric[3] must be one of the following values: reach", ("views", "saved")),
        ("(#100) metric must be one of the following values: views, reach, shares", ("likes", "saved")),
        ("(#100) The Media Insights API does not support the saved metric for this media product type.", ("saved",)),
        ("(#100) The metrics (VIEWS, likes) are not supported", ("views", "likes")),
        ("(#100) The value must be a valid insights metric", ()),
        ("(#100) The metric views_total is not supported", ()),
        ("(#100) metric[9] is wrong", ()),
    ],
)
def test_the_refused_metrics_are_found(message: str, refused: tuple[str, ...]) -> None:
    assert graph.refused_metrics(fault(envelope(100, message)), ASKED) == refused


# ------------------------------------------------------------------------------------------------ usage


def test_usage_is_the_highest_of_all_percentages() -> None:
    headers = {
        "x-app-usage": '{"call_count":28,"total_time":25,"total_cputime":95.5}',
        "x-business-use-case-usage": (
            '{"1":[{"type":"pages","call_count":60,"estimated_time_to_regain_access":0}],'
            '"2":[{"type":"instagram","call_count":99,"estimated_time_to_regain_access":3}]}'
        ),
    }
    assert graph.usage(headers) == graph.Usage(percent=99.0, regain_seconds=180.0)
    assert graph.usage({"x-app-usage": headers["x-app-usage"]}) == graph.Usage(percent=95.5)


@pytest.mark.parametrize("text", ["", "null", "[]", "{", "{}", '{"1":5}', '{"1":[]}'])
def test_absent_or_odd_usage_is_none(text: str) -> None:
    assert graph.usage({"x-business-use-case-usage": text}) is None
    assert graph.usage({}) is None


def test_odd_figures_are_no_usage() -> None:
    odd = '{"1":[{"call_count":"99","total_time":-4,"total_cputime":1e999,"estimated_time_to_regain_access":true}]}'
    assert graph.usage({"x-business-use-case-usage": odd}) == graph.Usage()


@given(st.text(), st.text())
def test_any_usage_header_is_read_or_not(app: str, business: str) -> None:
    graph.usage({"x-app-usage": app, "x-business-use-case-usage": business})


def test_usage_by_budget_is_the_worst_of_each() -> None:
    headers = {
        "x-app-usage": '{"call_count":28,"total_time":25,"total_cputime":95.5}',
        "x-business-use-case-usage": (
            '{"1":[{"type":"pages","call_count":60},{"type":"pages","call_count":61}],'
            '"2":[{"type":"instagram","call_count":250,"estimated_time_to_regain_access":3},{"type":7},9]}'
        ),
    }
    assert graph.usages(headers) == (
        BudgetUsage(bucket="app", used=0.955),
        BudgetUsage(bucket="pages", used=0.61),
        BudgetUsage(bucket="instagram", used=1.0, reset=180.0, wait=180.0),
    )


@given(st.text(), st.recursive(st.none() | st.integers() | st.text(max_size=5), st.lists, max_leaves=9))
def test_any_usage_header_is_budgets_or_none(app: str, entries: Any) -> None:
    headers = {"x-app-usage": app, "x-business-use-case-usage": json.dumps({"1": entries})}
    assert all(0 <= (one.used or 0.0) <= 1 for one in graph.usages(headers))


# ------------------------------------------------------------------------------------------------ paging

LINK = "https://evil.example/v25.0/1/posts?access_token=T&until=1624385168&__paging_token=P&limit=5"


@pytest.mark.parametrize(
    ("paging", "cursor"),
    [
        (None, {}),
        ({"cursors": {"before": "a", "after": "b"}}, {}),
        ({"cursors": {"before": "a", "after": "b"}, "next": ""}, {}),
        ({"cursors": {"before": "a", "after": "b"}, "next": LINK}, {"after": "b"}),
        ({"next": LINK}, {"until": "1624385168", "__paging_token": "P"}),
        ({"previous": LINK}, {}),
    ],
)
def test_a_listing_ends_where_next_is_missing_and_a_link_is_never_kept(paging: object, cursor: dict[str, str]) -> None:
    assert graph.next_cursor({"paging": paging}) == cursor


@pytest.mark.parametrize(
    "paging",
    [
        {"next": "https://graph.facebook.com/1"},
        {"next": LINK, "cursors": {"after": "x" * 5000}},
        {"next": "?", "cursors": {"after": 5}},
    ],
)
def test_a_next_page_without_a_place_is_an_error(paging: object) -> None:
    with pytest.raises(ConnectorError, match="without saying where"):
        graph.next_cursor({"paging": paging})


@pytest.mark.parametrize(
    ("body", "cursor"),
    [
        ({"data": [1], "paging": {"cursors": {"before": "a", "after": "b"}}}, {"after": "b"}),
        ({"data": [], "paging": {"cursors": {"before": "a", "after": "b"}}}, {}),
        ({"data": [1], "paging": {"cursors": {"before": "a"}}}, {}),
        ({"data": [1], "paging": {"cursors": {"after": 5}}}, {}),
        ({"data": [1], "paging": {"next": LINK}}, {}),
        ({"data": 5}, {}),
    ],
)
def test_a_listing_without_links_goes_on_while_there_is_a_place_after(
    body: dict[str, Any], cursor: dict[str, str]
) -> None:
    assert graph.next_after(body) == cursor


def test_a_place_after_that_is_too_long_is_an_error() -> None:
    with pytest.raises(ConnectorError, match="without saying where"):
        graph.next_after({"data": [1], "paging": {"cursors": {"after": "x" * 5000}}})


# ------------------------------------------------------------------------------------------------ values


@given(st.dates(date(1990, 1, 2), date(2060, 1, 1)))
def test_the_end_of_every_pacific_day_is_that_day(day: date) -> None:
    end = day_window(day, values.PACIFIC).end
    assert values.pacific_day(end) == day
    assert values.pacific_day(end + timedelta(hours=1)) == day
    assert values.pacific_day(end - timedelta(hours=1)) == day
    assert values.pacific_day(end + timedelta(hours=2)) is None
    assert values.pacific_day(end - timedelta(hours=2)) is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-07-04T19:50:58+0000", datetime(2026, 7, 4, 19, 50, 58, tzinfo=UTC)),
        ("2026-07-04T21:50:58+02:00", datetime(2026, 7, 4, 19, 50, 58, tzinfo=UTC)),
        (1_783_194_658, datetime(2026, 7, 4, 19, 50, 58, tzinfo=UTC)),
        (1_783_194_658_250, datetime(2026, 7, 4, 19, 50, 58, 250_000, tzinfo=UTC)),
        ("2026-07-04T19:50:58", DropReason.BAD_TIME),
        ("2026-07-04", DropReason.BAD_TIME),
        ("yesterday", DropReason.BAD_TIME),
        ("0001-01-01T00:00:00+1400", DropReason.BAD_TIME),
        (0, DropReason.BAD_TIME),
        (1.5, DropReason.BAD_TIME),
        ("9999-12-31T23:59:59-1400", DropReason.BAD_TIME),
        ("9999-12-31T00:00:00+0000", DropReason.FUTURE_TIME),
        (None, DropReason.MISSING_TIME),
    ],
)
def test_instants(value: object, expected: object) -> None:
    assert values.instant(value, NOW) == expected


@given(st.one_of(st.text(), st.integers(), st.floats(), st.booleans(), st.none(), st.datetimes().map(str)))
def test_any_value_is_an_instant_or_a_reason(value: object) -> None:
    found = values.instant(value, NOW)
    assert isinstance(found, DropReason) or found.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, 0),
        (2**63 - 1, 2**63 - 1),
        (2**63, DropReason.OUT_OF_RANGE),
        (-2, DropReason.OUT_OF_RANGE),
        (-1, None),
        (None, None),
        (True, DropReason.BAD_NUMBER),
        (5.0, DropReason.BAD_NUMBER),
        ("5", DropReason.BAD_NUMBER),
        ({}, DropReason.BAD_NUMBER),
    ],
)
def test_counts(value: object, expected: object) -> None:
    assert values.count(value) == expected
    assert type(values.count(value)) is type(expected)
