"""Compare the service with a plain Python model. The answer of each call must be the model's, and after each call the
database must have the state of the model and satisfy the invariants. XUEZU_PROOF=1 runs many sequences, else a few.
"""

import asyncio
import collections
import os
import random
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.acts import Json, add_admin
from tests.acts import certify as certify_one
from tests.people import Person, refresh_tokens_in_background
from tests.proofs.domain import REASON, Domain
from tests.proofs.invariants import assert_invariants
from tests.proofs.model import Application, Change, Org, PersonId
from tests.proofs.stage import Rows, Stage

PROOF = os.environ.get("XUEZU_PROOF") == "1"
PARTS = 2 if PROOF else 1
"""With XUEZU_PROOF=1 two workers run half of the sequences each."""
SETTINGS = settings(
    max_examples=300 // PARTS if PROOF else 5,
    stateful_step_count=100 if PROOF else 35,
    derandomize=not PROOF,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)

# With XUEZU_PROOF=1 the sequences together must reach every end state of every kind of change request.
ENDINGS = {
    (kind, state)
    for kind in ("rename", "hand-over", "recovery")
    for state in ("accepted", "declined", "withdrawn", "superseded")
} - {("rename", "superseded")}  # a name changes only by a request, and one is pending at a time

_ORGS = """
SELECT o.id::text, o.name, o.status = 'closed',
    EXISTS (SELECT FROM closures p WHERE p.org_id = o.id AND p.state = 'pending'), c.superior_id::text,
    o.main_admin_id::text,
    (SELECT array_agg(a.user_id::text ORDER BY a.user_id::text) FROM org_admins a WHERE a.org_id = o.id)
FROM orgs o LEFT JOIN certifications c ON c.subordinate_id = o.id AND c.state = 'live'
WHERE o.id = ANY (CAST(:orgs AS uuid[]))
"""
_STATES = " UNION ALL ".join(
    f"SELECT id::text, state FROM {table} WHERE id = ANY (CAST(:ids AS uuid[]))"
    for table in ("certifications", "transfers", "change_requests", "promotions")
)
_AUDIT_ENTRIES = """
SELECT id, org_id::text, user_id::text, action, coalesce(before::text, '') || coalesce(after::text, '') AS content
FROM audit_entries WHERE org_id = ANY (CAST(:orgs AS uuid[])) AND id > CAST(:after AS uuid) ORDER BY id
"""


class Machine(RuleBasedStateMachine):
    """Hypothesis draws seeds; the domain chooses the call and the caller from the seed, with the weights of the calls.

    Hypothesis runs in a thread, and each call in the event loop of the service.
    """

    persons: list[Person]
    db: AsyncConnection
    rows: Rows
    loop: asyncio.AbstractEventLoop
    seen: collections.Counter[str]
    ended: collections.Counter[tuple[str, str]]

    def __init__(self) -> None:
        super().__init__()
        self.domain = Domain(self.persons)
        self.steps = 0
        self.last_entry = "00000000-0000-7000-8000-000000000000"

    def run(self, act: Coroutine[Any, Any, None]) -> None:
        async def act_and_compare() -> None:
            await act
            await self.compare_states()

        asyncio.run_coroutine_threadsafe(act_and_compare(), self.loop).result()

    @initialize()
    def begin(self) -> None:
        self.run(self.domain.create_first_orgs())

    @rule(seed=st.integers(0, 2**32))
    def act(self, seed: int) -> None:
        self.steps += 1
        self.run(self.domain.act(random.Random(f"{self.steps} {seed}")))

    def teardown(self) -> None:
        self.seen.update(self.domain.answers)
        self.ended.update((change.kind, change.state) for change in self.domain.model.changes)
        # Remove the rows of this sequence, so that the invariants of the next one are checked quickly.
        asyncio.run_coroutine_threadsafe(self.rows.restore(), self.loop).result()

    async def compare_states(self) -> None:
        model, user_ids = self.domain.model, [person.user_id for person in self.persons]
        orgs = [org.id for org in model.orgs]
        found = {row[0]: tuple(row[1:]) for row in await self.db.execute(text(_ORGS), {"orgs": orgs})}
        assert found == {
            org.id: (
                org.name,
                org.closed,
                org.closing_requested,
                org.superior.id if org.superior else None,
                user_ids[org.main],
                sorted(user_ids[admin] for admin in org.admins),
            )
            for org in model.orgs
        }
        things: list[Any] = [*model.applications, *model.transfers, *model.changes, *model.promotions]
        rows = await self.db.execute(text(_STATES), {"ids": [thing.id for thing in things]})
        states = {row.id: row.state for row in rows}
        for thing in things:
            ended = isinstance(thing, Application) and states[thing.id] == "ended"
            assert thing.state == ("live" if ended else states[thing.id]), thing
        await self.check_audit_entries(orgs)
        await assert_invariants(self.db)

    async def check_audit_entries(self, orgs: list[str]) -> None:
        """Check that only admins of an org wrote to it (invariant 5), and that its audit has no person of another org
        and no phone (invariant 3)."""
        people = {org.id: {self.persons[member].user_id for member in org.members} for org in self.domain.model.orgs}
        rows = (await self.db.execute(text(_AUDIT_ENTRIES), {"orgs": orgs, "after": self.last_entry})).all()
        for row in rows:
            assert row.user_id is None or row.user_id in self.domain.allowed[row.org_id], row
            strangers = {person.user_id for person in self.persons} - people[row.org_id]
            assert not any(text_ in row.content for text_ in strangers | {person.phone for person in self.persons}), row
        if rows:
            self.last_entry = str(rows[-1].id)


@pytest.fixture
async def state_machine(stage: Stage) -> AsyncIterator[type[Machine]]:
    """Return the machine with four registered people."""
    Machine.persons = [await stage.people.register() for _ in range(4)]
    Machine.db, Machine.loop, Machine.rows = stage.db, asyncio.get_running_loop(), Rows(stage.db, "four_people")
    Machine.seen, Machine.ended = collections.Counter(), collections.Counter()
    await Machine.rows.save()
    async with refresh_tokens_in_background(Machine.persons):
        yield Machine
    await Machine.rows.restore()


@pytest.mark.long
@pytest.mark.parametrize("part", range(PARTS))
async def test_random_calls_are_answered_as_the_model_says(state_machine: type[Machine], part: int) -> None:
    await asyncio.to_thread(run_state_machine_as_test, state_machine, settings=SETTINGS)
    assert len(state_machine.seen) > 20, state_machine.seen  # distinct answers, among them one of each kind of call
    assert not PROOF or state_machine.ended.keys() >= ENDINGS, (part, state_machine.ended)


async def test_hand_over_request_reaches_each_end_state(state_machine: type[Machine]) -> None:
    """A few random sequences do not reach all end states, so each is reached here step by step."""
    walk = state_machine()
    domain, model = walk.domain, walk.domain.model
    await domain.create_first_orgs()
    superior, org = model.orgs[:2]
    main_admin, successor, superior_admin = org.main, (org.main + 1) % 4, superior.main

    async def act(
        caller: PersonId,
        model_call: Callable[[], Any],
        method: str,
        *path: str,
        org: Org = org,
        body: Json | None = None,
    ) -> Any:
        domain.allowed = {org.id: {domain.persons[admin].user_id for admin in org.admins} for org in model.orgs}
        made, found = await domain.call_api(caller, model_call, method, domain.build_path(org, *path), body)
        if isinstance(made, Change):
            made.id = found["id"]
        await walk.compare_states()
        return made

    async def request_hand_over() -> Change:
        body = {"kind": "hand-over", "main_admin_id": domain.persons[successor].user_id}
        model_call = lambda: model.request_hand_over(main_admin, org, successor)  # noqa: E731 — for the next call only
        change: Change = await act(main_admin, model_call, "POST", "change-requests", body=body)
        return change

    async def appoint() -> None:
        model.appoint(main_admin, org, successor)
        await add_admin(domain.persons[main_admin], {"id": org.id}, domain.persons[successor])

    async def certify() -> None:
        model.approve(superior_admin, model.apply(main_admin, org, superior))
        persons = domain.persons
        edge = await certify_one(persons[superior_admin], {"id": superior.id}, persons[main_admin], {"id": org.id})
        model.applications[-1].id = edge["id"]

    await certify()
    await appoint()
    # The requester withdraws it.
    change = await request_hand_over()
    await act(main_admin, lambda: model.withdraw_change(main_admin, change), "DELETE", "change-requests", change.id)
    # Superseded, because the successor is no longer an admin.
    change = await request_hand_over()
    left = ("admins", domain.persons[successor].user_id)
    await act(main_admin, lambda: model.remove(main_admin, org, successor), "DELETE", *left)
    assert change.state == "superseded"
    await appoint()
    # The superior refuses it.
    change = await request_hand_over()
    refused = ("change-requests", change.id, "refusal")
    await act(
        superior_admin,
        lambda: model.refuse_change(superior_admin, superior, change),
        "PUT",
        *refused,
        org=superior,
        body=REASON,
    )
    # The org is released, so that the request takes effect at once.
    change = await request_hand_over()
    await act(
        superior_admin,
        lambda: model.release(superior_admin, superior, org),
        "DELETE",
        "subordinates",
        org.id,
        org=superior,
    )
    assert (change.state, org.main) == ("accepted", successor)
    # The org is closed, so that the request is withdrawn.
    main_admin, successor = successor, main_admin
    await certify()
    change = await request_hand_over()
    await act(main_admin, lambda: model.close(main_admin, org), "PUT", "closure")
    assert change.state == "withdrawn"
