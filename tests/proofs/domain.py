"""Four people who do at random what can be done to orgs, over HTTP; the model says how each act must be answered."""

import collections
import itertools
import random
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from tests.acts import Json, add_unit, done, invite
from tests.people import Person, fresh_org_name
from tests.proofs.model import Application, Model, Org, Promotion, Refused, Transfer, Who

T = TypeVar("T")
REASON = {"reason": "材料不全"}


class Domain:
    """One model and the orgs that stand for it. `acts` are what somebody may do next."""

    def __init__(self, persons: Sequence[Person]) -> None:
        self.persons = persons
        self.model = Model()
        self.dice = random.Random(0)
        self.tokens: dict[str, str] = {}
        self.names = [fresh_org_name() for _ in range(4)]
        self.serial = itertools.count()
        self.answers: collections.Counter[str] = collections.Counter()
        # The admins of each org before the act, and those that the act itself made: nobody else may have written.
        self.allowed: dict[str, set[str]] = {}

    async def act(self, dice: random.Random) -> None:
        self.dice = dice
        self.allowed = {org.id: {self.persons[admin].user_id for admin in org.admins} for org in self.model.orgs}
        open_ones = [change for change in self.model.changes if change.state == "pending"]
        few = len(self.model.orgs) < 7
        acts = [
            *[self.create] * (1 if few else 0),
            *[self.offer] * (2 if few else 0),
            *[self.accept] * (1 if self.model.promotions else 0),
            *[self.certify] * 4,
            *[self.decide] * (2 if self.model.applications else 0),
            self.release,
            *[self.transfer] * 3,
            *[self.go_on] * (2 if self.model.transfers else 0),
            *[self.appoint] * 3,
            self.remove,
            self.resign,
            *[self.ask] * 4,
            *[self.answer] * (3 if open_ones else 1 if self.model.changes else 0),
            *[self.close] * (1 if len(self.model.orgs) > 3 else 0),
        ]
        await dice.choice(acts)()

    async def call(
        self, who: Who, said: Callable[[], T], method: str, path: str, body: Json | None = None
    ) -> tuple[T | None, Any]:
        """The call, answered as the model says: what the model made of it and the answer's body; neither if refused."""
        try:
            expected, refused = said(), None
        except Refused as refusal:
            refused = refusal.answer
        answer = await self.persons[who].request(method, path, json=body)
        found = answer.json() if answer.content else None
        if refused is not None:
            assert found is not None, (method, path, answer.status_code, refused)
            answered = answer.status_code, found["type"].removeprefix("/problems/")
            assert answered == refused, (method, path, found, refused)
            self.answers[refused[1]] += 1
            return None, None
        assert answer.is_success, (method, path, found)
        noun = path.rsplit("/", 1)[-1]
        self.answers[f"{method} {noun if noun.replace('-', '').isalpha() else ''}"] += 1
        return expected, found

    async def made(self, org: Org | None, found: Any) -> None:
        """An org that came about: its first admin makes its invitation."""
        if org is None:
            return
        org.id = found["id"]
        self.allowed[org.id] = {self.persons[org.main].user_id}
        self.tokens[org.id] = (await invite(self.persons[org.main], {"id": org.id}, max_uses=10_000))["token"]

    def somebody(self, *orgs: Org) -> Who:
        """Mostly an admin of one of these orgs, sometimes anybody."""
        admins = sorted({admin for org in orgs for admin in org.admins})
        return self.dice.choice(admins * 12 + list(range(len(self.persons))))

    def org(self) -> Org:
        return self.dice.choice(self.model.orgs)

    def another(self, org: Org) -> Org:
        """Mostly not the org itself."""
        return self.dice.choice([other for other in self.model.orgs if other is not org] * 5 + [org])

    def path(self, org: Org, *parts: str) -> str:
        return "/".join(("/v1/orgs", org.id, *parts))

    def mostly(self) -> bool:
        return self.dice.random() < 0.8

    # Orgs

    async def begin(self) -> None:
        for who in range(3):
            await self._create(who, self.names[who])

    async def create(self) -> None:
        await self._create(self.dice.randrange(4), self.dice.choice(self.names))

    async def _create(self, who: Who, name: str) -> None:
        body = {"name": name, "region_code": "320102"}
        await self.made(*await self.call(who, lambda: self.model.create(who, name), "POST", "/v1/orgs", body))

    async def close(self) -> None:
        org = self.org()
        who = self.somebody(org)
        await self.call(who, lambda: self.model.close(who, org), "PUT", self.path(org, "closure"))

    # Certification

    async def certify(self) -> None:
        """Asked and, mostly, decided at once: trees grow."""
        org = self.dice.choice([org for org in self.model.orgs if not org.superior] * 3 + self.model.orgs)
        above = self.another(org)
        who = self.somebody(org)
        body = {"invitation_token": self.tokens[above.id]}
        said = lambda: self.model.apply(who, org, above)  # noqa: E731
        asked, found = await self.call(who, said, "POST", self.path(org, "applications"), body)
        if asked is not None:
            asked.id = found["id"]
            if self.mostly():
                await self._decide(asked, "approval")

    async def decide(self) -> None:
        answer = self.dice.choice(["approval", "approval", "refusal", "withdrawal"])
        await self._decide(self.dice.choice(self.model.applications), answer)

    async def _decide(self, application: Application, answer: str) -> None:
        side = application.org if answer == "withdrawal" else application.above
        who = self.somebody(side)
        path = self.path(side, "applications", application.id)
        match answer:
            case "approval":
                await self.call(who, lambda: self.model.approve(who, application), "PUT", f"{path}/approval")
            case "refusal":
                await self.call(who, lambda: self.model.refuse(who, application), "PUT", f"{path}/refusal", REASON)
            case _:
                await self.call(who, lambda: self.model.withdraw(who, application), "DELETE", path)

    async def release(self) -> None:
        org = self.org()
        above = org.superior if org.superior and self.mostly() else self.org()
        who = self.somebody(above)
        path = self.path(above, "subordinates", org.id)
        await self.call(who, lambda: self.model.release(who, above, org), "DELETE", path)

    # Transfers

    async def transfer(self) -> None:
        """Asked; mostly released and accepted at once."""
        org = self.dice.choice([org for org in self.model.orgs if org.superior] * 3 + self.model.orgs)
        new = self.another(org)
        who = self.dice.choice([org.main, org.main, self.somebody(org)])
        body = {"invitation_token": self.tokens[new.id]}
        said = lambda: self.model.ask_transfer(who, org, new)  # noqa: E731
        asked, found = await self.call(who, said, "POST", self.path(org, "transfers"), body)
        if asked is None:
            return
        asked.id, asked.preview = found["id"], found["preview"]["version"]
        for step in ("release", "acceptance"):
            if self.mostly():
                await self._go_on(asked, step)

    async def go_on(self) -> None:
        step = self.dice.choice(["release", "acceptance", "refusal", "withdrawal"])
        await self._go_on(self.dice.choice(self.model.transfers), step)

    async def _go_on(self, transfer: Transfer, step: str) -> None:
        model, decision = self.model, {"preview": transfer.preview}
        side = {"release": transfer.old, "acceptance": transfer.new, "withdrawal": transfer.org}.get(step)
        side = side or self.dice.choice([transfer.old, transfer.new])
        who = self.somebody(side)
        path = self.path(side, "transfers", transfer.id)
        match step:
            case "release":
                await self.call(who, lambda: model.release_transfer(who, transfer), "PUT", f"{path}/{step}", decision)
            case "acceptance":
                await self.call(who, lambda: model.accept_transfer(who, transfer), "PUT", f"{path}/{step}", decision)
            case "refusal":
                await self.call(
                    who, lambda: model.refuse_transfer(who, transfer, side), "PUT", f"{path}/{step}", REASON
                )
            case _:
                await self.call(who, lambda: model.withdraw_transfer(who, transfer), "DELETE", path)

    # Admins

    async def appoint(self) -> None:
        org, person = self.org(), self.dice.randrange(4)
        who = self.dice.choice([org.main, self.somebody(org)])
        said = lambda: self.model.appoint(who, org, person)  # noqa: E731
        path = self.path(org, "admin-invitations")
        _, found = await self.call(who, said, "POST", path, {"phone": self.persons[person].phone})
        if found is not None:
            done(await self.persons[person].put(f"/v1/me/admin-invitations/{found['id']}/acceptance"))
            self.allowed[org.id].add(self.persons[person].user_id)

    async def remove(self) -> None:
        """Somebody; more often than chance would have it who is to become the main admin."""
        coming = [(c.org, int(c.after)) for c in self.model.changes if c.state == "pending" and c.kind != "rename"]
        if coming and self.mostly():
            org, person = self.dice.choice(coming)
        else:
            org = self.org()
            person = self.dice.choice(sorted(org.admins) * 2 + list(range(4)))
        who = self.dice.choice([org.main, self.somebody(org)])
        path = self.path(org, "admins", self.persons[person].user_id)
        await self.call(who, lambda: self.model.remove(who, org, person), "DELETE", path)

    async def resign(self) -> None:
        org = self.org()
        who = self.somebody(org)
        await self.call(who, lambda: self.model.resign(who, org), "DELETE", self.path(org, "admins", "me"))

    # Changes that a superior consents to

    async def ask(self) -> None:
        kind = self.dice.choice(["rename", "hand-over", "hand-over", "recovery"])
        # Who hands an org over is its main admin, to another admin, and of a certified one somebody else decides.
        shared = [org for org in self.model.orgs if len(org.admins) > 1 and (org.superior or kind == "recovery")]
        org = self.dice.choice(shared * 3 + self.model.orgs)
        who = self.dice.choice([org.main, org.main, self.somebody(org)]) if kind == "hand-over" else self.somebody(org)
        if kind == "rename":
            name = self.dice.choice(self.names)
            said, body = lambda: self.model.ask_rename(who, org, name), {"name": name}
        else:
            person = self.dice.choice(sorted(org.admins - {org.main}) * 4 + list(range(4)))
            ask = self.model.ask_hand_over if kind == "hand-over" else self.model.ask_recovery
            said, body = lambda: ask(who, org, person), {"main_admin_id": self.persons[person].user_id}
        asked, found = await self.call(who, said, "POST", self.path(org, "change-requests"), {"kind": kind} | body)
        if asked is not None:
            asked.id = found["id"]

    async def answer(self) -> None:
        open_ones = [change for change in self.model.changes if change.state == "pending"]
        change = self.dice.choice(open_ones if open_ones and self.mostly() else self.model.changes)
        answer = self.dice.choice(["approval", "approval", "refusal", "withdrawal"])
        side = change.org if answer == "withdrawal" else change.org.superior or self.org()
        who = self.somebody(side)
        path = self.path(side, "change-requests", change.id)
        match answer:
            case "approval":
                said = lambda: self.model.approve_change(who, side, change)  # noqa: E731
                await self.call(who, said, "PUT", f"{path}/approval")
            case "refusal":
                said = lambda: self.model.refuse_change(who, side, change)  # noqa: E731
                await self.call(who, said, "PUT", f"{path}/refusal", REASON)
            case _:
                await self.call(who, lambda: self.model.withdraw_change(who, change), "DELETE", path)

    # A unit becomes an org

    async def offer(self) -> None:
        """Made, and mostly accepted at once."""
        org, person, name = self.org(), self.dice.randrange(4), self.dice.choice(self.names)
        unit = {"id": org.id}  # no unit, where the org is closed
        if not org.closed:
            unit = await add_unit(self.persons[org.main], {"id": org.id}, f"第{next(self.serial)}支部")
        who = self.somebody(org)
        body = {"unit_id": unit["id"], "name": name, "to": {"phone": self.persons[person].phone}}
        said = lambda: self.model.offer(who, org, name, person)  # noqa: E731
        offered, found = await self.call(who, said, "POST", self.path(org, "promotions"), body)
        if offered is not None:
            offered.id = found["id"]
            if self.mostly():
                await self._accept(offered)

    async def accept(self) -> None:
        await self._accept(self.dice.choice(self.model.promotions))

    async def _accept(self, promotion: Promotion) -> None:
        who = self.dice.choice([promotion.to] * 4 + list(range(4)))
        path = f"/v1/me/promotions/{promotion.id}/acceptance"
        await self.made(*await self.call(who, lambda: self.model.accept_promotion(who, promotion), "PUT", path))
