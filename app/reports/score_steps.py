"""How many people of a large group have how many points, so that a rank in it needs no count of the people.

Points are taken in steps, of 1 for those of seven days and of 8 for all. Who has more points than somebody is whoever
stands on a higher step, which is a sum over a few hundred rows, and those further up on the same step, who are
counted in the index of the scores. Groups of fewer people have no steps: there all are counted.
"""

from typing import Any

from sqlalchemy import ColumnElement, FromClause, Integer, case, cast, func, select

from app.reports.schemas import RankBy
from app.schema.reports import ScoreStep

LAST_7, TOTAL = 0, 1
"""The kinds of steps."""
BITS = {LAST_7: 0, TOTAL: 3}  # as in the database: the function score_steps_of
"""A step is the points without so many of their last bits."""


def better(
    by: RankBy, scores: FromClause, org_id: ColumnElement[Any], day: ColumnElement[Any], points: ColumnElement[Any]
) -> ColumnElement[int]:
    """How many of the org's `scores` (member_id, points) of the day have more points than these."""
    kind = LAST_7 if by is RankBy.LAST_7_DAYS else TOTAL
    step = points.op(">>")(BITS[kind])
    here = (ScoreStep.org_id == org_id, ScoreStep.day == day, ScoreStep.kind == kind)
    higher = select(func.coalesce(func.sum(ScoreStep.people), 0)).where(*here, ScoreStep.step > step)
    counted = select(func.count()).select_from(scores).where(scores.c.points > points)
    same_step = counted.where(scores.c.points < (step + 1).op("<<")(BITS[kind]))
    return case(
        (select(ScoreStep.step).where(*here).exists(), higher.scalar_subquery() + same_step.scalar_subquery()),
        else_=cast(counted.scalar_subquery(), Integer),
    )
