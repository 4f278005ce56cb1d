"""The whole domain against a plain Python model: every act answered as the model says, and after every act the
database as the model has it, with its invariants. A few sequences here, many under XUEZU_PROOF=1.
"""

import asyncio
import collections
import os
import random
from collections.abc import Coroutine
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.people import People, Person, staying_signed_in
from tests.proofs.domain import Domain
from tests.proofs.invariants import assert_invariants
from tests.proofs.model import Application

PROOF = os.environ.get("XUEZU_PROOF") == "1"
SETTINGS = settings(
    max_examples=300 if PROOF else 5,
    stateful_step_count=100 if PROOF else 35,
    derandomize=not PROOF,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)

_STANDING = """
SELECT o.id::text, o.name, o.status = 'closed', c.superior_id::text, o.main_admin_id::text,
    (SELECT array_agg(a.user_id::text ORDER BY a.user_id::text) FROM org_admins a WHERE a.org_id = o.id)
FROM orgs o LEFT JOIN certifications c ON c.subordinate_id = o.id AND c.state = 'certified'
WHERE o.id = ANY (CAST(:orgs AS uuid[]))
"""
_STATES = " UNION ALL ".join(
    f"SELECT id::text, state FROM {table} WHERE id = ANY (CAST(:ids AS uuid[]))"
    for table in ("certifications", "transfers", "change_requests", "promotions")
)
_WRITTEN = """
SELECT id, org_id::text, user_id::text, action, coalesce(before::text, '') || coalesce(after::text, '') AS held
FROM audit_entries WHERE org_id = ANY (CAST(:orgs AS uuid[])) AND id > CAST(:after AS uuid) ORDER BY id
"""


class Machine(RuleBasedStateMachine):
    """What is drawn are seeds; what somebody does, and who, is made of them, so that every act has its share.

    Hypothesis runs in a thread and each act on the service's own loop.
    """

    persons: list[Person]
    db: AsyncConnection
    loop: asyncio.AbstractEventLoop
    seen: collections.Counter[str]

    def __init__(self) -> None:
        super().__init__()
        self.domain = Domain(self.persons)
        self.steps = 0
        self.last_entry = "00000000-0000-7000-8000-000000000000"

    def run(self, act: Coroutine[Any, Any, None]) -> None:
        async def checked() -> None:
            await act
            await self.compare()

        asyncio.run_coroutine_threadsafe(checked(), self.loop).result()

    @initialize()
    def begin(self) -> None:
        self.run(self.domain.begin())

    @rule(seed=st.integers(0, 2**32))
    def somebody_acts(self, seed: int) -> None:
        self.steps += 1
        self.run(self.domain.act(random.Random(f"{self.steps} {seed}")))

    def teardown(self) -> None:
        self.seen.update(self.domain.answers)

    async def compare(self) -> None:
        model, user_ids = self.domain.model, [person.user_id for person in self.persons]
        orgs = [org.id for org in model.orgs]
        found = {row[0]: tuple(row[1:]) for row in await self.db.execute(text(_STANDING), {"orgs": orgs})}
        assert found == {
            org.id: (
                org.name,
                org.closed,
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
            ended = isinstance(thing, Application) and states[thing.id] == "released"
            assert thing.state == ("certified" if ended else states[thing.id]), thing
        await self.read_what_was_written(orgs)
        await assert_invariants(self.db)

    async def read_what_was_written(self, orgs: list[str]) -> None:
        """Nobody acts on an org they do not administer (5); no org's audit names another's person, or a phone (3)."""
        people = {org.id: {self.persons[who].user_id for who in org.members} for org in self.domain.model.orgs}
        rows = (await self.db.execute(text(_WRITTEN), {"orgs": orgs, "after": self.last_entry})).all()
        for row in rows:
            assert row.user_id is None or row.user_id in self.domain.allowed[row.org_id], row
            strangers = {person.user_id for person in self.persons} - people[row.org_id]
            assert not any(text_ in row.held for text_ in strangers | {person.phone for person in self.persons}), row
        if rows:
            self.last_entry = str(rows[-1].id)


async def test_every_act_is_answered_as_the_model_says(people: People, db: AsyncConnection) -> None:
    Machine.persons = [await people.register() for _ in range(4)]
    Machine.db, Machine.loop, Machine.seen = db, asyncio.get_running_loop(), collections.Counter()
    async with staying_signed_in(Machine.persons):
        await asyncio.to_thread(run_state_machine_as_test, Machine, settings=SETTINGS)
    assert len(Machine.seen) > 20, Machine.seen  # ways to be answered, among them those of each kind of act
