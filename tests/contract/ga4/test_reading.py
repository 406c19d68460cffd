"""What a report of a property says, row by row."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import Any

import pytest

from connectors.contract import BadPayload, Delivery, Quality, day_window
from connectors.ga4 import CONNECTOR
from connectors.ga4_metrics import DIMENSIONS, METRICS
from connectors.ga4_property import Ga4Options
from tests.contract.ga4.desk import NOW, OPTIONS, links, observations, parsed, recorded
from tests.contract.reading import drops
from tests.fakes.ga4 import NOT_SET, PROPERTY

NAMES = ["sessions", "keyEvents:purchase", "purchaseRevenue"]
UTM = ["spring", NOT_SET, "instagram", "paid_social", NOT_SET]
METADATA = {"currencyCode": "EUR", "timeZone": "Europe/Berlin"}


def report(
    *rows: tuple[list[str], list[str]],
    dimensions: list[str] | None = None,
    metrics: list[str] | None = None,
    **metadata: Any,
) -> bytes:
    """Return a report with rows of dimension and metric values."""
    return json.dumps(
        {
            "dimensionHeaders": [{"name": name} for name in dimensions or DIMENSIONS],
            "metricHeaders": [{"name": name, "type": "TYPE_INTEGER"} for name in metrics or NAMES],
            "rows": [
                {
                    "dimensionValues": [{"value": text} for text in texts],
                    "metricValues": [{"value": text} for text in numbers],
                }
                for texts, numbers in rows
            ],
            "rowCount": len(rows),
            "metadata": METADATA | metadata,
        }
    ).encode()


def row(day: str = "20260302", sessions: str = "12", events: str = "1", revenue: str = "9.99", **utm: str) -> Any:
    names = ["campaign", "campaign_id", "source", "medium", "content"]
    told = {**dict(zip(names, UTM, strict=True)), **utm}
    return [day, *told.values()], [sessions, events, revenue]


def sums(body: bytes, options: Ga4Options = OPTIONS) -> dict[str, int]:
    found: dict[str, int] = {}
    for one in observations(parsed(body, options)):
        for key, value in one.metrics.items():
            found[key] = found.get(key, 0) + value
    return found


# ------------------------------------------------------------------------------------------------ columns


def test_values_stand_in_the_order_of_the_answer_and_not_of_the_request() -> None:
    texts, numbers = row()
    turned = report((texts[::-1], numbers[::-1]), dimensions=[*DIMENSIONS][::-1], metrics=NAMES[::-1])
    assert parsed(turned)[1:] == [*parsed(report(row()))[1:]][::-1]
    assert sums(turned) == {
        "sessions": 12,
        "conversions_platform": 1_000_000,
        "conversion_value_platform": 9_990_000,
    }


@pytest.mark.parametrize("name", [name for name, rule in METRICS.items() if not rule.key])
def test_what_is_left_out_moves_nothing(name: str) -> None:
    found = parsed(report((row()[0], ["12", "77"]), metrics=["sessions", name]))
    assert [one.metrics for one in observations(found)] == [{"sessions": 12}]
    assert ("not_mapped", name) in drops(found)


def test_unknown_columns_are_named_once() -> None:
    texts, _ = row()
    found = parsed(report((texts, ["12", "1"]), metrics=["sessions", "keyEvents:sign_up"]))
    assert sums(report((texts, ["12", "1"]), metrics=["sessions", "keyEvents:sign_up"])) == {"sessions": 12}
    assert drops(found) == [("unknown_metric", "keyEvents:sign_up")]


def test_the_former_name_of_key_events_counts_the_same() -> None:
    texts, _ = row()
    body = report((texts, ["12", "3"]), metrics=["sessions", "conversions:purchase"])
    assert sums(body) == {"sessions": 12, "conversions_platform": 3_000_000}


def test_the_declared_key_event_is_the_goal() -> None:
    texts, _ = row()
    options = Ga4Options(key_event="sign_up", revenue=False)
    body = report((texts, ["12", "3"]), metrics=["sessions", "keyEvents:sign_up"])
    assert [one.goal for one in observations(parsed(body, options))] == ["", "sign_up"]


@pytest.mark.parametrize(
    "changes",
    [
        {"dimensionHeaders": []},
        {"dimensionHeaders": [{"name": "sessionManualSource"}]},
        {"dimensionHeaders": [{"name": "date"}, {"name": "date"}]},
        {"metricHeaders": None},
        {"metricHeaders": [{"type": "TYPE_INTEGER"}]},
        {"rows": {"0": {}}},
    ],
)
def test_a_report_without_its_columns_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(BadPayload):
        recorded(**changes)


def test_an_empty_report_has_no_rows_and_says_nothing() -> None:
    assert recorded("empty") == []
    assert recorded(rows=[], dimensionHeaders=None) == []


# ------------------------------------------------------------------------------------------------ links


def test_case_and_property_are_parts_of_a_link() -> None:
    spelled = parsed(report(row(source="Instagram"), row(source="instagram")))
    assert len({one.subject for one in links(spelled)}) == 2
    assert all(one.subject.external_id.startswith(f"{PROPERTY}/") for one in links(spelled))
    assert links(spelled)[0].utm_source == "Instagram"


def test_long_parameters_keep_links_apart() -> None:
    found = links(parsed(report(row(content="x" * 400), row(content="x" * 399 + "y"))))
    assert len({one.subject for one in found}) == 2
    assert all(len(one.subject.external_id) <= 256 for one in found)


@pytest.mark.parametrize("value", ["", NOT_SET, "(direct)", "(none)", "(data not available)", "(Not Set)"])
def test_what_stands_for_nothing_is_nothing(value: str) -> None:
    (found,) = links(parsed(report(row(campaign=value))))
    assert found.utm_campaign is None


@pytest.mark.parametrize("value", ["{{campaign.name}}", "__CAMPAIGN_NAME__", "{campaignid}", "a {{ad.id}}"])
def test_templates_that_were_not_filled_are_as_good_as_absent(value: str) -> None:
    (found,) = links(parsed(report(row(campaign=value, campaign_id=value))))
    assert (found.utm_campaign, found.platform_campaign) == (None, None)


def test_a_medium_alone_is_no_tracked_link() -> None:
    found = parsed(report(row(campaign=NOT_SET, source="(direct)", medium="email")))
    assert drops(found) == [("not_mapped", "visits of no tracked link")]


@pytest.mark.parametrize(
    ("medium", "paid"),
    [
        ("paid_social", True),
        ("Paid", True),
        ("cpc", True),
        ("ppc", True),
        ("retargeting", True),
        ("social", False),
        ("Social-Media", False),
        ("influencer", None),
        ("email", None),
        ("xpaid", None),
        (NOT_SET, None),
    ],
)
def test_the_medium_says_whether_it_was_paid_for(medium: str, paid: bool | None) -> None:
    found = parsed(report(row(medium=medium)))
    assert {one.paid for one in observations(found)} == {paid}
    assert links(found)[0].paid is paid


def test_the_same_link_and_day_twice_is_one() -> None:
    body = report(row(), row(sessions="900"))
    assert sums(body)["sessions"] == 12
    assert drops(parsed(body)) == [("conflict", "the same day of the same link again")]


# ------------------------------------------------------------------------------------------------ quality


@pytest.mark.parametrize(
    ("metadata", "quality"),
    [
        ({}, ()),
        ({"samplingMetadatas": []}, ()),
        ({"samplingMetadatas": [{"samplesReadCount": "5", "samplingSpaceSize": "12"}]}, (Quality.SAMPLED,)),
        ({"subjectToThresholding": True}, (Quality.THRESHOLDED,)),
        ({"subjectToThresholding": False, "dataLossFromOtherRow": True}, (Quality.TRUNCATED,)),
        ({"subjectToThresholding": "true"}, ()),
    ],
)
def test_what_the_report_says_against_itself_is_kept(metadata: dict[str, Any], quality: tuple[Quality, ...]) -> None:
    assert {one.quality for one in observations(parsed(report(row(), **metadata)))} == {quality}


def test_links_lumped_together_in_part_are_truncated() -> None:
    found = parsed(report(row(content="(other)"), row(content="1")))
    assert [one.quality for one in observations(found)] == [(Quality.TRUNCATED,)] * 3 + [()] * 3


def test_rows_lumped_together_whole_belong_to_nobody() -> None:
    found = parsed(report(row(campaign="(other)", source="(other)", medium="(other)", content="(other)")))
    assert observations(found) == []
    assert drops(found) == [("not_available", "rows lumped together")]


# ------------------------------------------------------------------------------------------------ days and numbers


def test_days_are_those_of_the_property() -> None:
    found = observations(parsed(report(row("20260308"), timeZone="America/New_York")))
    window = found[0].window
    assert window == day_window(date(2026, 3, 8), "America/New_York")
    assert window is not None
    assert (window.end - window.start).total_seconds() == 23 * 3600


def test_a_report_that_does_not_say_its_zone_has_that_of_the_ones_before() -> None:
    body = report(row(), timeZone=None)
    window = observations(parsed(body))[0].window
    assert window is not None
    assert window.zone == "Europe/Berlin"
    with pytest.raises(BadPayload):
        parsed(body, zone="")


@pytest.mark.parametrize(
    ("day", "reason"),
    [
        ("(other)", "bad_time"),
        ("2026-03-02", "bad_time"),
        ("20260230", "bad_time"),
        ("19700101", "bad_time"),
        ("", "bad_time"),
        ("20260821", "future_time"),
    ],
)
def test_one_bad_row_is_not_the_loss_of_its_neighbours(day: str, reason: str) -> None:
    body = report(row(day), row(source="tiktok", sessions="5"))
    assert sums(body)["sessions"] == 5
    assert drops(parsed(body)) == [(reason, "date")]


@pytest.mark.parametrize("entry", [None, {}, {"dimensionValues": []}, {"dimensionValues": [None] * 6}, "row"])
def test_rows_that_are_none(entry: Any) -> None:
    body = json.loads(report(row()))
    body["rows"].append(entry)
    found = parsed(json.dumps(body).encode())
    assert len(observations(found)) == 3
    assert drops(found) == [("malformed", "a row has a value for each column")]


@pytest.mark.parametrize(
    ("told", "micros"),
    [
        ("530.4", 530_400_000),
        ("1.25E1", 12_500_000),
        ("0.0000005", 0),
        ("0.00000051", 1),
        ("-3", -3_000_000),
        ("98.123456789", 98_123_457),
    ],
)
def test_revenue_is_rounded_to_millionths(told: str, micros: int) -> None:
    assert sums(report(row(revenue=told)))["conversion_value_platform"] == micros


@pytest.mark.parametrize("told", ["", "NaN", "inf", "1e99", "1e400", "9" * 19, "1,5", "٣", "--1", "0x10"])
def test_numbers_that_are_none(told: str) -> None:
    found = parsed(report(row(revenue=told)))
    assert [list(one.metrics) for one in observations(found)] == [["sessions"], ["conversions_platform"]]
    assert drops(found)[0][0] in {"bad_number", "out_of_range"}
    assert drops(found)[0][1] == "purchaseRevenue"


@pytest.mark.parametrize("told", ["1.0", "-1", "", "9" * 20])
def test_visits_are_whole(told: str) -> None:
    assert "sessions" not in sums(report(row(sessions=told)))


@pytest.mark.parametrize("currency", [None, "eur", "(not set)"])
def test_money_without_a_currency_is_no_money(currency: str | None) -> None:
    found = parsed(report(row(), currencyCode=currency))
    assert drops(found) == [("bad_currency", "purchaseRevenue")]
    assert {one.currency for one in observations(found)} == {None}


def test_the_day_in_progress_ends_where_the_property_is() -> None:
    late = datetime(2026, 8, 20, 23, tzinfo=UTC)  # already the 21st in Berlin
    body = report(row("20260821"))
    assert observations(parsed(body, at=late))
    assert not observations(parsed(body, at=NOW))


def test_other_deliveries_are_refused() -> None:
    for channel, page in (("webhook", "link_days"), ("fetch", "metadata")):
        with pytest.raises(BadPayload):
            CONNECTOR.parse(
                Delivery(channel=channel, body=report(row()), received_at=NOW, request={"page": page}), OPTIONS
            )
