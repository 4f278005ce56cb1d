"""Every constraint that a request can violate has an error of its own: an unmapped one would be a 500."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

import app
from app.approvals.kinds import KINDS

# The unique indexes beside primary keys, and what the triggers raise in their functions.
_UNIQUE = text("""
SELECT c.relname FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
JOIN pg_class AS t ON t.oid = i.indrelid
WHERE i.indisunique AND NOT i.indisprimary AND c.relnamespace = 'public'::regnamespace AND t.relname !~ '^pgqueuer'
""")
_FUNCTIONS = text("SELECT prosrc FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND prosrc ~ 'CONSTRAINT = '")

# What no request can violate, and why.
UNREACHABLE = {
    "account_recoveries_secret_hash_key": "the hash of a random secret",
    "activations_org_id_member_id_key": "an activation is inserted only where its row was just linked under its lock",
    "data_copies_user_id_key": "the copy before is deleted under the lock of the account",
    "device_authorizations_device_code_hash_key": "the hash of a random secret",
    "device_authorizations_scan_code_key": "a random code of 96 bits",
    "invitations_token_hash_key": "the hash of a random secret",
    "join_links_token_hash_key": "the hash of a random secret",
    "verifications_provider_token_key": "the provider makes a new token for each check",
    "verifications_reference_key": "a random reference",
    "orgs_main_admin_stays": "no operation sets the main admin to null",
    "orgs_id_name_key": "contains the primary key; a foreign key refers to it",
    "unit_memberships_org_id_member_id_unit_id_key": "inserted with ON CONFLICT DO NOTHING, or under the member's lock",
}


def _names() -> Iterator[str]:
    """The names of constraints in the calls of `on_constraint`, and in tuples that are passed to it."""
    for path in Path(app.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Tuple) and len(node.elts) == 2:
                name = node.elts[0]
                if isinstance(name, ast.Constant) and isinstance(name.value, str):
                    yield name.value


async def test_constraint_that_a_request_can_violate_has_an_error(db: AsyncConnection) -> None:
    mapped = {*_names(), *(f"{kind.table.__tablename__}_one_open_key" for kind in KINDS)}
    found = set((await db.scalars(_UNIQUE)).all())
    for source in (await db.scalars(_FUNCTIONS)).all():
        found |= set(re.findall(r"CONSTRAINT = '(\w+)'", source))
    assert found - mapped - UNREACHABLE.keys() == set(), "map it with on_constraint, or say why it cannot be violated"
    assert UNREACHABLE.keys() - found == set(), "no such constraint any more"
    assert UNREACHABLE.keys() & mapped == set(), "it is mapped by now"
