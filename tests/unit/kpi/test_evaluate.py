from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.kpi.catalogue import CATALOGUE, Kind, resolve
from service.kpi.evaluate import evaluate
from service.kpi.measure import Method, Quality, Reason, State, Value
from service.kpi.members import Column, MemberSums, exact_sum, member_sums, take

EUR = 1_000_000
known_or_not = st.one_of(st.none(), st.integers(0, 10**9))


def _value(key: str, *, currency: str | None = "EUR", **columns: list[int | None]) -> Value:
    size = len(next(iter(columns.values())))
    return evaluate(resolve(key), member_sums([str(i) for i in range(size)], columns), currency=currency)


def test_sums_leave_out_what_is_unknown_and_tell_it() -> None:
    value = _value("impressions", impressions=[100, None, 50])
    assert (value.value, value.state) == (150, State.OK)
    assert value.coverage is not None
    assert (value.coverage.members_known, value.coverage.members_total) == (2, 3)


def test_a_measured_zero_is_zero_and_silence_is_missing() -> None:
    assert _value("clicks", clicks_link=[0, 0]).state is State.ZERO
    silent = _value("clicks", clicks_link=[None, None])
    assert (silent.value, silent.state, silent.reason) == (None, State.MISSING, Reason.NOT_REPORTED)
    assert _value("clicks", impressions=[5]).state is State.MISSING


def test_engagements_are_the_sum_of_known_parts() -> None:
    value = _value("engagements", likes=[10, None], comments=[None, 3], shares=[None, None])
    assert value.value == 13
    assert value.note == "not reported by any member: shares, saves"
    assert value.coverage is not None
    assert value.coverage.members_known == 2


def test_money_is_a_string_and_never_in_two_currencies() -> None:
    value = _value("cost", spend_media=[EUR, 2 * EUR], fee_creator=[None, EUR // 2])
    assert (value.value, value.currency) == ("3.50", "EUR")
    mixed = _value("cost", currency=None, spend_media=[EUR])
    assert (mixed.value, mixed.reason, mixed.state) == (None, Reason.MIXED_CURRENCY, State.UNDEFINED)
    assert _value("cost", currency=None, likes=[1]).reason is Reason.NO_COST
    assert _value("roas", currency=None, spend_media=[EUR], conversion_value=[EUR]).reason is Reason.MIXED_CURRENCY


def test_fractional_conversions_and_watch_time_in_seconds() -> None:
    assert _value("conversions", conversions=[500_000, 250_000]).value == 0.75
    whole = _value("conversions", conversions=[500_000, 500_000]).value
    assert (whole, type(whole)) == (1, int)
    assert _value("watch_time", watch_time=[1500]).value == 1.5


def test_a_ratio_needs_both_sides_of_a_member() -> None:
    value = _value("ctr", clicks_link=[10, None, 7], impressions=[1000, 5000, None])
    assert value.value == 0.01
    assert (value.numerator, value.denominator) == (10, 1000)
    assert value.coverage is not None
    assert value.coverage.members_known == 1
    assert value.coverage.numerator_share == pytest.approx(10 / 17)


def test_sides_that_never_meet_make_no_ratio() -> None:
    value = _value("ctr", clicks_link=[10, None], impressions=[None, 1000])
    assert (value.value, value.reason) == (None, Reason.MISSING_DENOMINATOR)


def test_strict_coverage_refuses_a_gap() -> None:
    sums = member_sums(["a", "b"], {"clicks_link": [10, None], "impressions": [1000, 1000]})
    value = evaluate(resolve("ctr"), sums, currency=None, coverage="strict")
    assert (value.value, value.reason, value.detail) == (None, Reason.MISSING_NUMERATOR, "1_of_2_posts")
    whole = take(sums, np.array([0]))
    assert evaluate(resolve("ctr"), whole, currency=None, coverage="strict").value == 0.01


def test_corrections_may_make_a_window_negative() -> None:
    below = _value("ctr", clicks_link=[5], impressions=[-100])
    assert (below.value, below.reason) == (None, Reason.NEGATIVE_DENOMINATOR)
    above = _value("ctr", clicks_link=[-5], impressions=[100])
    assert (above.value, above.interval) == (-0.05, None)


def test_a_numerator_above_its_base_has_no_interval_however_many_members() -> None:
    value = _value("ctr", clicks_link=[20] * 6, impressions=[10] * 6)
    assert (value.value, value.interval) == (2.0, None)
    assert value.reason is Reason.NUMERATOR_EXCEEDS_DENOMINATOR
    by_followers = _value("er_followers", likes=[20, 25, 30, 21, 22], followers_at_publish=[10] * 5)
    assert by_followers.reason is None
    assert by_followers.interval is not None


@pytest.mark.parametrize(
    ("members", "clicks", "method", "warned"),
    [
        (4, 3, Method.WILSON, True),
        (5, 3, Method.LOG_JACKKNIFE_T, False),
        (5, 0, Method.WILSON, True),
    ],
)
def test_the_default_interval(members: int, clicks: int, method: Method, warned: bool) -> None:
    value = _value("ctr", clicks_link=[clicks + i * (clicks > 0) for i in range(members)], impressions=[900] * members)
    assert value.interval is not None
    assert value.interval.method is method
    assert value.interval.ignores_clustering is warned


def test_the_upper_limit_of_a_proportion_is_at_most_one() -> None:
    value = _value("ctr", clicks_link=[90, 2, 95, 1, 80], impressions=[100] * 5)
    assert value.interval is not None
    assert value.interval.high == 1.0


def test_cost_belongs_to_the_members_whose_denominator_is_known() -> None:
    value = _value("cpm", spend_media=[10 * EUR, 30 * EUR], impressions=[1000, None])
    assert value.value == "10.00"
    assert value.coverage is not None
    assert value.coverage.numerator_share == 0.25
    organic = _value("cpm", spend_media=[10 * EUR, None], impressions=[1000, 1000])
    assert organic.value == "5.00"


def test_cost_apart_from_its_denominator_is_divided_as_a_whole() -> None:
    value = _value("cpc", fee_creator=[50 * EUR, None], clicks_link=[None, 100])
    assert value.value == "0.50"
    assert value.note is not None
    assert value.interval is not None
    assert value.interval.method is Method.GARWOOD
    # However many members there are: those that cost something are not those that were clicked.
    names = [str(i) for i in range(12)]
    columns = {"fee_creator": [*[40 * EUR] * 6, *[None] * 6], "clicks_link": [*[None] * 6, 10, 12, 9, 11, 8, 10]}
    apart = msgspec.structs.replace(member_sums(names, columns), shared={"cost_production": 60 * EUR})
    many = evaluate(resolve("cpc"), apart, currency="EUR")
    assert many.value == "5.00"
    assert many.interval is not None
    assert many.interval.method is Method.GARWOOD


def test_conversions_are_booked_not_measured() -> None:
    # The post that cost something has no conversion; leaving it out would flatter the campaign.
    value = _value("cpa", spend_media=[30 * EUR, 10 * EUR], conversions=[None, 4_000_000])
    assert value.value == "10.00"
    assert value.coverage is not None
    assert value.coverage.members_known == 2


def test_amounts_of_the_campaign_itself_count() -> None:
    sums = member_sums(["a"], {"spend_media": [10 * EUR], "impressions": [1000]})
    shared = msgspec.structs.replace(sums, shared={"cost_production": 5 * EUR})
    assert evaluate(resolve("cost"), shared, currency="EUR").value == "15.00"
    assert evaluate(resolve("cpm"), shared, currency="EUR").value == "15.00"
    only = msgspec.structs.replace(member_sums([], {}), shared={"fee_creator": EUR, "conversions": 2 * EUR})
    assert evaluate(resolve("cpa"), only, currency="EUR").value == "0.50"


def test_no_conversion_yet_gives_a_lower_limit_only_for_a_known_cost() -> None:
    value = _value("cpa", spend_media=[350 * EUR], conversions=[0])
    assert (value.value, value.state, value.reason) == (None, State.UNDEFINED, Reason.ZERO_DENOMINATOR)
    assert value.interval is not None
    assert value.interval.low == "94.8797607386"
    assert value.interval.high is None
    assert _value("cpa", likes=[1], conversions=[0]).reason is Reason.NO_COST
    assert _value("cpa", spend_media=[0], conversions=[0]).interval is None


def test_fractional_conversions_have_no_poisson_limits() -> None:
    value = _value("cpa", spend_media=[EUR], conversions=[2_500_000])
    assert (value.value, value.interval) == ("0.40", None)


def test_returns() -> None:
    values = [(200 + i) * EUR for i in range(5)]
    sums = member_sums(list("abcde"), {"spend_media": [100 * EUR] * 5, "conversion_value": values})
    roas, roi = (evaluate(resolve(key), sums, currency="EUR") for key in ("roas", "roi"))
    assert (roas.value, roi.value) == (2.02, 1.02)
    assert roas.interval is not None
    assert roi.interval is not None
    assert float(roi.interval.low or 0) == pytest.approx(float(roas.interval.low or 0) - 1)
    assert _value("roas", spend_media=[0], conversion_value=[EUR]).reason is Reason.ZERO_DENOMINATOR
    assert _value("roas", spend_media=[EUR], conversion_value=[0]).state is State.ZERO


def test_reach_is_exact_for_one_and_bounded_for_several() -> None:
    one = _value("reach", reach=[500], impressions=[900])
    assert (one.value, one.bounds, one.state) == (500, None, State.OK)
    several = _value("reach", reach=[500, 300, None], impressions=[900, 900, None])
    assert (several.value, several.state) == (None, State.BOUNDED)
    assert several.bounds is not None
    assert (several.bounds.lower, several.bounds.upper) == (500, 800)


def test_an_unknown_audience_leaves_reach_open_above() -> None:
    value = _value("reach", reach=[500, None], impressions=[900, 100])
    assert value.bounds is not None
    assert (value.bounds.lower, value.bounds.upper) == (500, None)


def test_frequency() -> None:
    one = _value("frequency", reach=[500], impressions=[1000])
    assert (one.value, one.bounds) == (2.0, None)
    zero = _value("frequency", reach=[0, 0], impressions=[0, 0])
    assert zero.reason is Reason.ZERO_DENOMINATOR
    missing = _value("frequency", impressions=[10])
    assert missing.reason is Reason.MISSING_DENOMINATOR


def test_followers_of_several_profiles_overlap() -> None:
    value = _value("followers", followers=[1000, 700])
    assert value.bounds is not None
    assert (value.value, value.bounds.lower, value.bounds.upper) == (None, 1000, 1700)
    assert _value("followers", followers=[1000, None]).value == 1000


def test_growth_needs_both_ends_or_the_flows() -> None:
    grown = _value("follower_growth", followers=[110, 205], followers_start=[100, 200])
    assert grown.value == 15
    assert grown.note is not None
    assert _value("follower_growth_rate", followers=[110, 205], followers_start=[100, 200]).value == 0.05
    flows = _value("follower_growth", followers_gained=[7], followers_lost=[9])
    assert flows.value == -2
    assert _value("follower_growth_rate", followers_gained=[7], followers_lost=[9]).value is None
    late = _value("follower_growth", followers=[110])
    assert (late.value, late.reason) == (None, Reason.MISSING_PREVIOUS)
    unchanged = _value("follower_growth", followers=[5], followers_start=[5])
    assert (unchanged.value, unchanged.state) == (0, State.ZERO)
    based_on_zero = _value("follower_growth_rate", followers=[40], followers_start=[0])
    assert (based_on_zero.value, based_on_zero.numerator, based_on_zero.reason) == (None, 40, Reason.ZERO_BASE)


def test_withheld_metrics_hold_back_what_is_made_of_them() -> None:
    sums = member_sums(["a"], {"likes": [5], "impressions": [10]})
    held = msgspec.structs.replace(sums, withheld={"likes": Reason.SUSPECTED_RESET})
    for key in ("likes", "engagements", "er_impressions", "cpe"):
        value = evaluate(resolve(key), held, currency="EUR")
        assert (value.value, value.state, value.reason) == (None, State.SUPPRESSED, Reason.SUSPECTED_RESET)
    assert evaluate(resolve("impressions"), held, currency=None).value == 10


def test_the_worst_quality_behind_a_value_is_told() -> None:
    sums = member_sums(["a"], {"clicks_link": [5], "impressions": [10]})
    cut = msgspec.structs.replace(sums, quality={"impressions": Quality.INTERPOLATED})
    assert evaluate(resolve("ctr"), cut, currency=None).quality is Quality.INTERPOLATED
    both = msgspec.structs.replace(cut, quality={"clicks_link": Quality.CORRECTED, "impressions": Quality.INTERPOLATED})
    assert evaluate(resolve("ctr"), both, currency=None).quality is Quality.INTERPOLATED
    guessed = msgspec.structs.replace(sums, quality={"impressions": Quality.ESTIMATED})
    assert evaluate(resolve("ctr"), guessed, currency=None).state is State.ESTIMATED


def test_what_is_said_against_the_numbers_of_some_members_is_told_of_them_alone() -> None:
    ranks = {quality: place for place, quality in enumerate(Quality)}
    said = np.array([0, ranks[Quality.SAMPLED], ranks[Quality.THRESHOLDED]])
    sums = member_sums(["a", "b", "c"], {"sessions": [5, 6, 7], "likes": [1, 2, 3]})
    heard = msgspec.structs.replace(sums, said={"sessions": said}, quality={"likes": Quality.INTERPOLATED})
    sessions, likes = resolve("sessions"), resolve("likes")
    assert evaluate(sessions, heard, currency=None).quality is Quality.THRESHOLDED
    assert evaluate(sessions, take(heard, np.array([0, 1])), currency=None).quality is Quality.SAMPLED
    assert evaluate(sessions, take(heard, np.array([0])), currency=None).quality is Quality.OBSERVED
    assert evaluate(likes, heard, currency=None).quality is Quality.INTERPOLATED
    guessed = msgspec.structs.replace(heard, said={"sessions": said * 0 + ranks[Quality.ESTIMATED]})
    value = evaluate(sessions, guessed, currency=None)
    assert (value.quality, value.state) == (Quality.ESTIMATED, State.OK)


def test_nobody_at_all() -> None:
    empty = MemberSums(members=[], columns={})
    for kpi in CATALOGUE.values():
        value = evaluate(kpi, empty, currency="EUR")
        assert (value.value, value.state) == (None, State.MISSING)
        assert value.reason is not None


@given(
    st.sampled_from(list(CATALOGUE)),
    st.dictionaries(
        st.sampled_from(["impressions", "clicks_link", "likes", "reach", "spend_media", "conversions", "views"]),
        st.lists(known_or_not, min_size=6, max_size=6),
    ),
    st.sampled_from(["EUR", None]),
)
def test_null_has_a_reason_and_a_number_has_none_that_denies_it(
    key: str, columns: dict[str, list[int | None]], currency: str | None
) -> None:
    value = evaluate(CATALOGUE[key], member_sums(list("abcdef"), columns), currency=currency)
    if value.value is None:
        assert value.reason is not None
        assert value.state not in (State.OK, State.ZERO)
    else:
        assert value.reason in (None, Reason.NUMERATOR_EXCEEDS_DENOMINATOR)
        assert value.state is (State.ZERO if float(value.value) == 0 else State.OK) or float(value.value) == 0
    if value.interval is not None and value.value is not None and CATALOGUE[key].kind is Kind.RATIO:
        assert float(value.interval.low or 0) <= float(value.value) * (1 + 1e-9)
        assert value.interval.high is not None
        assert float(value.interval.high) >= float(value.value) * (1 - 1e-9)
    assert msgspec.json.decode(msgspec.json.encode(value), type=Value) == value


@given(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=50))
def test_sums_do_not_overflow(numbers: list[int]) -> None:
    assert exact_sum(np.array(numbers, dtype=np.int64)) == sum(numbers)


def test_values_hidden_behind_the_mask_do_not_leak() -> None:
    hidden = Column(values=np.array([7, 10 * EUR], dtype=np.int64), known=np.array([False, True]))
    views = Column(values=np.array([1000, 1000], dtype=np.int64), known=np.array([True, True]))
    sums = MemberSums(members=["a", "b"], columns={"spend_media": hidden, "cost": hidden, "impressions": views})
    assert evaluate(resolve("spend"), sums, currency="EUR").value == "10.00"
    assert evaluate(resolve("cpm"), sums, currency="EUR").value == "5.00"


def test_groups_are_taken_by_mask_or_index() -> None:
    sums = member_sums(["a", "b", "c"], {"impressions": [1, 2, None]})
    group = take(sums, np.array([True, False, True]))
    assert list(group.members) == ["a", "c"]
    assert evaluate(resolve("impressions"), group, currency=None).value == 1


def test_columns_have_one_value_per_member() -> None:
    with pytest.raises(ValueError, match="2 values for 1 members"):
        member_sums(["a"], {"likes": [1, 2]})
