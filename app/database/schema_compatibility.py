"""Which code can run on which schema: the one rule for readiness, for every start-up check and for `xuezu migrate`.

Each migration declares `oldest_code`: the oldest revision whose code can run on the schema that it leaves. A migration
that only adds (the "expand" step) repeats the value of the one before it; one that removes or renames what older code
uses (the "contract" step) names the first revision whose code no longer needs it. `migrations/env.py` stores the
declaration in the table `schema_compatibility`, in the migration's own transaction. Code that is older than the schema
therefore knows whether it can run, although it does not have the migration.
"""

from functools import cache
from pathlib import Path
from typing import NamedTuple

from app.core.settings import CannotStart

FIRST_DECLARED = "0063"
"""The migration that makes the table. Only the code of an older revision itself can run on that revision's schema."""

SELECT_SCHEMA = """
SELECT v.version_num AS revision,
    CASE WHEN EXISTS (SELECT FROM schema_compatibility AS c WHERE c.revision = v.version_num)
        THEN (SELECT max(oldest_code) FROM schema_compatibility) END AS oldest_code
FROM alembic_version AS v
"""
"""The columns of a SchemaState. Fails with undefined_table (42P01) before revision FIRST_DECLARED. A later migration
that declares less than an earlier one does not undo what the earlier one has removed: the highest value counts."""

INSERT_DECLARATION = "INSERT INTO schema_compatibility (revision, oldest_code) VALUES ('{}', '{}')"
DELETE_DECLARATION = "DELETE FROM schema_compatibility WHERE revision = '{}'"


class SchemaState(NamedTuple):
    """What a database says about its schema."""

    revision: str | None
    """None: it has no tables yet."""
    oldest_code: str | None
    """The oldest revision whose code can run on it; None if no migration has said so."""


class IncompatibleSchema(CannotStart):
    """This code cannot run on the schema; the sentence says which of the two is to be replaced."""


@cache
def list_revisions() -> tuple[str, ...]:
    """Return the revisions that this code knows, oldest first, from the names of the migration files.

    alembic reads the files themselves, but its import adds a quarter of a second to every start.
    """
    directory = Path(__file__).parents[2] / "migrations" / "versions"
    return tuple(sorted(path.name.partition("_")[0] for path in directory.glob("[0-9]*_*.py")))


def get_head_revision() -> str:
    """Return the revision of this code: that of its newest migration."""
    return list_revisions()[-1]


def require_compatible(state: SchemaState, database: str, *, migrating: bool = False) -> None:
    """Raise IncompatibleSchema unless this code can run on a schema in this state.

    `database` names the database in the sentence. With `migrating` a schema that is older than this code passes too,
    since the caller brings it up to date.
    """
    head = get_head_revision()
    if state.revision is None or state.revision in list_revisions():
        if state.revision == head or migrating:
            return
        raise IncompatibleSchema(
            f"The database {database} is at revision {state.revision or 'none'} and this version of Xuezu needs "
            f"{head}: run `xuezu migrate` first."
        )
    if state.oldest_code is None:
        raise IncompatibleSchema(
            f"The database {database} is at revision {state.revision}, which this version of Xuezu does not know: a "
            "newer version has migrated it, so run that one, or use another database or data directory."
        )
    if state.oldest_code not in list_revisions():
        raise IncompatibleSchema(
            f"The database {database} is at revision {state.revision}, which needs a version of Xuezu with revision "
            f"{state.oldest_code} or newer, and this version has {head}: run a newer version."
        )


def is_compatible(state: SchemaState) -> bool:
    """Return whether this code can run on a schema in this state."""
    try:
        require_compatible(state, "")
    except IncompatibleSchema:
        return False
    return True
