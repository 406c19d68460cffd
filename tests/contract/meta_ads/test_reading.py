"""What a row, a page and a listing of an ad account say, number by number."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import Any

import msgspec
import pytest

from connectors.contract import BadPayload, Kind, Observation, Quality, SubjectRef, SubjectSeen, SubjectType, day_window
from connectors.meta_ads_account import MetaAdsOptions
from connectors.meta_ads_metrics import ACTIONS, FIELDS, VIDEO
from tests.contract.meta_ads.desk import FIELDS as ASKED
from tests.contract.meta_ads.desk import RECORDINGS, REPORT, ad, parsed, recorded, rows
from tests.contract.reading import counted, drops, observations

BOUGHT = {"action_type": "omni_purchase", "value": "2"}


def one(items: Iterable[Any], key: str) -> Observation:
    """Return the one observation that counts of a metric."""
    (found,) = [item for item in observations(items) if key in item.metrics and not item.check]
    return found


# ------------------------------------------------------------------------------------------------ metric tables


@pytest.mark.parametrize("name", [name for name, rule in FIELDS.items() if rule.key and name != "spend"])
def test_plain_fields(name: str) -> None:
    found = one(rows({name: "12"}), FIELDS[name].key)
    assert found.metrics[FIELDS[name].key] == 12
    assert (found.kind, found.paid, found.scope) == (FIELDS[name].kind, True, "")
    assert found.window == day_window(date(2026, 8, 3), "Europe/Berlin")


@pytest.mark.parametrize("name", [name for name, rule in ACTIONS.items() if rule.key])
def test_actions(name: str) -> None:
    rule = ACTIONS[name]
    found = observations(rows({"impressions": "1", "actions": [{"action_type": name, "value": "12"}]}))
    (booked,) = [item for item in found if item.metrics.get(rule.key) == 12]
    assert (booked.check, booked.scope) == (rule.check, rule.scope)


@pytest.mark.parametrize("name", VIDEO)
def test_video_lists(name: str) -> None:
    found = rows({name: [{"action_type": "video_view", "value": "12"}]})
    assert one(found, VIDEO[name].key).metrics[VIDEO[name].key] == 12


@pytest.mark.parametrize("name", [name for name, rule in {**FIELDS, **ACTIONS}.items() if not rule.key])
def test_what_is_left_out_moves_nothing(name: str) -> None:
    plain = counted(rows({"impressions": "1"}))
    assert counted(rows({"impressions": "1", name: "12"})) == plain
    listed = {"impressions": "1", "actions": [{"action_type": name, "value": "12"}]}
    if name != "omni_purchase":
        assert counted(rows(listed)) == plain
        assert ("not_mapped", name) in drops(rows(listed))


def test_reach_is_of_people_and_estimated() -> None:
    found = one(recorded("insights_ads", REPORT)[:4], "reach")
    assert (found.kind, found.quality) == (Kind.UNIQUE, (Quality.ESTIMATED,))


# ------------------------------------------------------------------------------------------------ counted once


def test_one_action_type_counts_and_the_same_sales_under_other_names_do_not() -> None:
    found = counted(recorded("insights_ads", REPORT))
    assert found["conversions_platform"] == 5_000_000  # not 15: the sales stand there three times
    assert found["conversion_value_platform"] == 620_400_000
    assert found["clicks_link"] == 10  # and not 20 with the action link_click
    assert "conversions" not in found


def test_another_declared_action_has_its_own_goal() -> None:
    leads = MetaAdsOptions(conversion_action="lead", conversion_value=False)
    listed = [{"action_type": "lead", "value": "2"}, {"action_type": "offsite_conversion.fb_pixel_lead", "value": "2"}]
    found = rows({"impressions": "9", "actions": listed}, options=leads)
    assert (one(found, "conversions_platform").goal, counted(found)["conversions_platform"]) == ("lead", 2_000_000)
    assert "conversion_value_platform" not in counted(found)


def test_no_declared_action_is_no_conversion() -> None:
    found = counted(recorded("insights_ads", REPORT, MetaAdsOptions(conversion_action="")))
    assert not {key for key in found if key.startswith("conversion")}


def test_ad_sets_and_campaigns_are_checks_whatever_they_say() -> None:
    found = observations(recorded("insights_campaigns", {**REPORT, "level": "campaign"}))
    assert found
    assert all(item.check for item in found)
    assert {item.subject for item in found} == {SubjectRef("6215293444271", SubjectType.AD_CAMPAIGN)}


@pytest.mark.parametrize(("level", "kind"), [("adset", SubjectType.AD_SET), ("campaign", SubjectType.AD_CAMPAIGN)])
def test_levels_are_subjects(level: str, kind: SubjectType) -> None:
    placed = {"campaign_id": "3", "adset_id": "2", f"{level}_name": "Named", "impressions": "1"}
    items = rows(placed, level=level)
    (seen,) = [item for item in items if isinstance(item, SubjectSeen)]
    assert (seen.subject.type, seen.title, seen.platform_campaign) == (kind, "Named", "3")
    assert seen.parent == ("3" if level == "adset" else None)


def test_the_same_day_of_the_same_ad_twice_is_one() -> None:
    found = rows({"impressions": "5"}, {"impressions": "7"})
    assert counted(found)["impressions"] == 5
    assert ("conflict", "the same day of the same subject again") in drops(found)


def test_rows_as_an_exporter_kept_them() -> None:
    """Eight days of leads, two of which name the pixel's lead beside the lead itself."""
    leads = MetaAdsOptions(conversion_action="offsite_conversion.fb_pixel_lead", conversion_value=False)
    days: dict[tuple[str, str], list[dict[str, str]]] = {}
    with (RECORDINGS / "facebook_ads_basic_ad_actions_data.csv").open() as lines:
        for row in csv.DictReader(lines):
            entry = {"action_type": row["action_type"], "value": row["value"]}
            days.setdefault((row["ad_id"], row["date"]), []).append(entry)
    found = rows(
        *(
            {"ad_id": name, "date_start": day, "date_stop": day, "actions": actions}
            for (name, day), actions in days.items()
        ),
        options=leads,
    )
    assert len(days) == 8
    assert counted(found)["conversions_platform"] == (2 + 2 + 2 + 2 + 3 + 3 + 4 + 1) * 1_000_000


def test_amounts_as_an_exporter_kept_them() -> None:
    with (RECORDINGS / "facebook_ads_basic_ad_data.csv").open() as lines:
        told = list(csv.DictReader(lines))
    found = rows(
        *(
            {**row, "date_start": row["date"], "date_stop": row["date"], "spend": row["spend"].rstrip(".")}
            for row in told
        )
    )
    assert counted(found)["spend_media"] == 643_630_000
    assert counted(found)["clicks_link"] == 149


# ------------------------------------------------------------------------------------------------ zero and nothing


def test_a_row_that_leaves_a_number_out_says_zero() -> None:
    found = counted(rows({"impressions": "120", "spend": "1.07"}))
    assert found == {
        "impressions": 120,
        "clicks_all": 0,
        "clicks_link": 0,
        "likes": 0,
        "comments": 0,
        "shares": 0,
        "saves": 0,
        "engagements_platform": 0,
        "spend_media": 1_070_000,
        "conversions_platform": 0,
        "conversion_value_platform": 0,
    }


def test_what_was_not_asked_for_is_unknown_and_no_zero() -> None:
    asked = ASKED.replace(",actions,action_values", "").replace(",clicks", "")
    assert counted(rows({"impressions": "120"}, fields=asked)) == {
        "impressions": 120,
        "clicks_link": 0,
        "spend_media": 0,
    }


def test_a_row_without_numbers_says_nothing() -> None:
    found = rows({"ad_name": "Ad"}, {"ad_id": "8", "impressions": "1"})
    assert counted(found)["impressions"] == 1
    assert drops(found) == [("no_numbers", "")]


def test_a_list_that_cannot_be_read_proves_no_zero() -> None:
    found = rows({"impressions": "1", "actions": [{"value": "3"}, BOUGHT]})
    assert counted(found)["conversions_platform"] == 2_000_000
    assert "comments" not in counted(found)
    assert drops(found) == [("malformed", "actions action_type")]
    assert "conversions_platform" not in counted(rows({"impressions": "1", "actions": "none"}))


def test_conversions_without_a_value_keep_none() -> None:
    assert "conversion_value_platform" not in counted(rows({"impressions": "1", "actions": [BOUGHT]}))


# ------------------------------------------------------------------------------------------------ attribution


ENTRY = {"action_type": "omni_purchase", "value": "9", "7d_click": "4.25", "1d_click": "3", "1d_view": "1"}
WINDOWS = [
    (MetaAdsOptions(), 9_000_000),
    (MetaAdsOptions(click_window="7d_click"), 4_250_000),
    (MetaAdsOptions(click_window="7d_click", view_window="1d_view"), 5_250_000),
    (MetaAdsOptions(view_window="1d_view"), 1_000_000),
]


@pytest.mark.parametrize(("options", "expected"), WINDOWS)
def test_windows_of_one_kind_are_never_added(options: MetaAdsOptions, expected: int) -> None:
    found = counted(rows({"impressions": "1", "actions": [ENTRY]}, options=options))
    assert found["conversions_platform"] == expected


def test_a_window_that_is_not_answered_is_no_zero() -> None:
    gone = MetaAdsOptions(click_window="28d_click")
    found = rows({"impressions": "1", "actions": [ENTRY]}, options=gone)
    assert "conversions_platform" not in counted(found)
    assert ("not_available", "omni_purchase") in drops(found)
    assert counted(rows({"impressions": "1"}, options=gone))["conversions_platform"] == 0


def test_credit_in_thirds_is_rounded_to_millionths() -> None:
    third = {"action_type": "omni_purchase", "value": "0.33333333333"}
    assert counted(rows({"impressions": "1", "actions": [third]}))["conversions_platform"] == 333_333


# ------------------------------------------------------------------------------------------------ money


@pytest.mark.parametrize(("spend", "expected"), [("76.53", 76_530_000), ("0.000001", 1), (144, 144_000_000)])
def test_spend_is_exact(spend: str | int, expected: int) -> None:
    found = one(rows({"spend": spend}), "spend_media")
    assert (found.metrics, found.currency) == ({"spend_media": expected}, "EUR")


@pytest.mark.parametrize("spend", ["0.0000001", 76.53, "-1.00", "1e5", "NaN", "12,50", "٣", "9" * 15])
def test_spend_that_is_not_exact_is_refused_and_its_neighbours_are_not(spend: str | float) -> None:
    found = rows({"impressions": "3", "spend": spend})
    assert "spend_media" not in counted(found)
    assert counted(found)["impressions"] == 3
    assert {reason for reason, _ in drops(found)} <= {"bad_number", "out_of_range"}


@pytest.mark.parametrize("currency", [None, "eur", "EURO", 5])
def test_money_without_a_currency_is_no_money(currency: object) -> None:
    bought = {"action_values": [{"action_type": "omni_purchase", "value": "3"}], "actions": [BOUGHT]}
    found = rows({"impressions": "3", "spend": "1", "account_currency": currency, **bought})
    assert not {"spend_media", "conversion_value_platform"} & set(counted(found))
    assert counted(found)["conversions_platform"] == 2_000_000
    assert drops(found) == [("bad_currency", "spend"), ("bad_currency", "omni_purchase")]


# ------------------------------------------------------------------------------------------------ bad entries


@pytest.mark.parametrize("value", ["", "1.5", "-1", "9" * 20, 1.5, True, [], "१२"])
def test_counts_that_are_none(value: object) -> None:
    found = rows({"impressions": value, "clicks": "2"})
    assert "impressions" not in counted(found)
    assert counted(found)["clicks_all"] == 2


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"ad_id": None}, "missing_id"),
        ({"ad_id": 6215293456071}, "malformed"),
        ({"account_id": "2"}, "conflict"),
        ({"date_start": None}, "missing_time"),
        ({"date_stop": "2026-08-09"}, "bad_time"),
        ({"date_start": "20260803", "date_stop": "20260803"}, "bad_time"),
        ({"date_start": "2026-02-30", "date_stop": "2026-02-30"}, "bad_time"),
        ({"date_start": "1970-01-01", "date_stop": "1970-01-01"}, "bad_time"),
        ({"date_start": "2026-08-21", "date_stop": "2026-08-21"}, "future_time"),
    ],
)
def test_one_bad_row_is_not_the_loss_of_its_neighbours(row: dict[str, Any], reason: str) -> None:
    found = rows({"impressions": "1", **row}, {"ad_id": "8", "impressions": "5"})
    assert counted(found)["impressions"] == 5
    assert [why for why, _ in drops(found)] == [reason]


def test_ids_beyond_what_a_float_holds_stay_whole() -> None:
    name = "120215987654321098765"
    assert observations(rows({"ad_id": name, "impressions": "1"}))[0].subject == ad(name)


def test_the_day_in_progress_is_that_of_the_account() -> None:
    """At noon UTC it is already the next day in Auckland, and still the same in Berlin."""
    row = {"date_start": "2026-08-21", "date_stop": "2026-08-21", "impressions": "1"}
    assert counted(rows(row, zone="Pacific/Auckland"))["impressions"] == 1
    assert not observations(rows(row))


@pytest.mark.parametrize("request_", [{"zone": "Mars"}, {"level": "account"}, {"account": ""}, {"page": "other"}])
def test_a_page_that_does_not_say_what_it_is(request_: dict[str, str]) -> None:
    with pytest.raises(BadPayload):
        parsed(b'{"data":[]}', {**REPORT, **request_})


def test_an_unknown_action_type_is_named_once_a_page() -> None:
    entry = {"impressions": "1", "actions": [{"action_type": "onsite_conversion.messaging_first_reply", "value": "3"}]}
    found = rows(entry, {"ad_id": "8", **entry})
    assert drops(found) == [("not_mapped", "onsite_conversion.messaging_first_reply")]


# ------------------------------------------------------------------------------------------------ listings


def test_ads_say_where_they_hang_and_where_they_lead() -> None:
    first, second, third = recorded("ads", {"page": "ads"})
    assert first == SubjectSeen(
        subject=ad("6215293456071"),
        published_at=datetime(2026, 2, 27, 9, tzinfo=UTC),
        title="Red dress",
        url="https://www.instagram.com/p/C4abc/",
        content_type="video",
        hashtags=("springlook", "kleid"),
        platform_campaign="6215293444271",
        utm_campaign="Spring Launch",
        utm_source="instagram",
        utm_medium="paid_social",
        parent="6215293450001",
        paid=True,
    )
    assert isinstance(second, SubjectSeen)
    assert (second.utm_campaign, second.utm_source) == ("Frühling 1", "Instagram")
    assert second.removed_at == datetime(2026, 3, 3, 17, tzinfo=UTC)
    assert drops([third]) == [("missing_id", "id")]


@pytest.mark.parametrize(
    ("creative", "campaign"),
    [
        ({"url_tags": "utm_campaign={{campaign.name}}-{{adset.id}}"}, None),  # no adset is known here
        ({"url_tags": "utm_campaign={{campaign.id}}"}, "3"),
        ({"url_tags": "?utm_campaign=a%2520b"}, "a%20b"),  # decoded once
        ({"url_tags": "utm_campaign=&utm_campaign=late"}, "late"),
        ({"url_tags": "utm_campaign={{placement}}", "link_url": "https://s.example/?utm_campaign=own"}, "own"),
        ({"link_url": "https://s.example/p#utm_campaign=hash"}, "hash"),
        ({"link_url": "http://[bad"}, None),
        ({"url_tags": "&".join(f"a{n}=1" for n in range(200))}, None),
        ({"url_tags": 7, "link_url": []}, None),
    ],
)
def test_utm_parameters(creative: dict[str, Any], campaign: str | None) -> None:
    listed = {"id": "7", "campaign_id": "3", "created_time": "2026-07-01T08:00:00+0000", "creative": creative}
    (found,) = parsed(_page(listed), {"page": "ads"})
    assert isinstance(found, SubjectSeen)
    assert found.utm_campaign == campaign


def test_a_bad_time_is_not_the_loss_of_an_ad() -> None:
    found = parsed(_page({"id": "7", "name": "Ad", "created_time": "soon"}, "no object"), {"page": "ads"})
    assert isinstance(found[0], SubjectSeen)
    assert drops(found) == [("bad_time", "created_time"), ("malformed", "id")]


def _page(*entries: Any) -> bytes:
    return msgspec.json.encode({"data": entries})
