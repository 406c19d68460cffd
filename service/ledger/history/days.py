"""The days of subjects as SQL: what lines are by themselves, and what ``subject_days`` has beside them."""

from __future__ import annotations

from collections.abc import Sequence

from service.ledger.series import Mark

_EVER = ("'-infinity'", "'infinity'")


def begins_within(first: str, last: str) -> str:
    """Return the condition that an entry may begin a day from ``first`` to ``last`` in some zone.

    The index knows instants: the first zone begins a day 14 hours before UTC does, the last one 12 after it. They are
    reckoned without a zone, which a planner does itself: so it looks at few months.
    """
    return f"""e.valid_from >= ({first}::date::timestamp - interval '14 hours') at time zone 'UTC'
      and e.valid_from <= ({last}::date::timestamp + interval '12 hours') at time zone 'UTC'"""


def days_of_lines(metrics: Sequence[str], owner: str, days: tuple[str, str] = _EVER) -> str:
    """Return the select of the days that lines are a tally of by themselves (``Mark.TALLY``): subject, cell, no bits
    carried, metrics. $1 is the workspace; ``owner`` is what is asked of the subject, ``days`` the first and the last.
    """
    return f"""
    select e.subject_id, e.day, s.zone, 1::smallint as basis, e.days, s.currency, s.paid, 0::bigint as carried,
      {", ".join(f"e.{key}" for key in metrics)}
    from entries e join series s on s.workspace_id = $1 and s.series_id = e.series_id
    where e.workspace_id = $1 and e.subject_id {owner} and e.mark & {Mark.TALLY} <> 0
      and e.day >= {days[0]} and e.day <= {days[1]}
      and {begins_within(*days)}
    """


def days_of_subjects(metrics: Sequence[str], owner: str, days: tuple[str, str] = _EVER) -> str:
    """Return the select of the days of subjects, as :func:`days_of_lines`: those of lines, and what else adds to them.

    A day may be two rows, which are to be added: what its first line says, and what came to it in ``subject_days``.
    """
    return f"""
    select d.subject_id, d.day, d.zone, d.basis, d.days, d.currency, d.paid, d.carried,
      {", ".join(f"d.{key}" for key in metrics)}
    from subject_days d
    where d.workspace_id = $1 and d.subject_id {owner} and d.day >= {days[0]} and d.day <= {days[1]}
    union all {days_of_lines(metrics, owner, days)}
    """
