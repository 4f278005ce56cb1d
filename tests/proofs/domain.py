"""Four people make random calls on orgs over HTTP. The model says what the answer of each call must be."""

import collections
import itertools
import random
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from tests.acts import Json, add_unit, get_body, invite
from tests.people import Person, fresh_org_name
from tests.proofs.model import Application, Model, Org, PersonId, Promotion, Refused, Repeated, Transfer

T = TypeVar("T")
REASON = {"reason": "材料不全"}


class Domain:
    """A model, and the orgs in the database that correspond to it."""

    def __init__(self, persons: Sequence[Person]) -> None:
        self.persons = persons
        self.model = Model()
        self.dice = random.Random(0)
        self.tokens: dict[str, str] = {}
        self.names = [fresh_org_name() for _ in range(4)]
        self.serial = itertools.count()
        self.answers: collections.Counter[str] = collections.Counter()
        # The admins of each org before the call, and those whom the call added: only they may have written.
        self.allowed: dict[str, set[str]] = {}

    async def act(self, dice: random.Random) -> None:
        self.dice = dice
        self.allowed = {org.id: {self.persons[admin].user_id for admin in org.admins} for org in self.model.orgs}
        pending = [change for change in self.model.changes if change.state == "pending"]
        few = len(self.model.orgs) < 7
        acts = [
            *[self.create_org] * (1 if few else 0),
            *[self.offer_promotion] * (2 if few else 0),
            *[self.accept_promotion] * (1 if self.model.promotions else 0),
            *[self.certify_org] * 4,
            *[self.decide_application] * (2 if self.model.applications else 0),
            self.release_org,
            *[self.transfer_org] * 3,
            *[self.continue_transfer] * (2 if self.model.transfers else 0),
            *[self.appoint_admin] * 3,
            self.remove_admin,
            self.resign,
            *[self.request_change] * 4,
            *[self.decide_change] * (3 if pending else 1 if self.model.changes else 0),
            *[self.close_org] * (1 if len(self.model.orgs) > 3 else 0),
            *[self.take_closing_back] * any(org.closed or org.closing_requested for org in self.model.orgs),
        ]
        await dice.choice(acts)()

    async def call_api(
        self, caller: PersonId, model_call: Callable[[], T], method: str, path: str, body: Json | None = None
    ) -> tuple[T | None, Any]:
        """Send the call and check that its answer is the model's. Return the result of the model and the body of the
        answer; None for both if the call was refused or has changed nothing."""
        expected, refused, repeated = None, None, False
        try:
            expected = model_call()
        except Repeated:
            repeated = True
        except Refused as refusal:
            refused = refusal.answer
        answer = await self.persons[caller].request(method, path, json=body)
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
        return (None, None) if repeated else (expected, found)

    async def record_org(self, org: Org | None, found: Any) -> None:
        """Record an org that was created. Its first admin creates its invitation."""
        if org is None:
            return
        org.id = found["id"]
        self.allowed[org.id] = {self.persons[org.main].user_id}
        await self._invite(org)

    async def _invite(self, org: Org) -> None:
        self.tokens[org.id] = (await invite(self.persons[org.main], {"id": org.id}, max_uses=10_000))["token"]

    def choose_caller(self, *orgs: Org) -> PersonId:
        """Return mostly an admin of one of these orgs, and sometimes any person."""
        admins = sorted({admin for org in orgs for admin in org.admins})
        return self.dice.choice(admins * 12 + list(range(len(self.persons))))

    def choose_org(self) -> Org:
        return self.dice.choice(self.model.orgs)

    def choose_other_org(self, org: Org) -> Org:
        """Return mostly an org other than this one."""
        return self.dice.choice([other for other in self.model.orgs if other is not org] * 5 + [org])

    def build_path(self, org: Org, *parts: str) -> str:
        return "/".join(("/v1/orgs", org.id, *parts))

    def is_likely(self) -> bool:
        return self.dice.random() < 0.8

    # Orgs

    async def create_first_orgs(self) -> None:
        for caller in range(3):
            await self._create_org(caller, self.names[caller])

    async def create_org(self) -> None:
        await self._create_org(self.dice.randrange(4), self.dice.choice(self.names))

    async def _create_org(self, caller: PersonId, name: str) -> None:
        body = {"name": name, "region_code": "320102"}
        await self.record_org(
            *await self.call_api(caller, lambda: self.model.create(caller, name), "POST", "/v1/orgs", body)
        )

    async def close_org(self) -> None:
        org = self.choose_org()
        caller = self.choose_caller(org)
        await self.call_api(caller, lambda: self.model.close(caller, org), "PUT", self.build_path(org, "closure"))

    async def take_closing_back(self) -> None:
        org = self.dice.choice([org for org in self.model.orgs if org.closed or org.closing_requested])
        caller, path = self.choose_caller(org), self.build_path(org, "closure")
        await self.call_api(caller, lambda: self.model.take_closing_back(caller, org), "DELETE", path)
        if not org.closed and not org.has_invitation and self.is_likely():
            self.model.invite(org.main, org)
            await self._invite(org)

    # Certification

    async def certify_org(self) -> None:
        """Apply, and mostly approve at once, so that the tree grows."""
        org = self.dice.choice([org for org in self.model.orgs if not org.superior] * 3 + self.model.orgs)
        superior = self.choose_other_org(org)
        caller = self.choose_caller(org)
        body = {"invitation_token": self.tokens[superior.id]}
        model_call = lambda: self.model.apply(caller, org, superior)  # noqa: E731 — for the next call only
        created, found = await self.call_api(caller, model_call, "POST", self.build_path(org, "applications"), body)
        if created is not None:
            created.id = found["id"]
            if self.is_likely():
                await self._decide_application(created, "approval")

    async def decide_application(self) -> None:
        answer = self.dice.choice(["approval", "approval", "refusal", "withdrawal"])
        await self._decide_application(self.dice.choice(self.model.applications), answer)

    async def _decide_application(self, application: Application, answer: str) -> None:
        side = application.org if answer == "withdrawal" else application.superior
        caller = self.choose_caller(side)
        path = self.build_path(side, "applications", application.id)
        match answer:
            case "approval":
                await self.call_api(caller, lambda: self.model.approve(caller, application), "PUT", f"{path}/approval")
            case "refusal":
                await self.call_api(
                    caller, lambda: self.model.refuse(caller, application), "PUT", f"{path}/refusal", REASON
                )
            case _:
                await self.call_api(caller, lambda: self.model.withdraw(caller, application), "DELETE", path)

    async def release_org(self) -> None:
        org = self.choose_org()
        superior = org.superior if org.superior and self.is_likely() else self.choose_org()
        caller = self.choose_caller(superior)
        path = self.build_path(superior, "subordinates", org.id)
        await self.call_api(caller, lambda: self.model.release(caller, superior, org), "DELETE", path)

    # Transfers

    async def transfer_org(self) -> None:
        """Request a transfer; mostly release and accept it at once."""
        org = self.dice.choice([org for org in self.model.orgs if org.superior] * 3 + self.model.orgs)
        new = self.choose_other_org(org)
        caller = self.dice.choice([org.main, org.main, self.choose_caller(org)])
        body = {"invitation_token": self.tokens[new.id]}
        model_call = lambda: self.model.request_transfer(caller, org, new)  # noqa: E731 — for the next call only
        created, found = await self.call_api(caller, model_call, "POST", self.build_path(org, "transfers"), body)
        if created is None:
            return
        created.id, created.preview = found["id"], found["preview"]["version"]
        for step in ("release", "acceptance"):
            if self.is_likely():
                await self._continue_transfer(created, step)

    async def continue_transfer(self) -> None:
        step = self.dice.choice(["release", "acceptance", "refusal", "withdrawal"])
        await self._continue_transfer(self.dice.choice(self.model.transfers), step)

    async def _continue_transfer(self, transfer: Transfer, step: str) -> None:
        model, decision = self.model, {"preview": transfer.preview}
        side = {"release": transfer.old, "acceptance": transfer.new, "withdrawal": transfer.org}.get(step)
        side = side or self.dice.choice([transfer.old, transfer.new])
        caller = self.choose_caller(side)
        path = self.build_path(side, "transfers", transfer.id)
        match step:
            case "release":
                await self.call_api(
                    caller,
                    lambda: model.release_org_to_new_superior(caller, transfer),
                    "PUT",
                    f"{path}/{step}",
                    decision,
                )
            case "acceptance":
                await self.call_api(
                    caller, lambda: model.accept_transfer(caller, transfer), "PUT", f"{path}/{step}", decision
                )
            case "refusal":
                await self.call_api(
                    caller, lambda: model.refuse_transfer(caller, transfer, side), "PUT", f"{path}/{step}", REASON
                )
            case _:
                await self.call_api(caller, lambda: model.withdraw_transfer(caller, transfer), "DELETE", path)

    # Admins

    async def appoint_admin(self) -> None:
        org, person = self.choose_org(), self.dice.randrange(4)
        caller = self.dice.choice([org.main, self.choose_caller(org)])
        model_call = lambda: self.model.appoint(caller, org, person)  # noqa: E731 — for the next call only
        path = self.build_path(org, "admin-invitations")
        _, found = await self.call_api(caller, model_call, "POST", path, {"phone": self.persons[person].phone})
        if found is not None:
            get_body(await self.persons[person].put(f"/v1/me/admin-invitations/{found['id']}/acceptance"))
            self.allowed[org.id].add(self.persons[person].user_id)

    async def remove_admin(self) -> None:
        """Remove an admin; mostly one whom a pending request names as the next main admin."""
        successors = [(c.org, int(c.after)) for c in self.model.changes if c.state == "pending" and c.kind != "rename"]
        if successors and self.is_likely():
            org, person = self.dice.choice(successors)
        else:
            org = self.choose_org()
            person = self.dice.choice(sorted(org.admins) * 2 + list(range(4)))
        caller = self.dice.choice([org.main, self.choose_caller(org)])
        path = self.build_path(org, "admins", self.persons[person].user_id)
        await self.call_api(caller, lambda: self.model.remove(caller, org, person), "DELETE", path)

    async def resign(self) -> None:
        org = self.choose_org()
        caller = self.choose_caller(org)
        await self.call_api(
            caller, lambda: self.model.resign(caller, org), "DELETE", self.build_path(org, "admins", "me")
        )

    # Changes that a superior consents to

    async def request_change(self) -> None:
        kind = self.dice.choice(["rename", "hand-over", "hand-over", "recovery"])
        # Prefer orgs with a second admin and a superior: only there can a hand-over be requested and then decided.
        shared = [org for org in self.model.orgs if len(org.admins) > 1 and (org.superior or kind == "recovery")]
        org = self.dice.choice(shared * 3 + self.model.orgs)
        caller = (
            self.dice.choice([org.main, org.main, self.choose_caller(org)])
            if kind == "hand-over"
            else self.choose_caller(org)
        )
        if kind == "rename":
            name = self.dice.choice(self.names)
            model_call, body = lambda: self.model.request_rename(caller, org, name), {"name": name}
        else:
            person = self.dice.choice(sorted(org.admins - {org.main}) * 4 + list(range(4)))
            request = self.model.request_hand_over if kind == "hand-over" else self.model.request_recovery
            model_call, body = lambda: request(caller, org, person), {"main_admin_id": self.persons[person].user_id}
        created, found = await self.call_api(
            caller, model_call, "POST", self.build_path(org, "change-requests"), {"kind": kind} | body
        )
        if created is not None:
            created.id = found["id"]

    async def decide_change(self) -> None:
        pending = [change for change in self.model.changes if change.state == "pending"]
        change = self.dice.choice(pending if pending and self.is_likely() else self.model.changes)
        answer = self.dice.choice(["approval", "approval", "refusal", "withdrawal"])
        side = change.org if answer == "withdrawal" else change.org.superior or self.choose_org()
        caller = self.choose_caller(side)
        path = self.build_path(side, "change-requests", change.id)
        match answer:
            case "approval":
                model_call = lambda: self.model.approve_change(caller, side, change)  # noqa: E731 — for the next call only
                await self.call_api(caller, model_call, "PUT", f"{path}/approval")
            case "refusal":
                model_call = lambda: self.model.refuse_change(caller, side, change)  # noqa: E731 — for the next call only
                await self.call_api(caller, model_call, "PUT", f"{path}/refusal", REASON)
            case _:
                await self.call_api(caller, lambda: self.model.withdraw_change(caller, change), "DELETE", path)

    # A unit becomes an org

    async def offer_promotion(self) -> None:
        """Offer a promotion; mostly accept it at once."""
        org, person, name = self.choose_org(), self.dice.randrange(4), self.dice.choice(self.names)
        unit = {"id": org.id}  # a closed org gets no unit
        if not org.closed:
            unit = await add_unit(self.persons[org.main], {"id": org.id}, f"第{next(self.serial)}支部")
        caller = self.choose_caller(org)
        body = {"unit_id": unit["id"], "name": name, "to": {"phone": self.persons[person].phone}}
        model_call = lambda: self.model.offer_promotion(caller, org, name, person)  # noqa: E731 — for the next call only
        offered, found = await self.call_api(caller, model_call, "POST", self.build_path(org, "promotions"), body)
        if offered is not None:
            offered.id = found["id"]
            if self.is_likely():
                await self._accept_promotion(offered)

    async def accept_promotion(self) -> None:
        await self._accept_promotion(self.dice.choice(self.model.promotions))

    async def _accept_promotion(self, promotion: Promotion) -> None:
        caller = self.dice.choice([promotion.invited] * 4 + list(range(4)))
        path = f"/v1/me/promotions/{promotion.id}/acceptance"
        await self.record_org(
            *await self.call_api(caller, lambda: self.model.accept_promotion(caller, promotion), "PUT", path)
        )
