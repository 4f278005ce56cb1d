"""A histogram of the scores of a large group. With it, a rank is found without counting all people of the group.

A step is a range of points: 1 point wide for the last seven days, 8 points wide for the total. The number of people
with more points than a score has two parts: the people on higher steps, a sum over a few hundred rows, and the people
with more points on the same step, who are counted in the index of the scores. Smaller groups have no steps; there all
people with more points are counted.
"""

from typing import Any

from sqlalchemy import ColumnElement, FromClause, Integer, case, cast, func, select

from app.reports.schemas import RankBy
from app.schema.reports import ScoreStep

LAST_7, TOTAL = 0, 1
"""The kinds of steps."""
BITS = {LAST_7: 0, TOTAL: 3}  # The database function score_steps_of has the same numbers.
"""A step is the points without this number of low bits."""


def count_people_with_more_points(
    by: RankBy, scores: FromClause, org_id: ColumnElement[Any], day: ColumnElement[Any], points: ColumnElement[Any]
) -> ColumnElement[int]:
    """Return an expression for the number of rows of `scores` that have more points than `points`. `scores` (member_id,
    points) are the scores of the org on the day."""
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
