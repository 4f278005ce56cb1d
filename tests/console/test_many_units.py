"""Pages of an org with more units than a form or the tree shows at once: nothing that is not shown is changed."""

import re
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.acts import Json, add_member, add_unit, get_body
from tests.console.conftest import OpenScreen, SignIn
from tests.console.desk import Desk, OpenDesk
from tests.people import People, Person

_ADD_UNITS = text(
    "INSERT INTO units (org_id, name, kind, position) "
    "SELECT :org_id, '支部' || n, 'branch', n FROM generate_series(1, :count) AS n"
)
_FIND = text("SELECT id FROM units WHERE org_id = :org_id AND name = :name")


class Scene:
    """An org with many units directly under it. The last of them has one unit under it, and a person in it."""

    def __init__(self, admin: Person, org: Json, units: dict[str, str], member: Json) -> None:
        self.admin, self.org, self.units, self.member = admin, org, units, member
        self.at = f"/console/orgs/{org['id']}"

    async def list_units(self) -> set[str]:
        found = get_body(await self.admin.get(f"/v1/orgs/{self.org['id']}/members/{self.member['id']}"))
        return {unit["name"] for unit in found["units"]} | ({"org"} if found["at_org"] else set())


async def create_scene(people: People, engine: AsyncEngine, count: int) -> Scene:
    admin = await people.register()
    org = await admin.create_org()
    units = {}
    async with engine.begin() as db:
        await db.execute(_ADD_UNITS, {"org_id": UUID(org["id"]), "count": count})
        for name in ("支部1", "支部2", f"支部{count}"):
            found = await db.scalar(_FIND, {"org_id": UUID(org["id"]), "name": name})
            units[name] = str(found)
    units["last"] = units[f"支部{count}"]
    below = await add_unit(admin, org, "末支部", {"id": units["last"]})
    units["below"] = below["id"]
    member = await add_member(admin, org, {"id": units["last"]}, {"id": units["支部2"]}, name="解晓东")
    return Scene(admin, org, units, member)


def read_fields(form: str, name: str) -> list[str]:
    """Return the values of a form's field that a browser sends: hidden ones and ticked ones."""
    inputs = re.findall(rf'<input type="(\w+)" name="{name}" value="([^"]*)"([^>]*)>', form)
    return [value for kind, value, more in inputs if kind == "hidden" or "checked" in more]


@pytest.fixture(scope="module")
async def scene(people: People, engine: AsyncEngine) -> Scene:
    return await create_scene(people, engine, 5000)


@pytest.fixture
async def desk(scene: Scene, open_desk: OpenDesk) -> Desk:
    return await open_desk(scene.admin)


async def test_units_of_a_person_saved_untouched_stay_and_only_what_is_ticked_changes(scene: Scene, desk: Desk) -> None:
    address = f"{scene.at}/members/{scene.member['id']}/units"
    last = next(name for name, unit in scene.units.items() if unit == scene.units["last"])
    form = await desk.part(address)
    fields = {name: read_fields(form, name) for name in ("unit_id", "had", "version")}
    assert set(fields["unit_id"]) == set(fields["had"]) == {scene.units["last"], scene.units["支部2"]}
    await desk.next(address, **fields)
    assert await scene.list_units() == {last, "支部2"}
    form = await desk.part(address)
    fields["version"] = read_fields(form, "version")
    # A unit that came in after the form was opened is not among those that it had.
    fields |= {"had": [scene.units["支部2"]], "unit_id": [scene.units["支部1"]]}
    await desk.next(address, **fields)
    assert await scene.list_units() == {last, "支部1"}


async def test_renamed_unit_under_the_last_unit_stays_there(scene: Scene, desk: Desk) -> None:
    address = f"{scene.at}/units/{scene.units['below']}"
    form = await desk.part(f"{address}/form")
    assert read_fields(form, "parent_id") == [scene.units["last"]]
    fields = {name: read_fields(form, name) for name in ("parent_id", "version")}
    await desk.send(address, name="改名支部", kind="branch", **fields)
    await desk.send(address, name="又改名支部", kind="branch")
    unit = f"/v1/orgs/{scene.org['id']}/units/{scene.units['below']}"
    changed = get_body(await scene.admin.get(unit))
    assert (changed["name"], changed["parent_id"]) == ("又改名支部", scene.units["last"])


async def test_picker_says_how_many_more_and_leads_to_every_unit(scene: Scene, desk: Desk) -> None:
    part = await desk.part(f"{scene.at}/members/new")
    seen: list[str] = []
    total = None
    for _ in range(40):
        seen += re.findall(r'name="unit_id" value="([^"]+)"', part)
        left = re.search(r"还有 ([\d,]+) 个", part)
        if left is None:
            break
        total = total or len(seen) + int(left[1].replace(",", ""))
        (address,) = re.findall(r'class="link" hx-get="([^"]+)"', part)
        part = await desk.part(address)
    assert len(seen) == len(set(seen)) == total
    assert {scene.units["last"], scene.units["below"]} <= set(seen)
    found = await desk.part(
        f"{scene.at}/unit-choices?name=unit_id&kind=checkbox&wanted=支部5000&unit_id={scene.units['支部1']}"
    )
    assert re.findall(r'value="([^"]+)"', found) == [scene.units[name] for name in ("支部1", "last", "below")]
    assert read_fields(found, "unit_id") == [scene.units["支部1"]]


async def test_tree_says_how_many_more_and_leads_to_every_unit(scene: Scene, desk: Desk) -> None:
    part = await desk.page(f"{scene.at}/members")
    seen: list[str] = []
    for _ in range(12):
        seen += re.findall(r'hx-get="[^"]+/members\?unit=([0-9a-f-]{36})"', part)
        more = re.findall(r'hx-get="([^"]+after=[^"]+)"', part)
        if not more:
            break
        assert "个，显示更多" in part
        part = await desk.part(more[0])
    assert len(seen) == len(set(seen))
    assert scene.units["last"] in seen


async def test_more_people_than_one_act_takes_are_refused(scene: Scene, desk: Desk) -> None:
    members = [str(UUID(int=number)) for number in range(501)]
    sent = await desk.post(f"{scene.at}/selection", act="copy", member_id=members)
    assert sent.status_code == 422
    assert "一次最多选择 500 项" in sent.text


@pytest.mark.browser
async def test_searched_and_ticked_units_stay_ticked_in_a_browser(
    people: People, engine: AsyncEngine, open_screen: OpenScreen, signed_in: SignIn
) -> None:
    scene = await create_scene(people, engine, 1010)
    async with open_screen() as desk:
        page = desk.page
        await signed_in(desk, scene.admin)
        await desk.go(f"{scene.at}/members")
        await page.click("button.name:text-is('解晓东')")
        await page.click("#drawer button:text-is('选择组织')")
        await page.wait_for_selector("#choices-list input:checked >> nth=1")
        await page.fill("#choices-filter", "支部999")
        await page.check("#choices-list label:has-text('支部999') input")
        await page.fill("#choices-filter", "末")
        await page.check("#choices-list label:has-text('支部1010/末支部') input")
        await page.uncheck("#choices-list label:has-text('支部2') input")
        await page.fill("#choices-filter", "")
        await page.click("#choices-list button:has-text('显示更多')")
        await page.wait_for_selector("#choices-list label:text-is('支部399')")
        assert await page.locator("#choices-list input:checked").count() == 3
        await page.click("#drawer button:text-is('保存')")
        await page.wait_for_selector("#drawer h2:text-is('解晓东')")
        assert await scene.list_units() == {"支部1010", "支部999", "末支部"}
