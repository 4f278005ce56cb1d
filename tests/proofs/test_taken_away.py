"""What the proofs are worth: the locks, triggers and conditions are taken away in turn, in a database of its own, and
crossing requests then break what must always be true. Where one of two that say the same is left, nothing breaks.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from sqlalchemy import event, text

from tests.acts import done
from tests.proofs.stage import Stage
from tests.proofs.stepping import interleave

ENOUGH = 30
"""Orders played: many more than it takes to see something break."""


@dataclass(frozen=True)
class Taken:
    """What is left out of the service's own statements, of the database's functions, and what is dropped."""

    statements: Sequence[tuple[str, str]] = ()  # what of them (a pattern), and what instead
    functions: dict[str, tuple[str, str]] = field(default_factory=dict)  # name: the same of its body
    dropped: Sequence[tuple[str, str]] = ()  # how, and how it is put back


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
EMPTY_OF_SUBORDINATES = {"orgs_closing": ("SELECT FROM certifications WHERE", r"\g<0> FALSE AND")}
EMPTY_OF_PEOPLE = {"units_removal": ("SELECT FROM unit_memberships WHERE", r"\g<0> FALSE AND")}
LIVE_EDGE = {"certifications_hierarchy": ("SELECT FROM orgs WHERE", r"\g<0> FALSE AND")}
# What ends a request ends it whatever its state.
APPLICATION_WAITS = (r"(?<= )certifications\.state = 'pending'(?= RETURNING)", "TRUE")
TRANSFER_OPEN = (r"(?<= )transfers\.state = 'pending'(?= RETURNING)", "TRUE")
REQUEST_WAITS = (
    r"(?<= )change_requests\.state = 'pending'(?= AND change_requests\.expires_at > now\(\) RETURNING)",
    "TRUE",
)
OFFER_WAITS = (r"(?<= )promotions\.state = 'pending'(?= AND promotions\.expires_at > now\(\) RETURNING)", "TRUE")
# The condition is there with its parameter, and true of every row.
MAIN_ADMIN_AS_ASKED = (r"(orgs\.main_admin_id = (\$\d+::\w+))", r"(\1 OR \2 IS NOT NULL)")
# What is read under the lock is read as what it was.
REQUEST_READ_AS_WAITING = (r"(?<=SELECT )CASE WHEN \(change_requests\.state .*? END AS state", "'pending' AS state")
OFFER_READ_AS_WAITING = (r"(?<=SELECT )CASE WHEN \(promotions\.state .*? END AS state", "'pending' AS state")
ORG_LIVE = (r"orgs\.status, (?=orgs\.version, orgs\.main_admin_id)", "'live' AS status, ")
CIRCLE = "an org that stands under itself"

BREAKS = {
    "the hierarchy's lock": ("approvals_crossing_apart", Taken([HIERARCHY_LOCK], HIERARCHY_LOCK_IN_TRIGGER), CIRCLE),
    "the trigger that looks for circles": ("approvals_crossing", Taken(dropped=CIRCLE_CHECK), CIRCLE),
    "the org's lock, of units": (
        "unit_moves_crossing",
        Taken([ORG_LOCK], ORG_LOCK_IN_TRIGGER),
        "a unit that stands under itself",
    ),
    "the org's lock, that the request waits as it ends, and the main admin's reference": (
        "hand_over_and_removal",
        Taken([ORG_LOCK, REQUEST_WAITS], dropped=[MAIN_ADMIN_REFERENCE]),
        "an org whose main admin is not one of its admins",
    ),
    "that a closed org is empty of subordinates": (
        "approval_and_closure_above",
        Taken(functions=EMPTY_OF_SUBORDINATES),
        "a closed org with an edge",
    ),
    "that the orgs of an edge are live, and that closing refuses who waits": (
        "approval_and_closure_above",
        Taken([ORG_LIVE, APPLICATION_WAITS], LIVE_EDGE),
        "a closed org with an edge",
    ),
    "that a removed unit is empty of people": (
        "removal_and_placing",
        Taken(functions=EMPTY_OF_PEOPLE),
        "a person in a removed unit",
    ),
    "that siblings have names of their own": (
        "promotion_and_approval_of_one_name",
        Taken(dropped=[SIBLING_NAMES]),
        "two siblings of one name",
    ),
    "that one transfer is open": ("transfers_asked_twice", Taken(dropped=[ONE_OPEN_TRANSFER]), "answered [201, 201]"),
    "that the application still waits": (
        "approval_and_withdrawal",
        Taken([APPLICATION_WAITS]),
        "answered [200, 204]",
    ),
    "that the transfer is still open": (
        "transfer_and_withdrawal",
        Taken([TRANSFER_OPEN]),
        "answered [200, 204]",
    ),
    "that the change request still waits": (
        "rename_approved_and_withdrawn",
        Taken([REQUEST_WAITS, REQUEST_READ_AS_WAITING]),
        "answered [200, 204]",
    ),
    "that the main admin is who it was when asked": (
        "hand_over_and_recovery",
        Taken([MAIN_ADMIN_AS_ASKED]),
        "answered [200, 200]",
    ),
    "that the promotion is still offered": (
        "promotion_and_withdrawal",
        Taken([OFFER_WAITS, OFFER_READ_AS_WAITING]),
        "answered [200, 204]",
    ),
}
HOLDS = {
    "the service's lock, the trigger's left": ("approvals_crossing_apart", Taken([HIERARCHY_LOCK])),
    "the trigger's lock, the service's left": ("approvals_crossing_apart", Taken(functions=HIERARCHY_LOCK_IN_TRIGGER)),
    "the service's look at the closed org, the trigger's left": ("approval_and_closure_above", Taken([ORG_LIVE])),
    "the trigger's look at the closed org, the service's left": (
        "approval_and_closure_above",
        Taken(functions=LIVE_EDGE),
    ),
    "the state of the change request as it is read, the condition on its end left": (
        "rename_approved_and_withdrawn",
        Taken([REQUEST_READ_AS_WAITING]),
    ),
    "the state of the offer as it is read, the condition on its end left": (
        "promotion_and_withdrawal",
        Taken([OFFER_READ_AS_WAITING]),
    ),
    "the main admin's reference, the lock left": ("hand_over_and_removal", Taken(dropped=[MAIN_ADMIN_REFERENCE])),
}


@asynccontextmanager
async def taken_away(on: Stage, taken: Taken) -> AsyncIterator[None]:
    """While it lasts, the service and its database go without."""
    engine, db = on.engine, on.db

    missing: set[str | None] = {part for part, _ in taken.statements}

    def cut(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> tuple[str, Any]:
        for part, instead in taken.statements:
            statement, cuts = re.subn(part, instead, statement)
            missing.discard(part if cuts else None)
        return statement, parameters

    bodies = {
        name: await db.scalar(text("SELECT pg_get_functiondef(to_regproc(:name))"), {"name": name})
        for name in taken.functions
    }
    for name, (pattern, instead) in taken.functions.items():
        weaker, cuts = re.subn(pattern, instead, bodies[name])
        assert cuts == 1, f"{name} no longer holds {pattern}"
        await db.exec_driver_sql(weaker)
    for statement, _ in taken.dropped:
        await db.exec_driver_sql(statement)
    event.listen(engine.sync_engine, "before_cursor_execute", cut, retval=True)
    try:
        yield
        assert not missing, f"nobody says {missing} any more"
    finally:
        event.remove(engine.sync_engine, "before_cursor_execute", cut)
        for statement in (*(back for _, back in taken.dropped), *bodies.values()):
            await db.exec_driver_sql(statement)


@pytest.mark.parametrize("without", BREAKS)
async def test_without_it_something_breaks(on_stage: Stage, without: str) -> None:
    scene, taken, broken = BREAKS[without]
    async with taken_away(on_stage, taken), on_stage.setting(scene) as set_back:
        with pytest.raises(AssertionError, match=re.escape(broken)):
            await interleave(on_stage.engine, set_back, sample=ENOUGH)


@pytest.mark.parametrize("without", HOLDS)
async def test_one_of_two_is_enough(on_stage: Stage, without: str) -> None:
    scene, taken = HOLDS[without]
    async with taken_away(on_stage, taken), on_stage.setting(scene) as set_back:
        assert await interleave(on_stage.engine, set_back, sample=4) == 4


async def test_every_walk_ends_also_in_a_broken_tree(on_stage: Stage) -> None:
    """CYCLE is the net under the trigger."""
    admin = on_stage.scenes.admin
    async with taken_away(on_stage, Taken(dropped=CIRCLE_CHECK)), on_stage.setting("approvals_crossing") as set_back:
        requests, _ = await set_back()
        edges = [done(await request()) for request in requests]
        assert edges[0]["superior_id"] == edges[1]["subordinate_id"]
        async with asyncio.timeout(30):
            for path in ("", "/superiors", "/subordinates", "/reports/overview"):
                done(await admin.get(f"/v1/orgs/{edges[0]['superior_id']}{path}"))
            done(await admin.get("/v1/orgs"))
