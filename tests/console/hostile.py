"""An org in which every name is hostile."""

from collections.abc import Awaitable, Callable

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.acts import (
    add_member,
    add_unit,
    certify,
    get_body,
    invite,
    invite_admin,
    send_application,
    send_change_request,
)
from tests.auth.consoles import Console, approve, scan
from tests.people import People, Person

HOSTILE = "<img src=x onerror=alert`1`>\"onx=1 '<script>alert`2`"
SHORT = "<b onx=1>甲\"'مريم"
PROGRAM = f"{HOSTILE} \u202eمريم {'W' * 500}"[:500]
_KEY = text(
    "INSERT INTO security_keys (user_id, name, credential_id, public_key, sign_count) "
    "VALUES (:user_id, :name, uuid_send(uuidv7()), '\\x00', 0)"
)


def fill_hostile_name(most: int, end: str = "", begin: str = HOSTILE) -> str:
    """Return a hostile name as long as its field allows."""
    return f"{begin}{'W' * (most - len(begin) - len(end))}{end}"


async def create_hostile_org(
    people: People, worker: Callable[[], Awaitable[None]], db: AsyncConnection, program: str
) -> Person:
    """Return an admin in whose orgs every name is hostile and as long as its field allows."""
    main = await people.register(name=SHORT)
    org = await main.create_org(name=fill_hostile_name(100, " مريم 党委"))
    unit = await add_unit(main, org, fill_hostile_name(100))
    await add_unit(main, org, SHORT, unit)
    for _ in range(3):
        row = await add_member(main, org, unit, name=fill_hostile_name(50, begin=SHORT))
    gone = await add_member(main, org, unit, name=SHORT)
    get_body(await main.delete(f"/v1/orgs/{org['id']}/members/{gone['id']}"), 204)
    sheet = {"file": (fill_hostile_name(200, ".csv"), f"姓名,手机号码,支部名称\n{SHORT},13800,{SHORT}\n".encode())}
    get_body(await main.post(f"/v1/orgs/{org['id']}/imports", files=sheet), 202)
    await worker()
    subordinate_admin = await people.register(name=fill_hostile_name(50, begin=SHORT))
    under = await subordinate_admin.create_org(name=fill_hostile_name(100, " 支部"))
    await certify(main, org, subordinate_admin, under)
    reason = fill_hostile_name(200)
    get_body(
        await send_change_request(
            subordinate_admin, under, kind="rename", name=fill_hostile_name(100, " 工会"), reason=reason
        ),
        201,
    )
    for name in ("总支", "分会"):
        token = (await invite(main, org))["token"]
        applied = get_body(
            await send_application(
                subordinate_admin, await subordinate_admin.create_org(name=fill_hostile_name(100, f" {name}")), token
            ),
            201,
        )
    await invite(main, org)
    refusal = f"/v1/orgs/{org['id']}/applications/{applied['id']}/refusal"
    get_body(await main.put(refusal, json={"reason": reason}))
    await invite_admin(main, org, subordinate_admin)
    await invite_admin(
        subordinate_admin, await subordinate_admin.create_org(name=fill_hostile_name(100, " 工委")), main
    )
    leaving = await add_member(subordinate_admin, under, name=fill_hostile_name(50, begin=SHORT))
    get_body(
        await subordinate_admin.post(
            f"/v1/orgs/{under['id']}/members/{leaving['id']}/transfers", json={"org_id": org["id"]}
        ),
        201,
    )
    get_body(await main.post(f"/v1/orgs/{org['id']}/members/{row['id']}/transfers", json={"org_id": under["id"]}), 201)
    asker = await people.register(name=fill_hostile_name(50, begin=SHORT))
    get_body(await asker.post("/v1/me/link-requests", json={"org_id": org["id"]}), 201)
    await db.execute(_KEY, {"user_id": main.user_id, "name": fill_hostile_name(100)})
    asking = await Console.request(main.api, program)
    scanned = await scan(main, asking)
    await approve(main, scanned["id"], asking.proof)
    get_body(await asking.poll())
    return main
