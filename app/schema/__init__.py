"""The tables of the database: one module per feature, with declarative tables and nothing else.

Importing the package imports every module, so that `metadata` is complete: alembic compares it with the migrations.
"""

from app.database.db import Table
from app.schema import (
    admins,
    approvals,
    audit,
    auth,
    certification,
    exports,
    health,
    idempotency,
    imports,
    joins,
    keys,
    members,
    messages,
    org_loads,
    orgs,
    own_rows,
    person_transfers,
    personal_data,
    points,
    releases,
    reports,
    sign_in,
    sms,
)

metadata = Table.metadata

__all__ = [
    "admins",
    "approvals",
    "audit",
    "auth",
    "certification",
    "exports",
    "health",
    "idempotency",
    "imports",
    "joins",
    "keys",
    "members",
    "messages",
    "metadata",
    "org_loads",
    "orgs",
    "own_rows",
    "person_transfers",
    "personal_data",
    "points",
    "releases",
    "reports",
    "sign_in",
    "sms",
]
