"""Editing, closing and finding orgs over HTTP (S2, S3, S5)."""

import asyncio

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from app.orgs import queries
from tests.acts import add_admin, certify, get_body, get_refusal, invite, list_actions, list_all, send_application
from tests.people import People, fresh_org_name


async def test_rename_without_a_superior_takes_effect_at_once(people: People) -> None:
    founder = await people.register()
    org = await founder.create_org()
    name = fresh_org_name()
    answer = await founder.patch(f"/v1/orgs/{org['id']}", json={"name": name, "region_code": "320100"})
    edited = get_body(answer)
    assert (edited["name"], edited["region_code"], edited["level"]) == (name, "320100", "city")
    assert "change_request_id" in edited
    assert edited["change_request_id"] is None
    assert answer.headers["ETag"] == f'"{edited["version"]}"'
    assert get_body(await founder.get(f"/v1/orgs/{org['id']}"))["name"] == name
    assert {"org.renamed", "org.updated"} <= set(await list_actions(founder, org))


async def test_rename_under_a_superior_waits_and_other_edits_take_effect(people: People) -> None:
    superior_admin, founder = await people.register(), await people.register()
    superior, org = await superior_admin.create_org(), await founder.create_org()
    await certify(superior_admin, superior, founder, org)
    name = fresh_org_name()
    answer = await founder.patch(f"/v1/orgs/{org['id']}", json={"name": name, "region_code": "320100"})
    waiting = get_body(answer, 202)
    assert (waiting["name"], waiting["region_code"]) == (org["name"], "320100")
    received = (await list_all(superior_admin, f"/v1/orgs/{superior['id']}/change-requests", side="received"))[0]
    assert (received["id"], received["name_after"]) == (waiting["change_request_id"], name)
    get_body(await superior_admin.put(f"/v1/orgs/{superior['id']}/change-requests/{received['id']}/approval"))
    assert get_body(await founder.get(f"/v1/orgs/{org['id']}"))["name"] == name
    assert [item["name"] for item in await list_all(superior_admin, f"/v1/orgs/{superior['id']}/subordinates")] == [
        name
    ]


async def test_org_edit_with_an_old_etag_is_refused(people: People) -> None:
    founder, other = await people.register(), await people.register()
    org = await founder.create_org()
    await add_admin(founder, org, other)
    path = f"/v1/orgs/{org['id']}"
    tag = (await founder.get(path)).headers["ETag"]
    get_body(await other.patch(path, json={"region_code": "320100"}, headers={"If-Match": tag}))
    stale = await founder.patch(path, json={"region_code": "320000"}, headers={"If-Match": tag})
    assert get_refusal(stale) == (412, "edited-meanwhile")
    assert get_body(await founder.get(path))["region_code"] == "320100"
    assert get_refusal(await founder.put(f"{path}/closure", headers={"If-Match": tag})) == (412, "edited-meanwhile")


async def test_concurrent_edits_of_one_version_succeed_once(people: People) -> None:
    founder = await people.register()
    org = await founder.create_org()
    names = [fresh_org_name() for _ in range(10)]
    headers = {"If-Match": f'"{org["version"]}"'}
    answers = await asyncio.gather(
        *(founder.patch(f"/v1/orgs/{org['id']}", json={"name": name}, headers=headers) for name in names)
    )
    assert sorted(answer.status_code for answer in answers) == [200] + [412] * 9
    new_name = next(name for name, answer in zip(names, answers, strict=True) if answer.status_code == 200)
    assert get_body(await founder.get(f"/v1/orgs/{org['id']}"))["name"] == new_name


async def test_certification_changes_the_version_of_the_card(people: People) -> None:
    superior_admin, founder = await people.register(), await people.register()
    superior, org = await superior_admin.create_org(), await founder.create_org()
    tag = (await founder.get(f"/v1/orgs/{org['id']}")).headers["ETag"]
    await certify(superior_admin, superior, founder, org)
    stale = await founder.patch(f"/v1/orgs/{org['id']}", json={"name": fresh_org_name()}, headers={"If-Match": tag})
    assert get_refusal(stale) == (412, "edited-meanwhile")


@pytest.mark.parametrize(
    ("body", "status", "slug"),
    [
        ({"name": "中共南京市委学习管理组"}, 422, "name-suffix-typed"),
        ({"name": "南京市党外人士学习组织"}, 422, "name-kind-mismatch"),
        ({"name": "中共\u202e南京市委"}, 422, "name-unshowable"),
        ({"region_code": "999999"}, 422, "unknown-region"),
        ({"kind": "outside-party"}, 422, "invalid"),
    ],
)
async def test_invalid_org_edit_is_refused_and_changes_nothing(
    people: People, body: dict[str, str], status: int, slug: str
) -> None:
    founder = await people.register()
    org = await founder.create_org()
    assert get_refusal(await founder.patch(f"/v1/orgs/{org['id']}", json=body)) == (status, slug)
    assert get_body(await founder.get(f"/v1/orgs/{org['id']}"))["version"] == org["version"]


async def test_name_that_already_has_the_forbidden_suffix_is_accepted_unchanged(
    people: People, engine: AsyncEngine
) -> None:
    founder = await people.register()
    org = await founder.create_org()
    legacy = f"{org['name']}学习管理组"
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE orgs SET name = :name WHERE id = :id"), {"name": legacy, "id": org["id"]})
    path = f"/v1/orgs/{org['id']}"
    edited = get_body(await founder.patch(path, json={"name": legacy, "region_code": "320100"}))
    assert (edited["name"], edited["region_code"]) == (legacy, "320100")
    other = await founder.patch(path, json={"name": f"{fresh_org_name()}学习管理组"})
    assert get_refusal(other) == (422, "name-suffix-typed")
    assert get_body(await founder.patch(path, json={"name": org["name"]}))["name"] == org["name"]


async def test_rename_to_a_sibling_name_is_refused_at_request_and_approval(people: People) -> None:
    superior_admin, founder = await people.register(), await people.register()
    superior = await superior_admin.create_org()
    first, second = await founder.create_org(), await founder.create_org()
    for org in (first, second):
        await certify(superior_admin, superior, founder, org)
    taken = await founder.patch(f"/v1/orgs/{second['id']}", json={"name": first["name"]})
    assert get_refusal(taken) == (409, "sibling-name-taken")
    # Both requests are allowed while the name is free. The first approval takes the name.
    name = fresh_org_name()
    requests = [
        get_body(await founder.patch(f"/v1/orgs/{org['id']}", json={"name": name}), 202) for org in (first, second)
    ]
    answers = await asyncio.gather(
        *(
            superior_admin.put(f"/v1/orgs/{superior['id']}/change-requests/{request['change_request_id']}/approval")
            for request in requests
        )
    )
    assert sorted(answer.status_code for answer in answers) == [200, 409]
    assert {get_refusal(answer) for answer in answers if answer.status_code == 409} == {(409, "sibling-name-taken")}


async def test_closed_org_can_be_read_but_not_changed(people: People) -> None:
    superior_admin, founder, applicant = [await people.register() for _ in range(3)]
    superior, org, subordinate = (
        await superior_admin.create_org(),
        await founder.create_org(),
        await applicant.create_org(),
    )
    await certify(superior_admin, superior, founder, org)
    waiting = get_body(await send_application(applicant, subordinate, (await invite(founder, org))["token"]), 201)
    live = await invite(founder, org)
    path = f"/v1/orgs/{org['id']}"
    directory = get_body(await founder.post(f"{path}/members/exports", json={}), 202)
    closed = get_body(await founder.put(f"{path}/closure"))
    assert (closed["status"], closed["superior_id"]) == ("closed", None)
    assert closed["closed_at"] is not None

    assert await list_all(superior_admin, f"/v1/orgs/{superior['id']}/subordinates") == []
    history = await list_all(founder, f"{path}/certifications")
    assert [item["state"] for item in history] == ["ended"]
    refused = (await list_all(applicant, f"/v1/orgs/{subordinate['id']}/certifications"))[0]
    assert (refused["id"], refused["state"]) == (waiting["id"], "declined")
    assert get_refusal(await send_application(applicant, subordinate, live["token"])) == (404, "invitation-unknown")
    for method, place, body in (
        ("PATCH", "", {"region_code": "320100"}),
        ("POST", "/units", {"name": "第一支部"}),
        ("POST", "/invitations", {}),
        ("POST", "/change-requests", {"kind": "rename", "name": fresh_org_name()}),
        ("DELETE", "/admins/me", None),
    ):
        answer = await founder.request(method, path + place, json=body)
        assert get_refusal(answer) == (409, "org-closed"), place
    assert get_body(await founder.put(f"{path}/closure")) == closed
    for place in ("", "/units", "/admins", "/audit", "/certifications", "/change-requests", "/transfers"):
        get_body(await founder.get(path + place))
    export = get_body(await founder.post(f"{path}/reports/overview/exports", json={}), 202)
    assert get_body(await founder.get(f"{path}/exports/{export['id']}"))["state"] == "waiting"
    assert get_refusal(await founder.get(f"{path}/exports/{directory['id']}")) == (
        404,
        "not-found",
    )  # because the directory is closed
    assert "org.closed" in await list_actions(founder, org)


async def test_closing_an_org_with_subordinates_is_refused(people: People, engine: AsyncEngine) -> None:
    superior_admin, founder = await people.register(), await people.register()
    superior, org = await superior_admin.create_org(), await founder.create_org()
    await certify(superior_admin, superior, founder, org)
    assert get_refusal(await superior_admin.put(f"/v1/orgs/{superior['id']}/closure")) == (409, "org-has-subordinates")
    with pytest.raises(IntegrityError, match="no edges"):
        async with engine.begin() as connection:
            closing = "UPDATE orgs SET status = 'closed', closed_at = now() WHERE id = :id"
            await connection.execute(text(closing), {"id": superior["id"]})


async def test_concurrent_closing_and_approval_succeed_once(people: People) -> None:
    for _ in range(5):
        superior_admin, founder = await people.register(), await people.register()
        superior, org = await superior_admin.create_org(), await founder.create_org()
        application = get_body(
            await send_application(founder, org, (await invite(superior_admin, superior))["token"]), 201
        )
        approved, closed = await asyncio.gather(
            superior_admin.put(f"/v1/orgs/{superior['id']}/applications/{application['id']}/approval"),
            superior_admin.put(f"/v1/orgs/{superior['id']}/closure"),
        )
        assert sorted((approved.status_code, closed.status_code)) == [200, 409]
        card = get_body(await founder.get(f"/v1/orgs/{org['id']}"))
        assert (card["superior_id"] is not None) == (approved.status_code == 200)


@pytest.fixture(params=[queries.MAX_COLLECTED_ORGS, 0])
def both_search_plans(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the test with each of the two search statements: one collects the visible orgs, one scans all orgs."""
    monkeypatch.setattr(queries, "MAX_COLLECTED_ORGS", request.param)


@pytest.mark.usefixtures("both_search_plans")
async def test_search_returns_only_orgs_that_the_user_may_see(people: People) -> None:
    superior_admin, founder, stranger = [await people.register() for _ in range(3)]
    superior, org = await superior_admin.create_org(), await founder.create_org()
    await certify(superior_admin, superior, founder, org)

    async def found(person: object, **params: str) -> set[str]:
        return {item["id"] for item in await list_all(person, "/v1/orgs", **params)}  # type: ignore[arg-type]  # each value is a text

    middle = org["name"][4:-3]  # the characters that are unique to this org
    assert await found(superior_admin) == {superior["id"], org["id"]}
    assert await found(superior_admin, q=middle) == {org["id"]}
    assert await found(founder, q=middle) == {org["id"]}
    assert await found(founder) == {org["id"]}
    assert await found(stranger, q=middle) == set()
    assert await found(stranger) == set()
    get_body(await superior_admin.delete(f"/v1/orgs/{superior['id']}/subordinates/{org['id']}"), 204)
    assert await found(superior_admin, q=middle) == set()


@pytest.mark.usefixtures("both_search_plans")
async def test_search_finds_by_name_pinyin_initials_region_kind_and_status(people: People) -> None:
    founder = await people.register()
    party = await founder.create_org(name="中共重庆市涪陵区委宣传部委员会", region_code="500102")
    outside = await founder.create_org(name="南京市玄武区党外人士学习组织", region_code="320102", kind="outside-party")

    async def found(**params: str) -> list[str]:
        return [item["id"] for item in await list_all(founder, "/v1/orgs", **params)]

    for text_, ids in (
        ("涪", [party["id"]]),
        ("涪陵", [party["id"]]),
        ("区委宣传", [party["id"]]),
        ("zhonggongchongqing", [party["id"]]),
        ("zgcq", [party["id"]]),
        ("chongqing", [party["id"]]),  # the search omits 中共, with which names of party orgs begin
        ("cqsfl", [party["id"]]),
        ("njsxwq", [outside["id"]]),
        ("陵涪", []),
        ("fuling", []),  # pinyin is matched from its beginning
    ):
        assert await found(q=text_) == ids, text_
    assert await found(region_code="500000") == [party["id"]]
    assert await found(region_code="320100") == [outside["id"]]
    assert await found(region_code="320102") == [outside["id"]]
    assert await found(region_code="320104") == []
    assert set(await found(region_code="000000")) == {party["id"], outside["id"]}
    assert await found(kind="outside-party") == [outside["id"]]
    assert await found(status="closed") == []
    get_body(await founder.put(f"/v1/orgs/{party['id']}/closure"))
    assert await found(status="closed") == [party["id"]]
    assert await found() == [outside["id"]]


@pytest.mark.usefixtures("both_search_plans")
async def test_search_pages_contain_each_org_once(people: People) -> None:
    founder = await people.register()
    orgs = [(await founder.create_org())["id"] for _ in range(7)]
    items = await list_all(founder, "/v1/orgs", limit=3)
    assert sorted(item["id"] for item in items) == sorted(orgs)
    assert [item["name"] for item in items] == sorted(item["name"] for item in items)
