"""Units inside an org (S7, S10, S11)."""

from tests.people import People


async def test_nested_units_are_listed_with_their_paths(people: People) -> None:
    founder = await people.register()
    org = await founder.create_org()
    units = f"/v1/orgs/{org['id']}/units"
    general = await founder.post(units, json={"name": "机关党总支", "kind": "general-branch"})
    branch = await founder.post(units, json={"name": "第一支部", "parent_id": general.json()["id"]})
    assert branch.status_code == 201
    assert branch.json()["path"] == "机关党总支/第一支部"
    first = (await founder.get(units, params={"limit": 1})).json()
    assert [item["path"] for item in first["items"]] == ["机关党总支"]
    second = (await founder.get(units, params={"limit": 1, "cursor": first["next_cursor"]})).json()
    assert [item["path"] for item in second["items"]] == ["机关党总支/第一支部"]
    assert second["next_cursor"] is None


async def test_unit_with_a_sibling_name_is_refused(people: People) -> None:
    founder = await people.register()
    org = await founder.create_org()
    units = f"/v1/orgs/{org['id']}/units"
    assert (await founder.post(units, json={"name": "第一支部"})).status_code == 201
    assert (await founder.post(units, json={"name": "第一支部"})).json()["type"] == "/problems/unit-name-taken"


async def test_unit_name_that_differs_only_in_form_is_refused(people: People) -> None:
    founder = await people.register()
    org = await founder.create_org()
    units = f"/v1/orgs/{org['id']}/units"
    created = (await founder.post(units, json={"name": "第\u2f00支部 [Ａ区]"})).json()
    assert created["name"] == "第一支部（A区）"
    for same in ("第一支部(A区)", "第 一 支部【a区】", "第一支部（Ａ区）"):
        assert (await founder.post(units, json={"name": same})).json()["type"] == "/problems/unit-name-taken", same
    other = (await founder.post(units, json={"name": "第一支部"})).json()
    renamed = await founder.patch(f"{units}/{other['id']}", json={"name": "第一支部(a区)"})
    assert (renamed.status_code, renamed.json()["type"]) == (409, "/problems/unit-name-taken")
    own = await founder.patch(f"{units}/{created['id']}", json={"name": "第一支部(a区)"})
    assert own.json()["name"] == "第一支部（a区）"


async def test_unit_name_with_a_private_use_character_is_stored_as_the_real_one_or_refused(people: People) -> None:
    founder = await people.register()
    org = await founder.create_org()
    units = f"/v1/orgs/{org['id']}/units"
    assert (await founder.post(units, json={"name": "张\ue863村支部"})).json()["name"] == "张䶮村支部"
    assert (await founder.post(units, json={"name": "张\ue000村支部"})).status_code == 422


async def test_unit_parent_of_another_org_is_unknown(people: People) -> None:
    founder = await people.register()
    own, other = await founder.create_org(), await founder.create_org()
    foreign = await founder.post(f"/v1/orgs/{other['id']}/units", json={"name": "第一支部"})
    refused = await founder.post(
        f"/v1/orgs/{own['id']}/units", json={"name": "第二支部", "parent_id": foreign.json()["id"]}
    )
    assert (refused.status_code, refused.json()["type"]) == (422, "/problems/unknown-unit")


async def test_units_of_other_orgs_are_not_found(people: People) -> None:
    founder, stranger = await people.register(), await people.register()
    org = await founder.create_org()
    assert (await stranger.get(f"/v1/orgs/{org['id']}/units")).status_code == 404
    assert (await stranger.post(f"/v1/orgs/{org['id']}/units", json={"name": "第一支部"})).status_code == 404


async def test_invalid_cursor_is_refused(people: People) -> None:
    founder = await people.register()
    org = await founder.create_org()
    for cursor in ("x", "AAAA", "bnVsbA", "WyJcdTAwMDAiLCIwMDAwMDAwMC0wMDAwLTcwMDAtODAwMC0wMDAwMDAwMDAwMDAiXQ"):
        answer = await founder.get(f"/v1/orgs/{org['id']}/units", params={"cursor": cursor})
        assert answer.status_code == 422
