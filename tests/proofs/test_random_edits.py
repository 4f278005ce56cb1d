"""Random edits of one hierarchy by sixteen workers at once; a hundredth of them here, all under XUEZU_PROOF=1."""

import asyncio
import collections
import os
import random
from typing import Any

import httpx
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.acts import Json, invite
from tests.people import People, Person, fresh_org_name, staying_signed_in
from tests.proofs.invariants import assert_invariants

EDITS = 100_000 if os.environ.get("XUEZU_PROOF") == "1" else 1_000
WORKERS = 16


class Worker:
    """Somebody who edits at random what they think they administer; most of it is refused, none of it breaks."""

    def __init__(self, people: list[Person], orgs: list[Json], tokens: dict[str, str], dice: random.Random) -> None:
        self.people, self.orgs, self.tokens, self.dice = people, orgs, tokens, dice
        self.answers: collections.Counter[int] = collections.Counter()
        self.made: list[str] = []  # ids of the requests whose edit was acknowledged

    async def edit(self) -> None:
        person, org, other = self.dice.choice(self.people), self.dice.choice(self.orgs), self.dice.choice(self.orgs)
        peer = self.dice.choice(self.people)
        path = f"/v1/orgs/{org['id']}"
        match self.dice.randrange(9):
            case 0:
                await self._certify(person, org, other)
            case 1:
                await self.count(person.delete(f"{path}/subordinates/{other['id']}"))
            case 2:
                await self._invite_admin(person, org, peer)
            case 3:
                await self.count(person.delete(f"{path}/admins/{peer.user_id}"))
            case 4:
                await self.count(person.delete(f"{path}/admins/me"))
            case 5:
                kind = self.dice.choice(["hand-over", "recovery"])
                body = {"kind": kind, "main_admin_id": peer.user_id}
                await self.count(person.post(f"{path}/change-requests", json=body))
            case 6:
                await self.count(person.patch(path, json={"name": fresh_org_name()}))
            case 7:
                await self._answer(person)
            case 8:
                await self._transfer(person, org, other)

    async def count(self, asked: Any) -> httpx.Response:
        answer: httpx.Response = await asked
        assert answer.status_code < 500, answer.text
        assert answer.status_code != 401, answer.text
        self.answers[answer.status_code] += 1
        if answer.is_success and answer.request.method != "GET":
            self.made.append(answer.headers["X-Request-Id"])
        return answer

    async def _certify(self, person: Person, org: Json, above: Json) -> None:
        path = f"/v1/orgs/{org['id']}/applications"
        await self.count(person.post(path, json={"invitation_token": self.tokens[above["id"]]}))

    async def _transfer(self, person: Person, org: Json, to: Json) -> None:
        path = f"/v1/orgs/{org['id']}/transfers"
        await self.count(person.post(path, json={"invitation_token": self.tokens[to["id"]]}))

    async def _invite_admin(self, person: Person, org: Json, peer: Person) -> None:
        path = f"/v1/orgs/{org['id']}/admin-invitations"
        await self.count(person.post(path, json={"phone": peer.phone}))

    async def _answer(self, person: Person) -> None:
        """Answer what waits, mostly with yes."""
        waiting = (await self.count(person.get("/v1/inbox", params={"limit": 5}))).json()["items"]
        for entry in waiting:
            names = [name for name in entry["actions"] if name != "refusal"] or ["refusal"]
            name = "refusal" if "refusal" in entry["actions"] and self.dice.random() < 0.1 else names[0]
            body: Json | None = (
                {"reason": "随机"} if name == "refusal" and entry["kind"] != "admin-invitation" else None
            )
            if entry["kind"] == "transfer" and name != "refusal":
                read = await person.get(entry["href"])
                preview = read.json().get("preview") if read.status_code == 200 else None
                body = {"preview": preview["version"] if preview else "0" * 32}
            action = entry["actions"][name]
            await self.count(person.request(action["method"], action["href"], json=body))


async def test_random_edits_break_nothing(people: People, db: AsyncConnection) -> None:
    persons = [await people.register() for _ in range(6)]
    orgs = [await person.create_org() for person in persons for _ in range(3)]
    owners = [person for person in persons for _ in range(3)]
    tokens = {
        org["id"]: (await invite(person, org, max_uses=10_000))["token"]
        for person, org in zip(owners, orgs, strict=True)
    }
    workers = [Worker(persons, orgs, tokens, random.Random(number)) for number in range(WORKERS)]

    async def work(worker: Worker) -> None:
        while worker.answers.total() < EDITS // WORKERS:
            await worker.edit()

    async with staying_signed_in(persons):
        await asyncio.gather(*(work(worker) for worker in workers))
    await assert_invariants(db)
    made = [request_id for worker in workers for request_id in worker.made]
    lost = """
        SELECT made FROM unnest(CAST(:made AS text[])) AS made
        WHERE NOT EXISTS (SELECT FROM audit_entries e WHERE e.request_id = made)
    """
    assert (await db.execute(text(lost), {"made": made})).scalars().all() == []
    answers = sum((worker.answers for worker in workers), collections.Counter[int]())
    assert answers.total() >= EDITS // WORKERS * WORKERS
    assert len(made) > EDITS // 20  # enough of it took place
