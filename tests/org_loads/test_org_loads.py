"""Loading the orgs of an old system over HTTP: preview, confirmation, the orgs, their edges and offers."""

import asyncio

import pytest
from sqlalchemy import text as sql
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.acts import add_member, get_body, get_refusal, list_actions, list_all
from tests.org_loads.loads import (
    HEADER,
    LOADS,
    Work,
    check,
    confirm,
    list_outcomes,
    list_rows,
    load_orgs,
    make_csv,
    read,
    upload,
)
from tests.people import People, Person, fresh_name, fresh_org_name, fresh_phone


async def test_load_creates_the_tree_of_the_sheet_and_offers_it_to_the_main_admins(
    people: People, operator: Person, worker: Work
) -> None:
    top, middle = fresh_org_name(), fresh_org_name() + "学习管理组"
    admin = await people.register()
    late_phone, late_name = fresh_phone(), fresh_name()
    rows = [
        ("村级" + middle, "320102", f"{top}/{middle}"),
        (middle, "江苏省南京市玄武区", top, "党组织", "", late_name, late_phone),
        (top, "320100", "", "", "A1", admin.name, admin.phone),
    ]
    load = await check(operator, worker, rows)
    assert (load["state"], load["preview"], load["to_create"], load["rows_total"]) == ("ready", 1, 3, 3)
    preview = await list_rows(operator, load)
    assert [(row["row_no"], row["outcome"], row["superior_row"]) for row in preview] == [
        (2, "create", 3),
        (3, "create", 4),
        (4, "create", None),
    ]
    assert [row["region_code"] for row in preview] == ["320102", "320102", "320100"]
    assert [one["code"] for one in preview[0]["warnings"]] == ["admin-missing"]
    assert {row["org_id"] for row in preview} == {None}

    load = await confirm(operator, worker, load)
    assert (load["state"], load["created"], load["to_create"], load["rows_done"]) == ("done", 3, 0, 3)
    below, between, above = [row["org_id"] for row in await list_rows(operator, load)]

    # Nobody administers the orgs before the named person accepts.
    offers = {offer["org_id"]: offer["id"] for offer in await list_all(operator, "/v1/operator/recovery-offers")}
    assert {above, between} <= offers.keys()
    assert below not in offers
    assert get_body(await admin.get("/v1/me/orgs"))["items"] == []
    shown = get_body(await admin.get(f"/v1/me/admin-invitations/{offers[above]}"))
    assert (shown["org_name"], shown["recovery"]) == (top, True)
    get_body(await admin.put(f"/v1/me/admin-invitations/{offers[above]}/acceptance"))
    card = get_body(await admin.get(f"/v1/orgs/{above}"))
    assert (card["name"], card["main_admin_id"], card["superior_id"]) == (top, admin.user_id, None)
    assert [one["id"] for one in await list_all(admin, f"/v1/orgs/{above}/subordinates")] == [between]
    assert get_body(await admin.get(f"/v1/orgs/{between}"))["main_admin_id"] is None
    assert get_body(await admin.get(f"/v1/orgs/{below}"))["superior_id"] == between
    org = {"id": above}
    await add_member(admin, org)
    actions = await list_actions(admin, org)
    assert actions.count("certification.created") == 1
    assert {"org.created", "recovery.offered", "org.recovered", "admin.added"} <= set(actions)

    # A person of another name with the phone is not the person of the sheet.
    stranger = await people.register(phone=late_phone, name=late_name + "某")
    answer = await stranger.put(f"/v1/me/admin-invitations/{offers[between]}/acceptance")
    assert get_refusal(answer) == (409, "invitee-name-differs")
    # The superior's main admin names another one.
    other = await people.register()
    path = f"/v1/orgs/{above}/subordinates/{between}/recovery-offers"
    offer = get_body(await admin.post(path, json={"phone": other.phone, "reason": "原系统的号码已变"}), 201)
    get_body(await other.put(f"/v1/me/admin-invitations/{offer['id']}/acceptance"))
    assert get_body(await other.get(f"/v1/orgs/{between}"))["main_admin_id"] == other.user_id
    # The operator names one for an org that has a superior and has never had a main admin.
    body = {"org_id": below, "phone": stranger.phone, "reason": "表中没有主管理员"}
    offer = get_body(await operator.post("/v1/operator/recovery-offers", json=body), 201)
    get_body(await stranger.put(f"/v1/me/admin-invitations/{offer['id']}/acceptance"))
    assert get_refusal(await operator.post("/v1/operator/recovery-offers", json=body)) == (404, "not-found")


async def test_same_sheet_again_changes_nothing(operator: Person, worker: Work) -> None:
    top, low = fresh_org_name(), fresh_org_name()
    rows = [(top, "320100"), (low, "320102", top)]
    await load_orgs(operator, worker, rows)
    again = await load_orgs(operator, worker, rows)
    assert (again["created"], again["present"]) == (0, 2)
    moved = await check(operator, worker, [(top, "320100"), (low, "320104", top)])
    warned = [[one["code"] for one in row["warnings"]] for row in await list_rows(operator, moved)]
    assert warned == [[], ["present-differs"]]


async def test_superior_can_be_an_org_by_its_id_name_or_path(people: People, operator: Person, worker: Work) -> None:
    person = await people.register()
    org = await person.create_org(region_code="320100")
    low, lower = fresh_org_name(), fresh_org_name()
    await load_orgs(operator, worker, [(low, "320102", org["id"])])
    twin = await people.register()
    await twin.create_org(name=low, region_code="320104")
    load = await check(
        operator,
        worker,
        [
            (lower, "320102", org["name"]),
            (fresh_org_name(), "320102", f"{org['name']}／{low}"),
            (fresh_org_name(), "320102", low),
            (fresh_org_name(), "320102", f"{low}/{org['name']}"),
            (fresh_org_name(), "320102", "019a0000-0000-7000-8000-000000000000"),
            (fresh_org_name(), "000000", org["id"]),
        ],
    )
    assert await list_outcomes(operator, load) == {
        2: "create",
        3: "create",
        4: ["superior-ambiguous"],
        5: ["superior-unknown"],
        6: ["superior-unknown"],
        7: "create",
    }
    assert (await list_rows(operator, load))[0]["superior_id"] == org["id"]
    assert [one["code"] for one in (await list_rows(operator, load))[5]["warnings"]] == [
        "admin-missing",
        "superior-lower",
    ]
    load = await confirm(operator, worker, load)
    assert (load["created"], load["refused"]) == (3, 3)
    listed = [one["name"] for one in await list_all(person, f"/v1/orgs/{org['id']}/subordinates")]
    assert {low, lower} <= set(listed)


async def test_rows_that_cannot_be_loaded_have_reasons(operator: Person, worker: Work) -> None:
    a, b, c, d = (fresh_org_name() for _ in range(4))
    load = await check(
        operator,
        worker,
        [
            (a, "320100", b),  # 2, 3: a circle
            (b, "320100", a),
            (c, "320100", c),  # 4: its own superior
            (fresh_org_name(), "320100", a),  # 5: under a circle
            (d, "320100"),  # 6, 7: twice at the top of one region
            (d.replace("中共", "中 共"), "320100"),
            (fresh_org_name(), "320100", d),  # 8: which of them?
            (fresh_org_name(), "999999"),
            ("", "320100"),
            ("名" * 101, "320100"),
            ("=HYPERLINK(1)", "320100"),
            ("某\u202e委员会", "320100"),
            (fresh_org_name(), "320100", "", "外星组织"),
            (fresh_org_name(), "320100", "", "党外"),
            (fresh_org_name(), "320100", "", "", "", "张三"),
            (fresh_org_name(), "320100", "", "", "", "张三", "123"),
            (fresh_org_name(), "320100", "", "", "N1"),
            (fresh_org_name(), "320100", "", "", "N1"),
            (fresh_org_name(), "320100", "N1"),
            (fresh_org_name() + "党外人士学习组织", "320100"),
        ],
    )
    assert await list_outcomes(operator, load) == {
        2: ["superior-circle"],
        3: ["superior-circle"],
        4: ["superior-circle"],
        5: ["superior-circle"],
        6: ["sibling-doubled"],
        7: ["sibling-doubled"],
        8: ["superior-ambiguous"],
        9: ["unknown-region"],
        10: ["org-name-missing"],
        11: ["org-name-too-long"],
        12: ["org-name-formula"],
        13: ["name-unshowable"],
        14: ["kind-unreadable"],
        15: ["name-kind-mismatch"],
        16: ["admin-incomplete"],
        17: ["phone-invalid"],
        18: ["number-doubled"],
        19: ["number-doubled"],
        20: ["superior-ambiguous"],
        21: "create",
    }
    related = {row["row_no"]: row["related_rows"] for row in await list_rows(operator, load, outcome="refused")}
    assert (related[6], related[19]) == ([7], [18])


@pytest.mark.parametrize("text", ["\0", "某\x07", "a\u202eb", "\ue000", "'; DROP TABLE orgs; --", "名" * 5000])
async def test_hostile_text_in_any_cell_refuses_its_row_or_is_stored_as_typed(
    operator: Person, worker: Work, text: str
) -> None:
    cells = [(fresh_org_name(), "320102", "", "", "", "", "") for _ in HEADER]
    load = await check(operator, worker, [(*row[:at], text, *row[at + 1 :]) for at, row in enumerate(cells)])
    assert (load["state"], load["rows_total"]) == ("ready", len(HEADER))
    outcomes = await list_outcomes(operator, load)
    # A name and a number may contain such characters; row 4 names row 2 as its superior.
    typed = {2, 4, 6} if "DROP" in text else set()
    assert {row_no for row_no, outcome in outcomes.items() if outcome == "create"} == typed
    sheet = await operator.get(f"{LOADS}/{load['id']}/refused-rows.xlsx")
    again = await upload(operator, sheet.content, "refused-rows.xlsx")
    await worker()
    assert (await read(operator, again))["state"] == "ready"
    done = await confirm(operator, worker, load)
    assert (done["state"], done["created"]) == ("done", len(typed))


async def test_row_under_a_refused_row_is_refused(operator: Person, worker: Work) -> None:
    top, low = fresh_org_name(), fresh_org_name()
    load = await check(operator, worker, [(fresh_org_name(), "320102", low), (low, "320102", top), (top, "1")])
    assert await list_outcomes(operator, load) == {
        2: ["superior-refused"],
        3: ["superior-refused"],
        4: ["unknown-region"],
    }


async def test_refused_rows_can_be_corrected_and_uploaded_again(operator: Person, worker: Work) -> None:
    phone = fresh_phone()
    load = await load_orgs(operator, worker, [(fresh_org_name(), "1", "", "", "", "张三", phone)])
    sheet = await operator.get(f"{LOADS}/{load['id']}/refused-rows.xlsx")
    again = await upload(operator, sheet.content, "refused-rows.xlsx")
    await worker()
    (row,) = await list_rows(operator, again)
    assert [one["code"] for one in row["problems"]] == ["unknown-region"]
    template = await operator.get(f"{LOADS}/template")
    empty = await upload(operator, template.content, "template.xlsx")
    await worker()
    assert (await read(operator, empty))["refusal"]["code"] == "no-rows"


async def test_sheet_of_people_is_refused_with_the_missing_headings(operator: Person, worker: Work) -> None:
    load = await upload(operator, "姓名,手机号码,支部名称\n张三,13800138000,甲\n".encode())
    await worker()
    load = await read(operator, load)
    assert (load["state"], load["refusal"]["code"]) == ("refused", "header-missing")
    assert load["refusal"]["columns"] == ["组织名称", "所在地区代码"]
    assert "组织名称" in load["refusal"]["detail"]


async def test_change_after_the_preview_makes_a_new_preview_and_creates_nothing(
    people: People, operator: Person, worker: Work
) -> None:
    person = await people.register()
    top, low = await person.create_org(region_code="320100"), fresh_org_name()
    rows = [(low, "320102", top["id"]), (fresh_org_name(), "320102", low)]
    first, second = await check(operator, worker, rows), await check(operator, worker, rows)
    await confirm(operator, worker, first)
    stale = await confirm(operator, worker, second)
    assert (stale["state"], stale["preview"], stale["created"], stale["present"]) == ("ready", 2, 0, 2)
    answer = await operator.put(f"{LOADS}/{second['id']}/confirmation", json={"preview": 1})
    assert get_refusal(answer) == (409, "org-load-preview-stale")
    shown = {name: answer.json()[name] for name in ("preview", "to_create", "present", "refused")}
    assert shown == {"preview": 2, "to_create": 0, "present": 2, "refused": 0}
    assert (await confirm(operator, worker, stale))["state"] == "done"


async def test_superior_closed_after_the_preview_refuses_its_rows(
    people: People, operator: Person, worker: Work
) -> None:
    person = await people.register()
    top = await person.create_org()
    load = await check(operator, worker, [(fresh_org_name(), "320102", top["id"]), (fresh_org_name(), "320102")])
    get_body(await person.put(f"/v1/orgs/{top['id']}/closure", json={}, headers={"If-Match": "*"}))
    load = await confirm(operator, worker, load)
    assert (load["state"], load["preview"]) == ("ready", 2)
    assert await list_outcomes(operator, load) == {2: ["superior-gone"], 3: "create"}


async def test_two_operators_confirm_one_sheet_at_once_and_each_org_is_created_once(
    people: People, operator: Person, worker: Work
) -> None:
    person = await people.register()
    top = await person.create_org(region_code="320100")
    names = [fresh_org_name() for _ in range(5)]
    rows = [(name, "320102", top["id"]) for name in names]
    loads = [await check(operator, worker, rows) for _ in range(2)]
    paths = [f"{LOADS}/{load['id']}/confirmation" for load in loads]
    answers = await asyncio.gather(*(operator.put(path, json={"preview": 1}) for path in [*paths, *paths]))
    assert {answer.status_code for answer in answers} == {202}
    await asyncio.gather(worker(), worker())
    await worker()
    assert sorted(one["name"] for one in await list_all(person, f"/v1/orgs/{top['id']}/subordinates")) == sorted(names)
    states = sorted([(await read(operator, load))["state"] for load in loads])
    assert states == ["done", "ready"]


async def test_canceled_load_creates_nothing(operator: Person, worker: Work) -> None:
    load = await check(operator, worker, [(fresh_org_name(), "320102")])
    path = f"{LOADS}/{load['id']}"
    get_body(await operator.put(f"{path}/confirmation", json={"preview": 1}), 202)
    for _ in range(2):
        get_body(await operator.delete(path), 204)
    await worker()
    load = await read(operator, load)
    assert (load["state"], load["created"]) == ("canceled", 0)
    assert get_refusal(await operator.put(f"{path}/confirmation", json={"preview": 1})) == (409, "org-load-not-ready")
    done = await load_orgs(operator, worker, [(fresh_org_name(), "320102")])
    assert get_refusal(await operator.delete(f"{LOADS}/{done['id']}")) == (409, "org-load-settled")


async def test_load_is_not_visible_to_others(people: People, operator: Person, worker: Work) -> None:
    load = await check(operator, worker, [(fresh_org_name(), "320102")])
    person = await people.register()
    path = f"{LOADS}/{load['id']}"
    unknown = f"{LOADS}/019a0000-0000-7000-8000-000000000000"
    for who, at in ((person, path), (operator, unknown)):
        assert get_refusal(await who.get(at)) == (404, "not-found")
        assert get_refusal(await who.get(f"{at}/rows")) == (404, "not-found")
        assert get_refusal(await who.get(f"{at}/refused-rows.xlsx")) == (404, "not-found")
        assert get_refusal(await who.put(f"{at}/confirmation", json={"preview": 1})) == (404, "not-found")
        assert get_refusal(await who.put(f"{at}/reversal", json={})) == (404, "not-found")
        assert get_refusal(await who.delete(at)) == (404, "not-found")
    files = {"file": ("orgs.csv", make_csv([(fresh_org_name(), "320102")]))}
    assert get_refusal(await person.post(LOADS, files=files)) == (404, "not-found")
    assert get_refusal(await operator.post(LOADS, files={"sheet": ("orgs.csv", b"x")})) == (422, "invalid")


async def test_stored_rows_contain_no_phone_in_the_clear(engine: AsyncEngine, operator: Person, worker: Work) -> None:
    phone = fresh_phone()
    load = await check(operator, worker, [(fresh_org_name(), "320102", "", "", "", "张三", phone)])
    async with engine.connect() as db:
        stored = "SELECT r::text FROM org_load_rows AS r WHERE load_id = :id"
        assert phone not in str((await db.execute(sql(stored), {"id": load["id"]})).all())
    await confirm(operator, worker, load)
    async with engine.connect() as db:
        left = "SELECT phone_cipher IS NULL AND cells_cipher IS NULL FROM org_load_rows WHERE load_id = :id"
        assert (await db.execute(sql(left), {"id": load["id"]})).scalar_one()
    assert phone not in str(await list_rows(operator, load))
