"""S3 Naming · 命名"""

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.acts import Json, get_body, get_refusal
from tests.people import People, Person, fresh_org_name
from tests.rules.world import World


async def check_name(person: Person, name: str, kind: str = "party") -> Json:
    body = {"name": name, "region_code": "320102", "kind": kind}
    checked: Json = get_body(await person.post("/v1/name-checks", json=body))
    return checked


async def try_name(person: Person, name: str, kind: str = "party") -> tuple[int, str]:
    body = {"name": name, "region_code": "320102", "kind": kind}
    return get_refusal(await person.post("/v1/orgs", json=body))


async def test_full_name_of_a_party_org_gets_neither_errors_nor_advice(world: World) -> None:
    """A name is the party organisation's full name."""
    checked = await check_name(world.stranger, fresh_org_name())
    assert checked == {"errors": [], "advice": []}


async def test_name_above_twenty_characters_gets_a_shorter_one_as_advice(world: World) -> None:
    """More than 20 characters gives advice to shorten it."""
    assert (await check_name(world.stranger, f"中共{'测' * 15}委员会"))["advice"] == []
    checked = await check_name(world.stranger, "中国共产党中国石化集团南京化学工业有限公司委员会")
    assert [(advice["code"], advice["proposed_name"]) for advice in checked["advice"]] == [
        ("name-long", "中国石化集团南京化学工业有限公司党委")
    ]
    assert checked["errors"] == []


async def test_short_name_gets_the_advice_to_type_the_full_name(world: World) -> None:
    """A short name that does not say whose org it is gives advice to type the full name."""
    for name in ("第一党支部", "张三"):
        checked = await check_name(world.stranger, name)
        assert (checked["errors"], [advice["code"] for advice in checked["advice"]]) == ([], ["name-short"])


@pytest.mark.parametrize(
    ("name", "kind"),
    [("江苏省统战部", "outside-party"), ("党外人士学习组织", "outside-party"), ("江苏省党外人士学习组织", "party")],
)
async def test_name_and_kind_that_do_not_agree_are_refused(world: World, name: str, kind: str) -> None:
    """An org for people outside the party is named 〈administrative body〉+党外人士学习组织 (422
    `name-kind-mismatch`).
    """
    assert await try_name(world.stranger, name, kind) == (422, "name-kind-mismatch")
    assert (await check_name(world.stranger, "江苏省党外人士学习组织", "outside-party"))["errors"] == []


async def test_typed_suffix_is_refused_and_a_loaded_one_remains(people: People, db: AsyncConnection) -> None:
    """The suffix 学习管理组 is not typed in any spelling (422 `name-suffix-typed`), but an org that has it keeps it."""
    founder = await people.register()
    org = await founder.create_org()
    typed = f"{fresh_org_name()}学习管理组"
    for spelling in (typed, f"{org['name']}（学习 管理组）", f"{org['name']}學習管理組。"):
        assert await try_name(founder, spelling) == (422, "name-suffix-typed")
    legacy = f"{org['name']}学习管理组"
    await db.execute(text("UPDATE orgs SET name = :name WHERE id = :id"), {"name": legacy, "id": org["id"]})
    edited = get_body(await founder.patch(f"/v1/orgs/{org['id']}", json={"name": legacy, "region_code": "320100"}))
    assert (edited["name"], edited["region_code"]) == (legacy, "320100")
    assert get_refusal(await founder.patch(f"/v1/orgs/{org['id']}", json={"name": typed})) == (422, "name-suffix-typed")


@pytest.mark.parametrize("character", ["\u202e", "\x00"])
async def test_control_character_in_a_name_is_refused(world: World, character: str) -> None:
    """Control characters are refused (422 `name-unshowable`)."""
    assert await try_name(world.stranger, f"中共{character}南京市委") == (422, "name-unshowable")


async def test_name_check_keeps_errors_and_advice_apart_and_creates_nothing(world: World) -> None:
    """A name can be checked without creating anything; the answer keeps errors and advice apart."""
    typed = await check_name(world.stranger, "中共南京市委学习管理组")
    assert ([error["code"] for error in typed["errors"]], typed["advice"]) == (["name-suffix-typed"], [])
    used = await check_name(world.stranger, world.org["name"])
    assert (used["errors"], [advice["code"] for advice in used["advice"]]) == ([], ["name-exists"])
    assert get_body(await world.stranger.get("/v1/me/orgs"))["items"] == []
