"""Lists that are longer than one page of them: each leads on to the rest, or says that there is more."""

import re
from uuid import UUID

import httpx
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.acts import certify, get_body
from tests.console.conftest import sign_in_to_phone
from tests.console.desk import OpenDesk, normalize_text
from tests.members.sheets import upload, xlsx
from tests.people import People, fresh_org_name

_ADD_MESSAGES = text(
    "INSERT INTO messages (user_id, kind, org_id) SELECT :user_id, 'org-closed', :org_id FROM generate_series(1, 60)"
)


async def test_messages_on_the_phone_lead_to_all_pages(
    visitor: httpx.AsyncClient, people: People, db: AsyncConnection
) -> None:
    learner = await people.register()
    org = await (await people.register()).create_org()
    values = {"user_id": UUID(learner.user_id), "org_id": UUID(org["id"])}
    await db.execute(_ADD_MESSAGES, values)
    await db.commit()
    await sign_in_to_phone(visitor, learner)
    first = normalize_text((await visitor.get("/phone/messages")).text)
    (more,) = re.findall(r'href="(\?cursor=[^"]+)"', first)
    second = normalize_text((await visitor.get(f"/phone/messages{more}")).text)
    assert (first.count('<section class="card">'), second.count('<section class="card">')) == (50, 10)
    assert "下一页" not in second


async def test_imports_lead_to_the_earlier_ones(people: People, open_desk: OpenDesk) -> None:
    admin = await people.register()
    org = await admin.create_org()
    for number in range(12):
        get_body(await upload(admin, org["id"], xlsx([]), f"名单{number}.xlsx"), 202)
    desk = await open_desk(admin)
    at = f"/console/orgs/{org['id']}/imports"
    shown = await desk.page(at)
    assert "名单1.xlsx" not in shown
    (more,) = re.findall(r'hx-get="([^"]+cursor=[^"]+)"', shown)
    assert {"名单0.xlsx", "名单1.xlsx"} <= set(re.findall(r">(名单\d+.xlsx)<", await desk.page(more)))


async def test_found_orgs_say_that_there_are_more(people: People, open_desk: OpenDesk) -> None:
    admin = await people.register()
    top = await admin.create_org()
    word = fresh_org_name()[:6]
    for number in range(31):
        await certify(admin, top, admin, await admin.create_org(name=f"{word}第{number}党支部"))
    desk = await open_desk(admin)
    found = await desk.part(f"/console/orgs/{top['id']}/subordinates/found?wanted={word}")
    assert found.count("<li>") == 30
    assert "还有更多" in found
    assert "还有更多" not in await desk.part(f"/console/orgs/{top['id']}/subordinates/found?wanted={word}第30")
