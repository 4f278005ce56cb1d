"""The whole domain against a plain Python model: every act answered as the model says, and after every act the
database as the model has it, with its invariants. A few sequences here, many under XUEZU_PROOF=1.
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
from tests.people import Person, staying_signed_in
from tests.proofs.domain import REASON, Domain
from tests.proofs.invariants import assert_invariants
from tests.proofs.model import Application, Change, Org, Who
from tests.proofs.stage import Rows, Stage

PROOF = os.environ.get("XUEZU_PROOF") == "1"
PARTS = 2 if PROOF else 1
"""As proof, half of the sequences at a time, by two workers."""
SETTINGS = settings(
    max_examples=300 // PARTS if PROOF else 5,
    stateful_step_count=100 if PROOF else 35,
    derandomize=not PROOF,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)

# As proof, every change that can be asked for is seen to end in each way in which it can.
ENDINGS = {
    (kind, state)
    for kind in ("rename", "hand-over", "recovery")
    for state in ("accepted", "declined", "withdrawn", "superseded")
} - {("rename", "superseded")}  # a name changes by a request alone, and one is open at a time

_STANDING = """
SELECT o.id::text, o.name, o.status = 'closed', c.superior_id::text, o.main_admin_id::text,
    (SELECT array_agg(a.user_id::text ORDER BY a.user_id::text) FROM org_admins a WHERE a.org_id = o.id)
FROM orgs o LEFT JOIN certifications c ON c.subordinate_id = o.id AND c.state = 'live'
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
        self.ended.update((change.kind, change.state) for change in self.domain.model.changes)
        # Nothing of it is left, so that what must always be true is soon asked of the next.
        asyncio.run_coroutine_threadsafe(self.rows.put_back(), self.loop).result()

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
            ended = isinstance(thing, Application) and states[thing.id] == "ended"
            assert thing.state == ("live" if ended else states[thing.id]), thing
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


@pytest.fixture
async def machine(on_stage: Stage) -> AsyncIterator[type[Machine]]:
    """Over four people and nothing else."""
    Machine.persons = [await on_stage.people.register() for _ in range(4)]
    Machine.db, Machine.loop, Machine.rows = on_stage.db, asyncio.get_running_loop(), Rows(on_stage.db, "four_people")
    Machine.seen, Machine.ended = collections.Counter(), collections.Counter()
    await Machine.rows.keep()
    async with staying_signed_in(Machine.persons):
        yield Machine
    await Machine.rows.put_back()


@pytest.mark.long
@pytest.mark.parametrize("part", range(PARTS))
async def test_every_act_is_answered_as_the_model_says(machine: type[Machine], part: int) -> None:
    await asyncio.to_thread(run_state_machine_as_test, machine, settings=SETTINGS)
    assert len(machine.seen) > 20, machine.seen  # ways to be answered, among them those of each kind of act
    assert not PROOF or machine.ended.keys() >= ENDINGS, (part, machine.ended)


async def test_each_way_in_which_a_hand_over_ends(machine: type[Machine]) -> None:
    """What few random sequences do not come to, step by step."""
    walk = machine()
    domain, model = walk.domain, walk.domain.model
    await domain.begin()
    above, org = model.orgs[:2]
    who, successor, superior = org.main, (org.main + 1) % 4, above.main

    async def act(
        who: Who, said: Callable[[], Any], method: str, *path: str, org: Org = org, body: Json | None = None
    ) -> Any:
        domain.allowed = {org.id: {domain.persons[admin].user_id for admin in org.admins} for org in model.orgs}
        made, found = await domain.call(who, said, method, domain.path(org, *path), body)
        if isinstance(made, Change):
            made.id = found["id"]
        await walk.compare()
        return made

    async def ask() -> Change:
        body = {"kind": "hand-over", "main_admin_id": domain.persons[successor].user_id}
        said = lambda: model.ask_hand_over(who, org, successor)  # noqa: E731
        asked: Change = await act(who, said, "POST", "change-requests", body=body)
        return asked

    async def appoint() -> None:
        model.appoint(who, org, successor)
        await add_admin(domain.persons[who], {"id": org.id}, domain.persons[successor])

    async def certify() -> None:
        model.approve(superior, model.apply(who, org, above))
        persons = domain.persons
        edge = await certify_one(persons[superior], {"id": above.id}, persons[who], {"id": org.id})
        model.applications[-1].id = edge["id"]

    await certify()
    await appoint()
    # Withdrawn by who asked.
    asked = await ask()
    await act(who, lambda: model.withdraw_change(who, asked), "DELETE", "change-requests", asked.id)
    # Stale, since the successor is no admin any more.
    asked = await ask()
    left = ("admins", domain.persons[successor].user_id)
    await act(who, lambda: model.remove(who, org, successor), "DELETE", *left)
    assert asked.state == "superseded"
    await appoint()
    # Refused by the superior.
    asked = await ask()
    refused = ("change-requests", asked.id, "refusal")
    await act(superior, lambda: model.refuse_change(superior, above, asked), "PUT", *refused, org=above, body=REASON)
    # In effect at once, where there is no superior to consent any more.
    asked = await ask()
    await act(superior, lambda: model.release(superior, above, org), "DELETE", "subordinates", org.id, org=above)
    assert (asked.state, org.main) == ("accepted", successor)
    # Withdrawn with the org that closes.
    who, successor = successor, who
    await certify()
    asked = await ask()
    await act(who, lambda: model.close(who, org), "PUT", "closure")
    assert asked.state == "withdrawn"
