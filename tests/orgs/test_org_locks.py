"""A write of members waits for a concurrent change of the org's admins or state, and then checks both again."""

import asyncio

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.acts import add_admin, get_body, get_refusal
from tests.people import People, fresh_phone


async def test_write_of_an_admin_removed_during_the_wait_is_refused(people: People, engine: AsyncEngine) -> None:
    main_admin, second = await people.register(), await people.register()
    org = await main_admin.create_org()
    await add_admin(main_admin, org, second)
    path = f"/v1/orgs/{org['id']}/members"
    async with engine.begin() as removing:
        await removing.execute(text("SELECT FROM orgs WHERE id = :id FOR UPDATE"), {"id": org["id"]})
        adding = asyncio.create_task(second.post(path, json={"name": "甲", "phone": fresh_phone()}))
        await asyncio.wait({adding}, timeout=0.5)
        assert not adding.done()
        values = {"id": org["id"], "user_id": second.user_id}
        await removing.execute(text("DELETE FROM org_admins WHERE org_id = :id AND user_id = :user_id"), values)
    assert get_refusal(await adding) == (403, "forbidden")
    assert "甲" not in {member["name"] for member in get_body(await main_admin.get(path))["items"]}


async def test_write_that_waits_for_closing_of_its_org_is_refused(people: People, engine: AsyncEngine) -> None:
    admin = await people.register()
    org = await admin.create_org()
    async with engine.begin() as closing:
        await closing.execute(text("SELECT FROM orgs WHERE id = :id FOR UPDATE"), {"id": org["id"]})
        adding = asyncio.create_task(
            admin.post(f"/v1/orgs/{org['id']}/members", json={"name": "甲", "phone": fresh_phone()})
        )
        await asyncio.wait({adding}, timeout=0.5)
        assert not adding.done()
        await closing.execute(
            text("UPDATE orgs SET status = 'closed', closed_at = now() WHERE id = :id"), {"id": org["id"]}
        )
    assert get_refusal(await adding) == (409, "org-closed")
