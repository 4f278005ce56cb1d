"""Random calls on the rows and accounts of a few orgs, phones and names. They are so few that most calls conflict with
another one.
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
from app.web.errors import NotFound, build_problem
from tests.members.sheets import upload
from tests.people import Person, fresh_org_name, name_person, open_alipay

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
    """The people and orgs, and the number of answers by kind of call and status. Each call chooses its subject from the
    database. Most calls may be refused, and none may fail."""

    api: httpx.AsyncClient
    engine: AsyncEngine
    cipher: Cipher
    admins: Sequence[Person]
    orgs: list[str]
    phones: Sequence[str]
    dice: random.Random
    answers: Counter[tuple[str, int]] = field(default_factory=Counter)

    def list_acts(self, count: int) -> list[Awaitable[None]]:
        """Return this number of random calls, to be awaited concurrently."""
        kinds = [kind for kind, weight in ACTS.items() for _ in range(weight)]
        return [self._act(self.dice.choice(kinds), random.Random(self.dice.random())) for _ in range(count)]

    async def _act(self, kind: "Act", dice: random.Random) -> None:
        await asyncio.sleep(dice.random() / 10)
        answer = await kind(self, dice)
        if answer is None:
            return
        self.answers[kind.__name__, answer.status_code] += 1
        # A deadlock answers 503.
        assert answer.status_code < 500 or answer.status_code == 503, (kind.__name__, answer.text)

    async def find_row(self, statement: str, **values: Any) -> Any:
        """Return the first row of the statement, or None."""
        async with self.engine.connect() as db:
            return (await db.execute(text(statement), values)).first()

    async def list_free_phones(self) -> Sequence[str]:
        """Return the phones that no account has."""
        indexes = {index: phone for phone in self.phones for index in self.cipher.list_phone_indexes(phone)}
        async with self.engine.connect() as db:
            taken = select(User.phone_index).where(User.phone_index.in_(indexes))
            used = {indexes[index] for index in (await db.scalars(taken)).all() if index is not None}
        return [phone for phone in self.phones if phone not in used]

    async def sign_in(self, phone: str, after: float = 0) -> Person | None:
        """Sign in by phone code, which registers a new phone too. Return None if another call's code arrived."""
        await asyncio.sleep(after)
        sent = await self.api.post("/v1/phone-codes", json={"phone": phone})
        form = {
            "grant_type": "urn:xuezu:params:oauth:grant-type:phone-code",
            "client_id": "xuezu-app",
            "phone": phone,
        }
        form |= await self.find_code(phone, sent)
        granted = await self.api.post("/oauth/token", data=form)
        self.answers["sign in", granted.status_code] += 1
        assert granted.status_code < 500 or granted.status_code == 503, granted.text
        if granted.status_code != 200:
            return None
        return Person(phone, "", "", self.api, granted.json()["access_token"])

    async def find_code(self, phone: str, sent: httpx.Response) -> dict[str, str]:
        """Return the newest code of the phone, which another call may have requested, and the handle of this one."""
        outbox = await self.api.get("/v1/simulator/sms", params={"phone": phone})
        code = next((each["code"] for each in outbox.json()["items"] if each["code"]), "000000")
        return {"code": code, "handle": sent.json().get("handle", "none")}

    async def choose_row(self, *, live: bool = True) -> tuple[str, str] | None:
        """Return the ids of a random row and its org, or None."""
        found = await self.find_row(_ROW, live=live)
        return None if found is None else (found[0], found[1])

    async def choose_unit(self, org: str) -> str | None:
        found = await self.find_row(_UNIT, org=org)
        return None if found is None else str(found[0])


Act = Callable[[Directory, random.Random], Awaitable[httpx.Response | None]]


async def add_row(directory: Directory, dice: random.Random) -> httpx.Response:
    org = dice.choice(directory.orgs)
    unit = await directory.choose_unit(org)
    body = {"name": dice.choice(NAMES), "phone": dice.choice(directory.phones), "unit_ids": [unit] if unit else []}
    return await dice.choice(directory.admins).post(f"/v1/orgs/{org}/members", json=body)


async def edit_row(directory: Directory, dice: random.Random) -> httpx.Response | None:
    row = await directory.choose_row()
    body = {"name": dice.choice(NAMES)} if dice.random() < 0.5 else {"phone": dice.choice(directory.phones)}
    return row and await dice.choice(directory.admins).patch("/v1/orgs/{}/members/{}".format(*row), json=body)


async def remove_row(directory: Directory, dice: random.Random) -> httpx.Response | None:
    row = await directory.choose_row()
    return row and await dice.choice(directory.admins).delete("/v1/orgs/{}/members/{}".format(*row))


async def restore_row(directory: Directory, dice: random.Random) -> httpx.Response | None:
    row = await directory.choose_row(live=False)
    return row and await dice.choice(directory.admins).post("/v1/orgs/{}/members/{}/restorations".format(*row))


async def place_person(directory: Directory, dice: random.Random) -> httpx.Response | None:
    row = await directory.choose_row()
    if row is None or (unit := await directory.choose_unit(row[0])) is None:
        return None
    path, admin = "/v1/orgs/{}/members/{}".format(*row), dice.choice(directory.admins)
    if dice.random() < 0.5:
        return await admin.post(f"{path}/copies", json={"unit_id": unit})
    return await admin.put(f"{path}/units", json={"unit_ids": [unit]})


async def unlink_row(directory: Directory, dice: random.Random) -> httpx.Response | None:
    row = await directory.choose_row()
    return row and await dice.choice(directory.admins).delete("/v1/orgs/{}/members/{}/activation".format(*row))


async def upload_sheet(directory: Directory, dice: random.Random) -> httpx.Response:
    rows = [
        (dice.choice(NAMES), phone, dice.choice(UNITS)) for phone in dice.sample(directory.phones, dice.randrange(1, 7))
    ]
    sheet = "\n".join(map(",".join, [("姓名", "手机号码", "支部名称"), *rows])).encode()
    mode = "replace-all" if dice.random() < 0.3 else "add-and-update"
    form = {"mode": mode, "unknown_units": "create"}
    return await upload(dice.choice(directory.admins), dice.choice(directory.orgs), sheet, "members.csv", **form)


async def settle_sheet(directory: Directory, dice: random.Random) -> httpx.Response | None:
    """Confirm an import that was checked, or cancel one that is being merged."""
    waiting = "SELECT org_id, id, preview, leaving FROM imports WHERE state = ANY (:states) ORDER BY random() LIMIT 1"
    cancel = dice.random() < 0.1
    found = await directory.find_row(waiting, states=["confirmed", "merging"] if cancel else ["ready"])
    if found is None:
        return None
    path, admin = f"/v1/orgs/{found[0]}/imports/{found[1]}", dice.choice(directory.admins)
    if cancel:
        return await admin.delete(path)
    # Register some of the phones while the sheet is merged.
    free = await directory.list_free_phones()
    some = dice.sample(free, min(3, len(free)))
    registering = asyncio.gather(*(directory.sign_in(phone, dice.random() / 2) for phone in some))
    answer = await admin.put(f"{path}/confirmation", json={"preview": found[2], "leaving": found[3]})
    await registering
    return answer


async def verify_user(directory: Directory, dice: random.Random) -> httpx.Response | None:
    user = await directory.sign_in(dice.choice(directory.phones))
    if user is None:
        return None
    begun = await user.post("/v1/me/verifications", json=name_person(dice.choice(NAMES)))
    if begun.status_code != 201:
        return begun
    page = await open_alipay(directory.api, begun.json()["redirect_url"])
    return await directory.api.post(page, json={"consents": True})


async def change_phone(directory: Directory, dice: random.Random) -> httpx.Response | None:
    before, after = dice.sample(directory.phones, 2)
    user = await directory.sign_in(before)
    if user is None:
        return None
    body = await directory.find_code(after, await user.post("/v1/me/phone-codes", json={"phone": after}))
    old = await directory.find_code(before, await user.post("/v1/me/old-phone-codes"))
    of_old = {f"old_phone_{name}": value for name, value in old.items()}
    return await user.put("/v1/me/phone", json={"phone": after} | body | of_old)


async def close_account(directory: Directory, dice: random.Random) -> httpx.Response | None:
    user = await directory.sign_in(phone := dice.choice(directory.phones))
    if user is None:
        return None
    return await user.put(
        "/v1/me/closure", json=await directory.find_code(phone, await user.post("/v1/me/closing-codes"))
    )


async def suspend_user(directory: Directory, dice: random.Random) -> None:
    """Suspend a user by the operation, because a call over HTTP needs a security key. A deadlock is ignored."""
    scope = cast("OperatorScope", SimpleNamespace(actor=Actor()))
    phone = dice.choice(directory.phones)
    try:
        async with directory.engine.begin() as db:
            user_id = await operators.lock_user_by_phone(db, directory.cipher, phone)
            await operators.suspend_user(db, directory.cipher, scope, user_id, reason="随机")
        await asyncio.sleep(dice.random() / 5)
        async with directory.engine.begin() as db:
            await operators.restore_user(db, directory.cipher, scope, user_id)
    except NotFound:
        pass
    except DBAPIError as error:
        if build_problem(error).status != 503:
            raise


async def request_link(directory: Directory, dice: random.Random) -> httpx.Response | None:
    user = await directory.sign_in(dice.choice(directory.phones))
    return (
        None if user is None else await user.post("/v1/me/link-requests", json={"org_id": dice.choice(directory.orgs)})
    )


async def accept_link(directory: Directory, dice: random.Random) -> httpx.Response | None:
    org, admin = dice.choice(directory.orgs), dice.choice(directory.admins)
    waiting = await admin.get(f"/v1/orgs/{org}/link-requests")
    if waiting.status_code != 200 or not (items := waiting.json()["items"]):
        return None
    link_request = dice.choice(items)
    body = {"member_id": dice.choice(link_request["candidates"])["id"]}
    return await admin.put(f"/v1/orgs/{org}/link-requests/{link_request['id']}/acceptance", json=body)


async def request_transfer(directory: Directory, dice: random.Random) -> httpx.Response | None:
    row = await directory.choose_row()
    if row is None:
        return None
    path, body = "/v1/orgs/{}/members/{}/transfers".format(*row), {"org_id": dice.choice(directory.orgs)}
    return await dice.choice(directory.admins).post(path, json=body)


async def accept_transfer(directory: Directory, dice: random.Random) -> httpx.Response | None:
    waits = "SELECT to_id, id FROM person_transfers WHERE state = 'pending' ORDER BY random() LIMIT 1"
    found = await directory.find_row(waits)
    if found is None:
        return None
    return await dice.choice(directory.admins).put(
        f"/v1/orgs/{found[0]}/person-transfers/{found[1]}/acceptance", json={}
    )


async def request_group_transfer(directory: Directory, dice: random.Random) -> httpx.Response | None:
    row = await directory.choose_row()
    if row is None:
        return None
    org_id = row[0]
    async with directory.engine.connect() as db:
        found = await db.scalars(text("SELECT id::text FROM members WHERE org_id = :org"), {"org": org_id})
    members = found.all()  # with people who have left
    body = {
        "org_id": dice.choice(directory.orgs),
        "member_ids": dice.sample(members, min(len(members), dice.randrange(1, 5))),
    }
    return await dice.choice(directory.admins).post(f"/v1/orgs/{org_id}/group-transfers", json=body)


async def accept_group_transfer(directory: Directory, dice: random.Random) -> httpx.Response | None:
    waits = "SELECT to_id, id FROM group_transfers WHERE state = 'pending' ORDER BY random() LIMIT 1"
    found = await directory.find_row(waits)
    if found is None:
        return None
    unit = await directory.choose_unit(str(found[0]))
    return await dice.choice(directory.admins).put(
        f"/v1/orgs/{found[0]}/group-transfers/{found[1]}/acceptance", json={"unit_ids": [unit] if unit else []}
    )


async def promote_unit(directory: Directory, dice: random.Random) -> httpx.Response | None:
    org, (admin, other) = directory.orgs[0], dice.sample(directory.admins, 2)
    unit = await directory.choose_unit(org)
    if unit is None or len(directory.orgs) == MOST_ORGS:
        return None
    body = {"unit_id": unit, "name": fresh_org_name(), "to": {"phone": other.phone}}
    offered = await admin.post(f"/v1/orgs/{org}/promotions", json=body)
    if offered.status_code != 201:
        return offered
    answer = await other.put(f"/v1/me/promotions/{offered.json()['id']}/acceptance")
    if answer.status_code == 200:
        directory.orgs.append(answer.headers["Location"].rpartition("/")[2])
    return answer


ACTS: dict[Act, int] = {
    add_row: 6,
    edit_row: 5,
    remove_row: 4,
    restore_row: 4,
    place_person: 2,
    unlink_row: 2,
    upload_sheet: 5,
    settle_sheet: 10,
    verify_user: 6,
    change_phone: 5,
    close_account: 5,
    suspend_user: 1,
    request_link: 4,
    accept_link: 5,
    request_transfer: 4,
    accept_transfer: 5,
    request_group_transfer: 3,
    accept_group_transfer: 4,
    promote_unit: 2,
}
