from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.contract import FetchKind, SubjectRef
from service.fetch.plan import NAMING_SLOT, Due, TaskRow, TaskState, Wanted, due, may_choose, next_look, slot_of

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
SOURCE = UUID(int=7)
HOURLY = FetchKind(name="hourly", every=timedelta(hours=1))
POSTS = FetchKind(name="posts", every=timedelta(hours=1), subjects=True)
SLOT = slot_of(NOW, HOURLY.every, SOURCE, "hourly")
HINTS = [SubjectRef("1"), SubjectRef("2")]

instants = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis adds the zone
intervals = st.timedeltas(timedelta(seconds=1), timedelta(days=400))
sources = st.uuids()


def row(**changes: Any) -> TaskRow:
    plain = TaskRow(
        source_id=SOURCE,
        kind="hourly",
        slot=SLOT,
        state=TaskState.DONE,
        attempt=1,
        lease_until=NOW - timedelta(seconds=1),
        started_at=NOW,
    )
    return msgspec.structs.replace(plain, **changes)


def only(kind: FetchKind, *tasks: TaskRow, hints: Any = (), now: datetime = NOW, **wanted: Any) -> Due | None:
    found = due([kind], tasks, {kind.name: Wanted(hints=hints, **wanted)}, SOURCE, now)
    return found[0] if found else None


# ------------------------------------------------------------------------------------------------ slots


@given(now=instants, every=intervals, source=sources)
def test_an_instant_lies_in_its_slot(now: datetime, every: timedelta, source: UUID) -> None:
    slot = slot_of(now, every, source, "k")
    whole = timedelta(seconds=every // timedelta(seconds=1))
    assert slot <= now < slot + whole
    assert slot_of(slot, every, source, "k") == slot
    assert slot_of(slot + whole, every, source, "k") == slot + whole
    assert slot_of(slot - timedelta(microseconds=1), every, source, "k") == slot - whole


@given(every=st.timedeltas(timedelta(0), timedelta(seconds=1)))
def test_an_interval_has_a_second_at_least(every: timedelta) -> None:
    assert slot_of(NOW, every, SOURCE, "k") == NOW


def test_sources_and_kinds_are_spread_over_the_interval() -> None:
    starts = [slot_of(NOW, timedelta(hours=1), UUID(int=number), "k").minute // 10 for number in range(600)]
    assert min(Counter(starts).values()) > 60
    assert len({slot_of(NOW, timedelta(hours=1), SOURCE, str(number)) for number in range(50)}) > 40


# ------------------------------------------------------------------------------------------------ what is due


def test_a_new_source_is_due_at_once() -> None:
    assert only(HOURLY) == Due(kind=HOURLY, slot=SLOT)


@pytest.mark.parametrize("state", [TaskState.DONE, TaskState.FAILED, TaskState.SKIPPED])
def test_an_ended_slot_is_not_due_again(state: TaskState) -> None:
    assert only(HOURLY, row(state=state)) is None
    assert only(HOURLY, row(state=state), now=SLOT + HOURLY.every) == Due(kind=HOURLY, slot=SLOT + HOURLY.every)


def test_only_the_newest_of_the_missed_slots_is_due() -> None:
    later = SLOT + timedelta(hours=6)
    assert only(HOURLY, row(), now=later + timedelta(minutes=10)) == Due(kind=HOURLY, slot=later)


def test_a_run_by_hand_in_the_slot_stands_for_it() -> None:
    assert only(HOURLY, row(slot=SLOT + timedelta(minutes=3))) is None


def test_a_run_of_single_subjects_does_not_stand_for_the_slot() -> None:
    assert only(HOURLY, row(slot=SLOT + timedelta(minutes=3), subjects=tuple(HINTS))) == Due(kind=HOURLY, slot=SLOT)


@pytest.mark.parametrize("state", [TaskState.RUNNING, TaskState.WAITING])
def test_an_open_task_keeps_its_kind_busy_even_past_its_slot(state: TaskState) -> None:
    busy = row(state=state, lease_until=NOW + timedelta(seconds=1))
    assert only(HOURLY, busy) is None
    later = SLOT + timedelta(hours=5)
    assert only(HOURLY, msgspec.structs.replace(busy, lease_until=later + timedelta(minutes=1)), now=later) is None


@pytest.mark.parametrize("state", [TaskState.RUNNING, TaskState.WAITING])
def test_what_was_left_is_taken_up_while_it_is_recent(state: TaskState) -> None:
    left = row(state=state, lease_until=NOW, cursor={"after": "7"}, subjects=tuple(HINTS))
    wanted = Due(kind=HOURLY, slot=SLOT, subjects=tuple(HINTS), resume=left)
    assert only(HOURLY, left) == wanted
    recent = SLOT + timedelta(hours=2) - timedelta(seconds=1)
    assert only(HOURLY, left, now=recent) == wanted
    assert only(HOURLY, left, now=SLOT + timedelta(hours=2)) == Due(kind=HOURLY, slot=SLOT + timedelta(hours=2))


def test_kinds_do_not_hinder_each_other() -> None:
    tasks = [row(state=TaskState.RUNNING, lease_until=NOW + timedelta(hours=1))]
    assert [one.kind for one in due([HOURLY, POSTS], tasks, {}, SOURCE, NOW)] == [POSTS]


# ------------------------------------------------------------------------------------------------ hints


def posts(**changes: Any) -> TaskRow:
    return row(kind="posts", slot=slot_of(NOW, POSTS.every, SOURCE, "posts"), **changes)


def test_hints_are_fetched_between_slots_by_kinds_that_take_subjects() -> None:
    found = only(POSTS, posts(), hints=HINTS)
    assert found is not None
    assert found.subjects == tuple(HINTS)
    assert timedelta(0) <= NOW - found.slot < timedelta(minutes=1)
    assert only(POSTS, posts()) is None
    assert only(HOURLY, row(), hints=HINTS) is None


def test_a_due_slot_reads_everything_and_hints_wait() -> None:
    found = only(POSTS, hints=HINTS)
    assert found is not None
    assert found.subjects == ()


# ------------------------------------------------------------------------------------------------ the refresh plan


SWEPT = FetchKind(name="posts", every=timedelta(hours=1), subjects=True, sweep=timedelta(days=7))
NAMING = slot_of(NOW, NAMING_SLOT, SOURCE, "posts")


def test_chosen_subjects_are_named_in_a_slot_of_their_own_after_the_hints() -> None:
    found = only(POSTS, posts(), hints=HINTS, chosen=[SubjectRef("3"), SubjectRef("1")])
    assert found == Due(kind=POSTS, slot=NAMING, subjects=(*HINTS, SubjectRef("3")))
    assert only(POSTS, posts(), chosen=[]) is None


def test_the_plan_is_asked_while_nobody_works_and_its_slot_is_free() -> None:
    assert may_choose(POSTS, [], SOURCE, NOW)
    assert may_choose(POSTS, [row(kind="posts", slot=NAMING - timedelta(hours=1))], SOURCE, NOW)
    assert not may_choose(POSTS, [row(kind="posts", slot=NAMING)], SOURCE, NOW)
    assert not may_choose(HOURLY, [], SOURCE, NOW)


@pytest.mark.parametrize("state", [TaskState.RUNNING, TaskState.WAITING])
def test_the_plan_is_not_asked_while_a_task_is_open_but_for_one_left_long_ago(state: TaskState) -> None:
    slot = NAMING - timedelta(minutes=30)
    busy = row(kind="posts", slot=slot, state=state, lease_until=NOW + timedelta(minutes=1))
    left = row(kind="posts", slot=slot, state=state, lease_until=NOW)
    long_ago = row(kind="posts", slot=slot - timedelta(days=1), state=state, lease_until=NOW)
    assert [may_choose(POSTS, [task], SOURCE, NOW) for task in (busy, left, long_ago)] == [False, False, True]


def test_a_kind_without_a_sweep_reads_everything_as_often_as_ever() -> None:
    found = only(POSTS, chosen=HINTS, knows=True)
    assert found is not None
    assert found.subjects == ()


def test_a_kind_with_a_sweep_reads_everything_while_nothing_is_known() -> None:
    whole = Due(kind=SWEPT, slot=slot_of(NOW, SWEPT.every, SOURCE, "posts"))
    assert only(SWEPT, chosen=()) == whole
    assert only(SWEPT, posts(), chosen=()) is None
    later = whole.slot + SWEPT.every
    assert only(SWEPT, posts(), chosen=(), now=later) == Due(kind=SWEPT, slot=later)


def test_a_kind_with_a_sweep_reads_everything_seldom_once_subjects_are_known() -> None:
    later = NOW + timedelta(hours=2)
    naming = slot_of(later, NAMING_SLOT, SOURCE, "posts")
    done = row(kind="posts", slot=slot_of(NOW, SWEPT.sweep, SOURCE, "posts"))
    assert only(SWEPT, done, chosen=HINTS, knows=True, now=later) == Due(kind=SWEPT, slot=naming, subjects=tuple(HINTS))
    assert only(SWEPT, done, now=later) is None  # the plan was not asked: it is another replica's turn, or its slot ran
    after = done.slot + SWEPT.sweep
    assert only(SWEPT, done, chosen=HINTS, knows=True, now=after) == Due(kind=SWEPT, slot=after)


# ------------------------------------------------------------------------------------------------ looking again


def test_the_next_look_is_the_next_slot_or_the_end_of_a_lease() -> None:
    assert next_look([HOURLY], [row()], SOURCE, NOW) == SLOT + HOURLY.every
    lease = NOW + timedelta(seconds=5)
    assert next_look([HOURLY], [row(state=TaskState.WAITING, lease_until=lease)], SOURCE, NOW) == lease
    assert next_look([], [], SOURCE, NOW) is None


def test_the_short_slots_of_the_plan_are_looked_at_too() -> None:
    assert next_look([POSTS], [posts()], SOURCE, NOW) == NAMING + NAMING_SLOT
