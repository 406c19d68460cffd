from __future__ import annotations

from service.db.recall import Recall, recall_of, remembering


class _Connection:
    """Stands for a driver's connection."""


def test_a_thing_is_given_at_the_stamp_it_was_read_at_and_no_other() -> None:
    recall = Recall(10)
    recall.put("a", 5, "five", 1)
    assert (recall.get("a", 5), recall.get("a", 6), recall.get("b", 5)) == ("five", None, None)
    recall.put("a", 6, "six", 1)
    recall.put("a", 5, "five again", 1)
    assert (recall.get("a", 5), recall.get("a", 6)) == (None, "six")


def test_what_was_asked_for_longest_ago_goes_first_and_the_bound_holds() -> None:
    recall = Recall(10)
    for key, weight in (("a", 4), ("b", 4), ("huge", 11)):
        recall.put(key, 1, key, weight)
    assert recall.get("huge", 1) is None
    assert recall.get("a", 1) == "a"
    recall.put("c", 1, "c", 4)
    assert [recall.get(key, 1) for key in "abc"] == ["a", None, "c"]
    recall.put("c", 2, "c", 2)
    assert recall.weight == 6


def test_a_connection_remembers_while_its_snapshot_is_open() -> None:
    connection, recall = _Connection(), Recall()
    with remembering(connection, recall):
        assert recall_of(connection) is recall
    assert recall_of(connection) is None
