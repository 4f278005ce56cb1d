"""Check that the proofs find faults: each lock, trigger or condition is removed in turn, in a database of its own, and
concurrent requests then violate an invariant. Where two protections do the same, one of them is enough.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from sqlalchemy import event, text

from tests.acts import get_body
from tests.proofs.stage import Stage
from tests.proofs.stepping import interleave

ORDERS = 30
"""The number of orders played, many more than are needed to find the fault."""


@dataclass(frozen=True)
class Removal:
    """What is removed from the statements of the service and the functions of the database, and what is dropped."""

    statements: Sequence[tuple[str, str]] = ()  # a pattern, and its replacement
    functions: dict[str, tuple[str, str]] = field(default_factory=dict)  # by name: the same for the body
    dropped: Sequence[tuple[str, str]] = ()  # the statement that drops it, and the one that restores it


HIERARCHY_LOCK = (r"pg_advisory_xact_lock\(", "hashint8(")  # another function of a number, which does nothing
HIERARCHY_LOCK_IN_TRIGGER = {"certifications_hierarchy": (r"PERFORM pg_advisory_xact_lock\(\d+\);", "")}
ORG_LOCK = ("FOR NO KEY UPDATE", "")
ORG_LOCK_IN_TRIGGER = {"units_tree": (r"PERFORM FROM orgs WHERE id = NEW.org_id FOR NO KEY UPDATE;", "")}
CIRCLE_CHECK = [
    (f"ALTER TABLE certifications DISABLE TRIGGER {name}", f"ALTER TABLE certifications ENABLE TRIGGER {name}")
    for name in ("certifications_begun", "certifications_changed")
]
MAIN_ADMIN_REFERENCE = (
    "ALTER TABLE orgs DROP CONSTRAINT orgs_main_admin_fkey",
    "ALTER TABLE orgs ADD CONSTRAINT orgs_main_admin_fkey FOREIGN KEY (id, main_admin_id) "
    "REFERENCES org_admins (org_id, user_id) DEFERRABLE INITIALLY DEFERRED",
)
SIBLING_NAMES = (
    "DROP INDEX certifications_sibling_name_key",
    "CREATE UNIQUE INDEX certifications_sibling_name_key ON certifications (superior_id, subordinate_name) "
    "WHERE state = 'live'",
)
ONE_OPEN_TRANSFER = (
    "DROP INDEX transfers_one_open_key",
    "CREATE UNIQUE INDEX transfers_one_open_key ON transfers (org_id) WHERE state = 'pending'",
)
NO_SUBORDINATES = {"orgs_closing": ("SELECT FROM certifications WHERE", r"\g<0> FALSE AND")}
NO_MEMBERS = {"units_removal": ("SELECT FROM unit_memberships WHERE", r"\g<0> FALSE AND")}
LIVE_EDGE = {"certifications_hierarchy": ("SELECT FROM orgs WHERE", r"\g<0> FALSE AND")}
# The statement that ends a request ignores its state.
APPLICATION_PENDING = (r"(?<= )certifications\.state = 'pending'(?= RETURNING)", "TRUE")
TRANSFER_PENDING = (r"(?<= )transfers\.state = 'pending'(?= RETURNING)", "TRUE")
REQUEST_PENDING = (
    r"(?<= )change_requests\.state = 'pending'(?= AND change_requests\.expires_at > now\(\) RETURNING)",
    "TRUE",
)
# Only the statement that ends one offer: the one that supersedes the other offers of the moved units stays.
OFFER_PENDING = (
    r"(?s)(WHERE promotions\.id = .*? AND )promotions\.state = 'pending'(?= AND promotions\.expires_at > now\(\) RET)",
    r"\1TRUE",
)
# The condition still has its parameter, but is true for every row.
MAIN_ADMIN_OF_REQUEST = (r"(orgs\.main_admin_id = (\$\d+::\w+))", r"(\1 OR \2 IS NOT NULL)")
# The statement that supersedes the other requests for a new main admin finds none.
OTHER_REQUEST_SUPERSEDED = (r"(?=change_requests\.id != )", "FALSE AND ")
# The read under the lock returns the state before it.
REQUEST_READ_AS_PENDING = (r"(?<=SELECT )CASE WHEN \(change_requests\.state .*? END AS state", "'pending' AS state")
OFFER_READ_AS_PENDING = (r"(?<=SELECT )CASE WHEN \(promotions\.state .*? END AS state", "'pending' AS state")
ORG_LIVE = (r"orgs\.status, (?=orgs\.version, orgs\.main_admin_id)", "'live' AS status, ")
CIRCLE = "an org that is its own ancestor"

BREAKS = {
    "the hierarchy's lock": ("approvals_crossing_apart", Removal([HIERARCHY_LOCK], HIERARCHY_LOCK_IN_TRIGGER), CIRCLE),
    "the trigger that refuses circles": ("approvals_crossing", Removal(dropped=CIRCLE_CHECK), CIRCLE),
    "the org's lock, of units": (
        "unit_moves_crossing",
        Removal([ORG_LOCK], ORG_LOCK_IN_TRIGGER),
        "a unit that is its own ancestor",
    ),
    "the org's lock, the condition that the request is pending, and the main admin's reference": (
        "hand_over_and_removal",
        Removal([ORG_LOCK, REQUEST_PENDING], dropped=[MAIN_ADMIN_REFERENCE]),
        "an org whose main admin is not one of its admins",
    ),
    "the check that a closed org has no subordinates": (
        "approval_and_closure_of_superior",
        Removal(functions=NO_SUBORDINATES),
        "a closed org with an edge",
    ),
    "the checks that the orgs of an edge are live and that the application is pending": (
        "approval_and_closure_of_superior",
        Removal([ORG_LIVE, APPLICATION_PENDING], LIVE_EDGE),
        "a closed org with an edge",
    ),
    "the check that a removed unit has no people": (
        "removal_and_placing",
        Removal(functions=NO_MEMBERS),
        "a member of a removed unit",
    ),
    "the index that siblings have different names": (
        "promotion_and_approval_of_one_name",
        Removal(dropped=[SIBLING_NAMES]),
        "two siblings of one name",
    ),
    "the index that an org has one pending transfer": (
        "transfers_requested_twice",
        Removal(dropped=[ONE_OPEN_TRANSFER]),
        "answered [201, 201]",
    ),
    "the condition that the application is pending": (
        "approval_and_withdrawal",
        Removal([APPLICATION_PENDING]),
        "answered [200, 204]",
    ),
    "the condition that the transfer is pending": (
        "transfer_and_withdrawal",
        Removal([TRANSFER_PENDING]),
        "answered [200, 204]",
    ),
    "the conditions that the change request is pending": (
        "rename_approved_and_withdrawn",
        Removal([REQUEST_PENDING, REQUEST_READ_AS_PENDING]),
        "answered [200, 204]",
    ),
    "the end of the other request for a new main admin": (
        "hand_over_and_recovery",
        Removal([OTHER_REQUEST_SUPERSEDED]),
        "refused with another problem",
    ),
    "the end of that request, and the condition that the main admin is the one of the request": (
        "hand_over_and_recovery",
        Removal([OTHER_REQUEST_SUPERSEDED, MAIN_ADMIN_OF_REQUEST]),
        "answered [200, 200]",
    ),
    "the conditions that the promotion is pending": (
        "promotion_and_withdrawal",
        Removal([OFFER_PENDING, OFFER_READ_AS_PENDING]),
        "answered [200, 204]",
    ),
}
STILL_SAFE = {
    "the end of the other request for a new main admin, not the condition on the main admin": (
        "hand_over_and_recovery",
        Removal([MAIN_ADMIN_OF_REQUEST]),
    ),
    "the service's lock, not the trigger's": ("approvals_crossing_apart", Removal([HIERARCHY_LOCK])),
    "the trigger's lock, not the service's": ("approvals_crossing_apart", Removal(functions=HIERARCHY_LOCK_IN_TRIGGER)),
    "the service's check of the closed org, not the trigger's": (
        "approval_and_closure_of_superior",
        Removal([ORG_LIVE]),
    ),
    "the trigger's check of the closed org, not the service's": (
        "approval_and_closure_of_superior",
        Removal(functions=LIVE_EDGE),
    ),
    "the state of the change request as it is read, not the condition on its end": (
        "rename_approved_and_withdrawn",
        Removal([REQUEST_READ_AS_PENDING]),
    ),
    "the state of the offer as it is read, not the condition on its end": (
        "promotion_and_withdrawal",
        Removal([OFFER_READ_AS_PENDING]),
    ),
    "the main admin's reference, not the lock": ("hand_over_and_removal", Removal(dropped=[MAIN_ADMIN_REFERENCE])),
}


@asynccontextmanager
async def remove_protections(stage: Stage, removal: Removal) -> AsyncIterator[None]:
    """Remove the protections inside the context."""
    engine, db = stage.engine, stage.db

    missing: set[str | None] = {part for part, _ in removal.statements}

    def rewrite(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> tuple[str, Any]:
        for part, replacement in removal.statements:
            statement, count = re.subn(part, replacement, statement)
            missing.discard(part if count else None)
        return statement, parameters

    bodies = {
        name: await db.scalar(text("SELECT pg_get_functiondef(to_regproc(:name))"), {"name": name})
        for name in removal.functions
    }
    for name, (pattern, replacement) in removal.functions.items():
        weakened, count = re.subn(pattern, replacement, bodies[name])
        assert count == 1, f"{name} no longer contains {pattern}"
        await db.exec_driver_sql(weakened)
    for statement, _ in removal.dropped:
        await db.exec_driver_sql(statement)
    event.listen(engine.sync_engine, "before_cursor_execute", rewrite, retval=True)
    try:
        yield
        assert not missing, f"no statement contains {missing}"
    finally:
        event.remove(engine.sync_engine, "before_cursor_execute", rewrite)
        for statement in (*(restoring for _, restoring in removal.dropped), *bodies.values()):
            await db.exec_driver_sql(statement)


@pytest.mark.parametrize("without", BREAKS)
async def test_removed_protection_lets_requests_break_an_invariant(stage: Stage, without: str) -> None:
    scene, removal, broken = BREAKS[without]
    async with remove_protections(stage, removal), stage.open_scene(scene) as restore_scene:
        with pytest.raises(AssertionError, match=re.escape(broken)):
            await interleave(stage.engine, restore_scene, sample=ORDERS)


@pytest.mark.parametrize("without", STILL_SAFE)
async def test_one_of_two_protections_is_enough(stage: Stage, without: str) -> None:
    scene, removal = STILL_SAFE[without]
    async with remove_protections(stage, removal), stage.open_scene(scene) as restore_scene:
        assert await interleave(stage.engine, restore_scene, sample=4) == 4


async def test_recursive_reads_in_a_hierarchy_with_a_circle_return_an_answer(stage: Stage) -> None:
    """The CYCLE clauses end the recursion even without the trigger."""
    admin = stage.scenes.admin
    async with (
        remove_protections(stage, Removal(dropped=CIRCLE_CHECK)),
        stage.open_scene("approvals_crossing") as restore_scene,
    ):
        requests, _ = await restore_scene()
        edges = [get_body(await request()) for request in requests]
        assert edges[0]["superior_id"] == edges[1]["subordinate_id"]
        async with asyncio.timeout(30):
            for path in ("", "/superiors", "/subordinates", "/reports/overview"):
                get_body(await admin.get(f"/v1/orgs/{edges[0]['superior_id']}{path}"))
            get_body(await admin.get("/v1/orgs"))
