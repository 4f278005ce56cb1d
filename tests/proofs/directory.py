"""A few orgs, a few phones and three names, and whatever can be done to the rows and the accounts that have them, drawn
at random: so few that most acts cross another.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import httpx
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from app.audit_log.entries import Actor
from app.auth.operators import operators
from app.authz.access import OperatorScope
from app.core.cipher import Cipher
from app.schema.auth import User
from app.web.errors import NotFound, to_problem
from tests.members.sheets import upload
from tests.people import Person, fresh_id_number, fresh_org_name

NAMES = ("王伟", "李娜", "张敏")
UNITS = ("一支部", "二支部")
MOST_ORGS = 5

_ROW = """
SELECT org_id::text, id::text FROM members WHERE (removed_at IS NULL) = :live AND phone_index <> ALL (
    SELECT phone_index FROM users JOIN org_admins ON user_id = users.id)
ORDER BY random() LIMIT 1
"""
_UNIT = "SELECT id::text FROM units WHERE org_id = :org AND removed_at IS NULL ORDER BY random() LIMIT 1"


@dataclass
class Directory:
    """The cast, and how each kind of act was answered. An act finds out by itself what it can be done to; most may be
    refused, and none may fail."""

    api: httpx.AsyncClient
    engine: AsyncEngine
    cipher: Cipher
    admins: Sequence[Person]
    orgs: list[str]
    phones: Sequence[str]
    dice: random.Random
    answers: Counter[tuple[str, int]] = field(default_factory=Counter)

    def acts(self, count: int) -> list[Awaitable[None]]:
        """So many, to be done at once."""
        kinds = [kind for kind, weight in ACTS.items() for _ in range(weight)]
        return [self._act(self.dice.choice(kinds), random.Random(self.dice.random())) for _ in range(count)]

    async def _act(self, kind: "Act", dice: random.Random) -> None:
        await asyncio.sleep(dice.random() / 10)
        answer = await kind(self, dice)
        if answer is None:
            return
        self.answers[kind.__name__, answer.status_code] += 1
        # Who meets a deadlock is asked to come again.
        assert answer.status_code < 500 or answer.status_code == 503, (kind.__name__, answer.text)

    async def look(self, statement: str, **values: Any) -> Any:
        """The first row of what the database says."""
        async with self.engine.connect() as db:
            return (await db.execute(text(statement), values)).first()

    async def free_phones(self) -> Sequence[str]:
        """Those that no account has."""
        indexes = {index: phone for phone in self.phones for index in self.cipher.phone_indexes(phone)}
        async with self.engine.connect() as db:
            taken = select(User.phone_index).where(User.phone_index.in_(indexes))
            held = {indexes[index] for index in (await db.scalars(taken)).all() if index is not None}
        return [phone for phone in self.phones if phone not in held]

    async def sign_in(self, phone: str, after: float = 0) -> Person | None:
        """By the phone's code, registered where it is not; None where others asked for a code meanwhile."""
        await asyncio.sleep(after)
        await self.api.post("/v1/phone-codes", json={"phone": phone})
        form = {
            "grant_type": "urn:xuezu:params:oauth:grant-type:phone-code",
            "client_id": "xuezu-app",
            "phone": phone,
            "code": await self._code(phone),
        }
        granted = await self.api.post("/oauth/token", data=form)
        self.answers["sign in", granted.status_code] += 1
        assert granted.status_code < 500 or granted.status_code == 503, granted.text
        if granted.status_code != 200:
            return None
        return Person(phone, "", "", self.api, granted.json()["access_token"])

    async def _code(self, phone: str) -> str:
        outbox = await self.api.get("/v1/simulator/sms", params={"phone": phone})
        return next((one["code"] for one in outbox.json()["items"] if one["code"]), "000000")

    async def row(self, *, live: bool = True) -> tuple[str, str] | None:
        """Some org's id and that of a row of it."""
        found = await self.look(_ROW, live=live)
        return None if found is None else (found[0], found[1])

    async def unit(self, org: str) -> str | None:
        found = await self.look(_UNIT, org=org)
        return None if found is None else str(found[0])


Act = Callable[[Directory, random.Random], Awaitable[httpx.Response | None]]


async def add(of: Directory, dice: random.Random) -> httpx.Response:
    org = dice.choice(of.orgs)
    unit = await of.unit(org)
    body = {"name": dice.choice(NAMES), "phone": dice.choice(of.phones), "unit_ids": [unit] if unit else []}
    return await dice.choice(of.admins).post(f"/v1/orgs/{org}/members", json=body)


async def edit(of: Directory, dice: random.Random) -> httpx.Response | None:
    row = await of.row()
    body = {"name": dice.choice(NAMES)} if dice.random() < 0.5 else {"phone": dice.choice(of.phones)}
    return row and await dice.choice(of.admins).patch("/v1/orgs/{}/members/{}".format(*row), json=body)


async def remove(of: Directory, dice: random.Random) -> httpx.Response | None:
    row = await of.row()
    return row and await dice.choice(of.admins).delete("/v1/orgs/{}/members/{}".format(*row))


async def restore(of: Directory, dice: random.Random) -> httpx.Response | None:
    row = await of.row(live=False)
    return row and await dice.choice(of.admins).post("/v1/orgs/{}/members/{}/restorations".format(*row))


async def place(of: Directory, dice: random.Random) -> httpx.Response | None:
    row = await of.row()
    if row is None or (unit := await of.unit(row[0])) is None:
        return None
    path, admin = "/v1/orgs/{}/members/{}".format(*row), dice.choice(of.admins)
    if dice.random() < 0.5:
        return await admin.post(f"{path}/copies", json={"unit_id": unit})
    return await admin.put(f"{path}/units", json={"unit_ids": [unit]})


async def unlink(of: Directory, dice: random.Random) -> httpx.Response | None:
    row = await of.row()
    return row and await dice.choice(of.admins).delete("/v1/orgs/{}/members/{}/activation".format(*row))


async def bring_sheet(of: Directory, dice: random.Random) -> httpx.Response:
    rows = [(dice.choice(NAMES), phone, dice.choice(UNITS)) for phone in dice.sample(of.phones, dice.randrange(1, 7))]
    sheet = "\n".join(map(",".join, [("姓名", "手机号码", "支部名称"), *rows])).encode()
    mode = "replace-all" if dice.random() < 0.3 else "add-and-update"
    form = {"mode": mode, "unknown_units": "create"}
    return await upload(dice.choice(of.admins), dice.choice(of.orgs), sheet, "members.csv", **form)


async def settle_sheet(of: Directory, dice: random.Random) -> httpx.Response | None:
    """Have what is checked merged, or cancel it meanwhile."""
    waiting = "SELECT org_id, id FROM imports WHERE state = ANY (:states) ORDER BY random() LIMIT 1"
    cancel = dice.random() < 0.1
    found = await of.look(waiting, states=["confirmed", "merging"] if cancel else ["ready"])
    if found is None:
        return None
    path, admin = f"/v1/orgs/{found[0]}/imports/{found[1]}", dice.choice(of.admins)
    if cancel:
        return await admin.delete(path)
    # Whoever is of the sheet may register while it is merged.
    free = await of.free_phones()
    some = dice.sample(free, min(3, len(free)))
    registering = asyncio.gather(*(of.sign_in(phone, dice.random() / 2) for phone in some))
    asked = await admin.put(f"{path}/confirmation", json={"leaving": 1000})
    await registering
    return asked


async def verify(of: Directory, dice: random.Random) -> httpx.Response | None:
    user = await of.sign_in(dice.choice(of.phones))
    if user is None:
        return None
    begun = await user.post("/v1/me/verifications", json={"method": "alipay"})
    if begun.status_code != 201:
        return begun
    consent = {"name": dice.choice(NAMES), "id_number": fresh_id_number()}
    return await of.api.post(begun.json()["redirect_url"], json=consent)


async def change_phone(of: Directory, dice: random.Random) -> httpx.Response | None:
    before, after = dice.sample(of.phones, 2)
    user = await of.sign_in(before)
    if user is None:
        return None
    await user.post("/v1/me/phone-codes", json={"phone": after})
    return await user.put("/v1/me/phone", json={"phone": after, "code": await of._code(after)})


async def close_account(of: Directory, dice: random.Random) -> httpx.Response | None:
    user = await of.sign_in(phone := dice.choice(of.phones))
    if user is None:
        return None
    await user.post("/v1/me/closing-codes")
    return await user.put("/v1/me/closure", json={"code": await of._code(phone)})


async def suspend(of: Directory, dice: random.Random) -> None:
    """By the operation itself: an operator needs a security key. Over HTTP a deadlock would be answered by 503."""
    scope = cast("OperatorScope", SimpleNamespace(actor=Actor()))
    phone = dice.choice(of.phones)
    try:
        async with of.engine.begin() as db:
            user_id = await operators.suspend_user(db, of.cipher, scope, phone=phone, reason="随机")
        await asyncio.sleep(dice.random() / 5)
        async with of.engine.begin() as db:
            await operators.restore_user(db, of.cipher, scope, user_id)
    except NotFound:
        pass
    except DBAPIError as error:
        if to_problem(error).status != 503:
            raise


async def ask_for_link(of: Directory, dice: random.Random) -> httpx.Response | None:
    user = await of.sign_in(dice.choice(of.phones))
    return None if user is None else await user.post("/v1/me/link-requests", json={"org_id": dice.choice(of.orgs)})


async def accept_link(of: Directory, dice: random.Random) -> httpx.Response | None:
    org, admin = dice.choice(of.orgs), dice.choice(of.admins)
    waiting = await admin.get(f"/v1/orgs/{org}/link-requests")
    if waiting.status_code != 200 or not (items := waiting.json()["items"]):
        return None
    asked = dice.choice(items)
    body = {"member_id": dice.choice(asked["candidates"])["id"]}
    return await admin.put(f"/v1/orgs/{org}/link-requests/{asked['id']}/acceptance", json=body)


async def ask_for_transfer(of: Directory, dice: random.Random) -> httpx.Response | None:
    row = await of.row()
    if row is None:
        return None
    path, body = "/v1/orgs/{}/members/{}/transfers".format(*row), {"org_id": dice.choice(of.orgs)}
    return await dice.choice(of.admins).post(path, json=body)


async def accept_transfer(of: Directory, dice: random.Random) -> httpx.Response | None:
    waits = "SELECT to_id, id FROM person_transfers WHERE state = 'pending' ORDER BY random() LIMIT 1"
    found = await of.look(waits)
    if found is None:
        return None
    return await dice.choice(of.admins).put(f"/v1/orgs/{found[0]}/person-transfers/{found[1]}/acceptance", json={})


async def promote(of: Directory, dice: random.Random) -> httpx.Response | None:
    org, (admin, other) = of.orgs[0], dice.sample(of.admins, 2)
    unit = await of.unit(org)
    if unit is None or len(of.orgs) == MOST_ORGS:
        return None
    body = {"unit_id": unit, "name": fresh_org_name(), "to": {"phone": other.phone}}
    offered = await admin.post(f"/v1/orgs/{org}/promotions", json=body)
    if offered.status_code != 201:
        return offered
    answer = await other.put(f"/v1/me/promotions/{offered.json()['id']}/acceptance")
    if answer.status_code == 200:
        of.orgs.append(answer.headers["Location"].rpartition("/")[2])
    return answer


ACTS: dict[Act, int] = {
    add: 6,
    edit: 5,
    remove: 4,
    restore: 4,
    place: 2,
    unlink: 2,
    bring_sheet: 5,
    settle_sheet: 10,
    verify: 6,
    change_phone: 5,
    close_account: 5,
    suspend: 1,
    ask_for_link: 4,
    accept_link: 5,
    ask_for_transfer: 4,
    accept_transfer: 5,
    promote: 2,
}
