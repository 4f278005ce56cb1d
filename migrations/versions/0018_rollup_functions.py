"""Functions that several statements of the rollup share"""

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

# Both are one expression, so that the planner writes them out in place and plans stay as they are.
_FUNCTIONS = (
    # The last day of a person's windows on a stored day: the day itself. On a day in preparation, people who are not
    # processed yet (from `people_before` on; NULL: none) still have the windows of the day before.
    """
CREATE FUNCTION window_end(day date, person uuid, people_before uuid) RETURNS date
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN day - coalesce(person >= people_before, false)::int
""",
    # The step of a score of seven days (kind 0, single points) and of all days (kind 1, eight points a step).
    """
CREATE FUNCTION score_steps_of(last_7 bigint, total bigint) RETURNS TABLE (kind smallint, step bigint)
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 2
BEGIN ATOMIC
    SELECT v.kind, v.step FROM (VALUES (0::smallint, last_7), (1::smallint, total >> 3)) AS v (kind, step);
END
""",
)


def upgrade() -> None:
    for function in _FUNCTIONS:
        op.execute(function)


def downgrade() -> None:
    op.execute("DROP FUNCTION score_steps_of")
    op.execute("DROP FUNCTION window_end")
