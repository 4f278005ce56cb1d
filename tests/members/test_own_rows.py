"""A user's own rows in the directories of orgs: reading them, asking to be removed, blocking an org."""

from tests.acts import add_member, add_unit, get_body, list_all
from tests.people import People

MEMBERSHIPS = "/v1/me/memberships"


async def test_user_sees_the_orgs_and_units_of_their_rows(people: People) -> None:
    admin, other, learner = await people.register(), await people.register(), await people.register()
    org, second = await admin.create_org(), await other.create_org()
    general = await add_unit(admin, org, "机关党总支", kind="general_branch")
    branch = await add_unit(admin, org, "第一支部", parent_id=general["id"])
    await add_member(admin, org, branch, name=learner.name, phone=learner.phone, post="组织委员", probationary=True)
    await add_member(other, second, name=learner.name, phone=learner.phone)
    (first, last) = await list_all(learner, MEMBERSHIPS)
    assert (first["org_id"], first["org_name"], first["name"]) == (org["id"], org["name"], learner.name)
    assert first["units"] == [{"id": branch["id"], "name": "第一支部", "path": "机关党总支/第一支部"}]
    shown = {name: first[name] for name in ("post", "probationary", "party", "at_org", "admin")}
    assert shown == {"post": "组织委员", "probationary": True, "party": True, "at_org": False, "admin": False}
    assert (last["org_id"], last["units"], last["at_org"]) == (second["id"], [], True)
    (of_admin,) = await list_all(admin, MEMBERSHIPS)
    assert (of_admin["org_id"], of_admin["admin"], of_admin["at_org"]) == (org["id"], True, True)


async def test_row_with_the_phone_and_another_name_is_not_shown(people: People) -> None:
    admin, learner = await people.register(), await people.register()
    org = await admin.create_org()
    await add_member(admin, org, name="另一个人", phone=learner.phone)
    assert await list_all(learner, MEMBERSHIPS) == []


async def test_row_that_is_removed_or_whose_org_is_closed_is_not_shown(people: People) -> None:
    admin, learner = await people.register(), await people.register()
    org = await admin.create_org()
    member = await add_member(admin, org, name=learner.name, phone=learner.phone)
    assert len(await list_all(learner, MEMBERSHIPS)) == 1
    await admin.delete(f"/v1/orgs/{org['id']}/members/{member['id']}")
    assert await list_all(learner, MEMBERSHIPS) == []
    get_body(await admin.put(f"/v1/orgs/{org['id']}/closure"))
    assert await list_all(admin, MEMBERSHIPS) == []
