"""The names of statements."""

import pytest

import app.schema  # noqa: F401 — names contain its tables
from app.tracing.statements import name_statement


@pytest.mark.parametrize(
    ("statement", "name"),
    [
        ("SELECT 1", "SELECT"),
        ("SELECT orgs.id FROM orgs JOIN units ON true WHERE orgs.name = '13912345678'", "SELECT orgs units"),
        ("INSERT INTO members (name) VALUES ('王伟') ON CONFLICT DO UPDATE SET name = ''", "INSERT members"),
        ("UPDATE units SET name = 'x' FROM orgs", "UPDATE units orgs"),
        ("WITH RECURSIVE tree AS (SELECT id FROM orgs) SELECT * FROM tree FOR UPDATE OF tree", "SELECT orgs"),
        (
            "WITH gone AS (DELETE FROM units RETURNING id) INSERT INTO members SELECT id FROM gone",
            "DELETE units members",
        ),
        ("SELECT * FROM 王伟", "SELECT"),
        ("SELECT * FROM users WHERE name = 'FROM 13912345678'", "SELECT users"),
        ("BEGIN ISOLATION LEVEL READ COMMITTED;", "BEGIN"),
        ("COMMIT;", "COMMIT"),
        ("( SELECT id FROM orgs ) UNION ALL SELECT id FROM units", "SELECT orgs units"),
        ("王伟", "OTHER"),
        ("", "OTHER"),
    ],
)
def test_name_has_the_operation_and_tables_and_no_value(statement: str, name: str) -> None:
    assert name_statement(statement) == name
