"""Values of kinds and states in kebab-case, as all other values of the API are.

The release before this one writes and reads the old values: stop it first. The audit log and the events are append-only
and have the old values in their past entries.
"""

from collections.abc import Iterator, Mapping

from alembic import op

revision = "0045"
down_revision = "0044"
branch_labels = None
depends_on = None

# Table: its column, and its values with a hyphen.
VALUES = {
    "orgs": ("kind", ("outside-party",)),
    "units": ("kind", ("general-branch", "party-group", "temporary-branch")),
    "verifications": ("state", ("under-review",)),
}
# Table: its constraints and indexes that name these values.
CHECKS = {
    "orgs": {"kind": "kind IN ('party', 'outside-party')"},
    "units": {
        "kind": "kind IN ('branch', 'general-branch', 'department', 'party-group', 'temporary-branch')",
        "last_day": "(kind = 'temporary-branch') = (last_day IS NOT NULL)",
    },
    "verifications": {"state": "state IN ('started', 'submitted', 'under-review', 'approved', 'rejected')"},
}
INDEXES = {
    "orgs_outside_party_by_key_idx": (
        "INDEX orgs_outside_party_by_key_idx ON orgs (sort_key, id) WHERE kind = 'outside-party'"
    ),
    "verifications_open_key": (
        "UNIQUE INDEX verifications_open_key ON verifications (user_id) WHERE state IN ('submitted', 'under-review')"
    ),
}

# 0001 applied the convention of names twice.
DOUBLED, NAME = "verifications_verifications_state_check_check", "verifications_state_check"


def upgrade() -> None:
    op.execute(f"-- squawk-ignore renaming-object\nALTER TABLE verifications RENAME CONSTRAINT {DOUBLED} TO {NAME}")
    for statement in _rename_values({new.replace("-", "_"): new for _, values in VALUES.values() for new in values}):
        op.execute(statement)


def downgrade() -> None:
    for statement in _rename_values({new: new.replace("-", "_") for _, values in VALUES.values() for new in values}):
        op.execute(statement)
    op.execute(f"ALTER TABLE verifications RENAME CONSTRAINT {NAME} TO {DOUBLED}")


def _rename_values(names: Mapping[str, str]) -> Iterator[str]:
    """Yield the statements, for one transaction with the service stopped. `names` has the new name of each old one."""
    for index in INDEXES:
        yield f"-- squawk-ignore require-concurrent-index-deletion\nDROP INDEX {index}"
    for table, (column, _) in VALUES.items():
        for name in CHECKS[table]:
            yield f"-- squawk-ignore ban-drop-constraint\nALTER TABLE {table} DROP CONSTRAINT {table}_{name}_check"
        # No trigger has work with a new spelling: nothing is appended to the hierarchy or to the totals.
        yield f"ALTER TABLE {table} DISABLE TRIGGER USER"
        cases = " ".join(f"WHEN '{old}' THEN '{new}'" for old, new in names.items())
        olds = ", ".join(f"'{old}'" for old in names)
        yield f"UPDATE {table} SET {column} = CASE {column} {cases} END WHERE {column} IN ({olds})"  # noqa: S608 — constants of this file
        # The checks that a constraint trigger has deferred would refuse the next ALTER TABLE.
        yield "SET CONSTRAINTS ALL IMMEDIATE"
        yield f"ALTER TABLE {table} ENABLE TRIGGER USER"
        for name, condition in CHECKS[table].items():
            constraint = f"ADD CONSTRAINT {table}_{name}_check CHECK ({_rename(condition, names)})"
            yield f"-- squawk-ignore constraint-missing-not-valid\nALTER TABLE {table} {constraint}"
    for index in INDEXES.values():
        yield f"-- squawk-ignore require-concurrent-index-creation\nCREATE {_rename(index, names)}"


def _rename(text: str, names: Mapping[str, str]) -> str:
    """Return the text with the values that `names` leads to; it has them in kebab-case."""
    for new in names.values():
        text = text.replace(f"'{new.replace('_', '-')}'", f"'{new}'")
    return text
