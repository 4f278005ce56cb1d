"""Lists that are longer than one page of them: each leads on to the rest, or says that there is more."""

import re
from uuid import UUID

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.console.account import memberships, security
from app.database.paging import Paging
from app.orgs.regions import search_regions
from tests.acts import add_member, certify, get_body
from tests.console.conftest import ORIGIN, sign_in_to_console, sign_in_to_phone
from tests.console.desk import OpenDesk, normalize_text
from tests.members.sheets import upload, xlsx
from tests.people import People, fresh_org_name

_ADD_MESSAGES = text(
    "INSERT INTO messages (user_id, kind, org_id) SELECT :user_id, 'org-closed', :org_id FROM generate_series(1, 60)"
)


async def test_second_page_of_messages_on_the_phone_shows_the_rest(
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
    # The newest message tells of the sign-in on this device.
    assert (first.count('<section class="card">'), second.count('<section class="card">')) == (50, 11)
    assert "下一页" not in second


_ADD_KEYS = text(
    "INSERT INTO security_keys (user_id, name, credential_id, public_key, sign_count) "
    "SELECT :user_id, '密钥' || number, uuid_send(gen_random_uuid()), '', 0 FROM generate_series(1, 3) AS number"
)


async def test_second_pages_of_devices_keys_and_blocked_orgs_show_the_rest(
    visitor: httpx.AsyncClient, people: People, db: AsyncConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    for pages in (security, memberships):
        monkeypatch.setattr(pages, "_FIRST_PAGE", Paging(2, None))
    person, admin = await people.register(), await people.register()
    for _ in range(3):
        org = await admin.create_org()
        await add_member(admin, org, name=person.name, phone=person.phone)
        get_body(await person.put(f"/v1/me/blocked-orgs/{org['id']}"), 204)
    await db.execute(_ADD_KEYS, {"user_id": UUID(person.user_id)})
    await db.commit()
    await sign_in_to_console(visitor, person)
    await people.register(phone=person.phone, name=person.name, verified=False, party=False)
    lists = (
        ("/console/security", "cursor", "/console/security/sessions/{}/end"),
        ("/console/security", "key_cursor", "/console/security/keys/{}/name"),
        ("/console/memberships", "blocked_cursor", "/console/memberships/{}/block/removal"),
    )
    for page, cursor, action in lists:
        first = (await visitor.get(page)).text
        (more,) = re.findall(rf'href="({page}\?{cursor}=[^"#]+)', first)
        second = (await visitor.get(more)).text
        ids = [set(re.findall(action.format("([0-9a-f-]{36})"), shown)) for shown in (first, second)]
        assert (len(ids[0]), len(ids[1]), len(ids[0] | ids[1])) == (2, 1, 3), page
        if cursor != "key_cursor":
            dialog = await visitor.get(action.format(*ids[1]), headers={"HX-Request": "true"})
            assert dialog.status_code == 200


async def test_second_page_of_imports_shows_the_earlier_ones(people: People, open_desk: OpenDesk) -> None:
    admin = await people.register()
    org = await admin.create_org()
    for number in range(12):
        get_body(await upload(admin, org["id"], xlsx([]), f"名单{number}.xlsx"), 202)
    desk = await open_desk(admin)
    shown = await desk.page(f"/console/orgs/{org['id']}/imports/history?limit=10")
    assert "名单1.xlsx" not in shown
    (more,) = re.findall(r'hx-get="([^"]+cursor=[^"]+)"', shown)
    assert {"名单0.xlsx", "名单1.xlsx"} <= set(re.findall(r">(名单\d+.xlsx)<", await desk.page(more)))


async def test_search_with_more_orgs_than_a_page_says_that_there_are_more(people: People, open_desk: OpenDesk) -> None:
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


async def test_search_of_regions_says_how_many_more_there_are_and_pages_show_all(
    people: People, open_desk: OpenDesk
) -> None:
    admin = await people.register()
    org = await admin.create_org()
    desk = await open_desk(admin)
    expected = [region.code for region in search_regions("新华")]
    address: str | None = f"/console/orgs/{org['id']}/regions?region=新华"
    seen: list[str] = []
    while address is not None:
        part = await desk.part(address)
        seen += re.findall(r'name="region_code" value="(\d+)"', part)
        more = re.search(r'hx-get="([^"]+)"[^>]*>还有 ([\d,]+) 个，显示更多', part)
        assert int(more[2].replace(",", "") if more else 0) == len(expected) - len(seen)
        address = more[1] if more else None
    assert seen == expected


async def test_region_that_was_chosen_among_later_ones_stays_chosen_in_a_form_shown_again(
    people: People, open_desk: OpenDesk
) -> None:
    admin = await people.register()
    org = await admin.create_org()
    desk = await open_desk(admin)
    later = search_regions("新华")[40].code
    at = f"/console/orgs/{org['id']}/certification/mergers"
    shown = await desk.send(at, 422, org_name="", region="新华", region_code=later)
    assert re.findall(r'name="region_code" value="(\d+)" checked', shown) == [later]
    assert "还有" in shown


async def test_pages_of_regions_on_the_phone_show_all_regions(visitor: httpx.AsyncClient, people: People) -> None:
    await sign_in_to_phone(visitor, await people.register())
    regions = normalize_text((await visitor.get("/phone/regions", params={"region": "新华"})).text)
    (more,) = re.findall(r'hx-get="(/phone/regions[^"]+)"', regions)
    assert "显示更多" in (await visitor.get(more)).text
    wrong = await visitor.post("/phone/orgs", data={"name": "", "region": "新华"}, headers=ORIGIN)
    assert "显示更多" in wrong.text


async def test_pages_of_the_ranking_on_the_phone_show_all_people(
    visitor: httpx.AsyncClient, people: People, no_stored_days: None
) -> None:
    admin = await people.register()
    org = await admin.create_org()
    names = {admin.name} | {(await add_member(admin, org, name=f"学员{number}"))["name"] for number in "甲乙丙丁"}
    await sign_in_to_phone(visitor, admin)
    page = normalize_text((await visitor.get(f"/phone/orgs/{org['id']}/ranking?limit=2")).text)
    (later,) = re.findall(r'href="(\?by=[^"]+cursor=[^"]+)"', page)
    rest = normalize_text((await visitor.get(f"/phone/orgs/{org['id']}/ranking{later}")).text)
    first, others = (set(re.findall(r'<th scope="row"> (\S+)', shown)) for shown in (page, rest))
    assert len(first) == 2
    assert (first | others, first & others) == (names, set())


async def test_pages_of_memberships_on_the_phone_show_all_memberships(
    visitor: httpx.AsyncClient, people: People
) -> None:
    admin, learner = await people.register(), await people.register()
    orgs = [await admin.create_org() for _ in range(2)]
    for org in orgs:
        await add_member(admin, org, name=learner.name, phone=learner.phone)
    await sign_in_to_phone(visitor, learner)
    first = normalize_text((await visitor.get("/phone/memberships?limit=1")).text)
    (more,) = re.findall(r'href="(\?cursor=[^"]+)"', first)
    second = normalize_text((await visitor.get(f"/phone/memberships{more}")).text)
    for page, (shown, absent) in ((first, orgs), (second, reversed(orgs))):
        assert shown["name"] in page
        assert absent["name"] not in page
