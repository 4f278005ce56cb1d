"""The queue's own tables, as its library makes them"""

import re

from alembic import op
from pgqueuer.adapters.persistence.qb import QueryBuilderEnvironment

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # One statement at a time: a prepared statement holds no more.
    for statement in re.split(r"\n\n(?=CREATE )", QueryBuilderEnvironment().build_install_query()):
        op.execute(statement)


def downgrade() -> None:
    for statement in QueryBuilderEnvironment().build_uninstall_query().splitlines():
        op.execute(statement)
