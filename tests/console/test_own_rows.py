"""A user's own rows on the console and on the phone: where they are."""

import httpx

from tests.acts import add_member, add_unit
from tests.console.conftest import sign_in_to_phone
from tests.console.desk import HOSTILE, OpenDesk
from tests.people import People


async def test_user_sees_their_orgs_and_units_on_console_and_phone(
    people: People, open_desk: OpenDesk, visitor: httpx.AsyncClient
) -> None:
    admin, learner = await people.register(), await people.register(name="欧阳修")
    org = await admin.create_org()
    general = await add_unit(admin, org, "机关党总支", kind="general_branch")
    branch = await add_unit(admin, org, HOSTILE.replace("/", "／"), general)
    await add_member(admin, org, branch, name=learner.name, phone=learner.phone, post="组织委员")
    desk = await open_desk(learner)
    assert 'href="/console/memberships"' in await desk.page("/console/")
    shown = await desk.page("/console/memberships")
    for text in (org["name"], "机关党总支/", "组织委员", "登记的姓名：欧阳修"):
        assert text in shown
    await sign_in_to_phone(visitor, learner)
    assert 'href="/phone/memberships"' in (await visitor.get("/phone/")).text
    assert "机关党总支/" in (await visitor.get("/phone/memberships")).text


async def test_user_in_no_directory_reads_how_to_join(people: People, open_desk: OpenDesk) -> None:
    desk = await open_desk(await people.register())
    assert "您还不在任何学习组织中" in await desk.page("/console/memberships")
