"""S4 Main admin and admins · 主管理员与学习管理员"""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.acts import (
    Json,
    add_admin,
    add_member,
    add_unit,
    certify,
    get_body,
    get_refusal,
    invite,
    send_application,
    send_change_request,
)
from tests.people import People, Person, fresh_phone
from tests.rules.world import World, create_pair, find_main_admin_id


def accept_path(invitation: Json) -> str:
    return f"/v1/me/admin-invitations/{invitation['id']}/acceptance"


async def test_creator_is_the_main_admin(world: World) -> None:
    """The creator is the main admin."""
    assert await find_main_admin_id(world.admin, world.org) == world.main_admin.user_id


async def test_admin_who_is_not_the_main_admin_cannot_add_or_remove_admins_or_request_a_hand_over(world: World) -> None:
    """Only the main admin adds and removes admins (403 `forbidden`) and asks for a hand-over (403
    `main-admin-only`).
    """
    invited = await world.admin.post(f"{world.path}/admin-invitations", json={"phone": fresh_phone()})
    assert get_refusal(invited) == (403, "forbidden")
    removed = await world.admin.delete(f"{world.path}/admins/{world.main_admin.user_id}")
    assert get_refusal(removed) == (403, "forbidden")
    requested = await send_change_request(world.admin, world.org, kind="hand-over", main_admin_id=world.admin.user_id)
    assert get_refusal(requested) == (403, "main-admin-only")


async def test_main_admin_adds_and_removes_admins(people: People) -> None:
    """Only the main admin adds and removes admins (403 `forbidden`) and asks for a hand-over (403
    `main-admin-only`).
    """
    founder, second = await people.register(), await people.register()
    org = await founder.create_org()
    await add_admin(founder, org, second)
    path = f"/v1/orgs/{org['id']}/admins"
    assert [admin["main"] for admin in get_body(await second.get(path))["items"]] == [True, False]
    get_body(await founder.delete(f"{path}/{second.user_id}"), 204)
    assert get_refusal(await second.get(path)) == (404, "not-found")


async def test_other_admin_edits_the_org_its_units_and_people_and_decides(world: World, people: People) -> None:
    """Every other right is the same for all admins."""
    get_body(await world.admin.patch(world.path, json={"region_code": world.org["region_code"]}))
    unit = await add_unit(world.admin, world.org, "其他管理员的支部")
    member = await add_member(world.admin, world.org, unit)
    get_body(await world.admin.delete(f"{world.path}/members/{member['id']}"), 204)
    get_body(await world.admin.delete(f"{world.path}/units/{unit['id']}"), 204)
    applicant = await people.register()
    token = (await invite(world.admin, world.org))["token"]
    application = get_body(await send_application(applicant, await applicant.create_org(), token), 201)
    refusal = f"{world.path}/applications/{application['id']}/refusal"
    assert get_body(await world.admin.put(refusal, json={"reason": "材料不全"}))["state"] == "declined"


async def test_other_admin_resigns_and_the_main_admin_stays(people: People) -> None:
    """Any admin but the main admin may resign (409 `main-admin-stays`)."""
    founder, second = await people.register(), await people.register()
    org = await founder.create_org()
    await add_admin(founder, org, second)
    path = f"/v1/orgs/{org['id']}/admins/me"
    assert get_refusal(await founder.delete(path)) == (409, "main-admin-stays")
    get_body(await second.delete(path), 204)


async def test_invitation_has_the_same_answer_for_verified_unverified_and_unknown_people(people: People) -> None:
    """The verification of an invited person is checked when they accept, so an invitation tells nothing about a
    stranger.
    """
    founder, verified, unverified = (
        await people.register(),
        await people.register(),
        await people.register(verified=False),
    )
    org = await founder.create_org()
    answers = [
        await founder.post(f"/v1/orgs/{org['id']}/admin-invitations", json={"phone": phone})
        for phone in (verified.phone, unverified.phone, fresh_phone())
    ]
    own = {"id": "", "phone": "", "requested_at": "", "expires_at": ""}
    bodies = [get_body(answer, 201) | own for answer in answers]
    assert bodies[0] == bodies[1] == bodies[2]
    get_body(await verified.put(accept_path(answers[0].json())))
    assert get_refusal(await unverified.put(accept_path(answers[1].json()))) == (403, "real-name-required")


async def test_invitation_to_a_member_reaches_the_linked_account_and_not_the_new_user_of_the_number(
    people: People,
) -> None:
    """An invitation to a member is for the account behind the row, and not for the present user of the row's number."""
    founder, person = await people.register(), await people.register()
    org = await founder.create_org()
    path = f"/v1/orgs/{org['id']}"
    old_phone = fresh_phone()
    row = await add_member(founder, org, name=person.name, phone=old_phone)
    request = get_body(await person.post("/v1/me/link-requests", json={"org_id": org["id"]}), 201)
    get_body(await founder.put(f"{path}/link-requests/{request['id']}/acceptance"))
    new_user = await people.register(phone=old_phone)
    invitation = get_body(await founder.post(f"{path}/admin-invitations", json={"member_id": row["id"]}), 201)
    assert get_refusal(await new_user.put(accept_path(invitation))) == (404, "not-found")
    get_body(await person.put(accept_path(invitation)))


async def test_row_without_an_account_is_not_taken_by_a_person_of_another_name(people: People) -> None:
    """A row without an account is not taken by a person of another name (409 `invitee-name-differs`)."""
    founder = await people.register()
    org = await founder.create_org()
    phone = fresh_phone()
    row = await add_member(founder, org, name="张三", phone=phone)
    path = f"/v1/orgs/{org['id']}/admin-invitations"
    invitation = get_body(await founder.post(path, json={"member_id": row["id"]}), 201)
    stranger = await people.register(phone=phone, name="李四")
    assert get_refusal(await stranger.put(accept_path(invitation))) == (409, "invitee-name-differs")
    shown = get_body(await founder.get(f"/v1/orgs/{org['id']}/members/{row['id']}"))
    assert (shown["name"], shown["active"]) == ("张三", False)


async def test_recovery_is_requested_by_any_admin_and_decided_by_the_superior(people: People) -> None:
    """If the main admin is no longer available, any admin requests a recovery and the superior (without one: the
    platform operator) decides.
    """
    superior_admin, superior, founder, org = await create_pair(people)
    second = await people.register()
    await add_admin(founder, org, second)
    request = get_body(await send_change_request(second, org, kind="recovery"), 201)
    assert request["state"] == "pending"
    assert await find_main_admin_id(second, org) == founder.user_id
    get_body(await superior_admin.put(f"/v1/orgs/{superior['id']}/change-requests/{request['id']}/approval"))
    assert await find_main_admin_id(second, org) == second.user_id


async def test_recovery_without_a_superior_is_decided_by_the_operator(people: People, operator: Person) -> None:
    """If the main admin is no longer available, any admin requests a recovery and the superior (without one: the
    platform operator) decides.
    """
    founder, second = await people.register(), await people.register()
    org = await founder.create_org()
    await add_admin(founder, org, second)
    request = get_body(await send_change_request(second, org, kind="recovery"), 201)
    get_body(await operator.put(f"/v1/operator/recoveries/{request['id']}/approval"), 204)
    assert await find_main_admin_id(second, org) == second.user_id


@pytest.mark.parametrize("with_superior", [True, False], ids=["superior", "operator"])
async def test_person_named_for_an_org_without_admins_accepts_and_is_the_main_admin(
    people: People, operator: Person, with_superior: bool
) -> None:
    """If no admin is left who could request it, the superior's main admin (without a superior: the operator) names a
    verified person, who accepts.
    """
    superior_admin, founder, person = [await people.register() for _ in range(3)]
    superior, org = await superior_admin.create_org(), await founder.create_org()
    offer = {"phone": person.phone, "reason": "主管理员已离任"}
    if with_superior:
        await certify(superior_admin, superior, founder, org)
        path = f"/v1/orgs/{superior['id']}/subordinates/{org['id']}/recovery-offers"
        named = get_body(await superior_admin.post(path, json=offer), 201)
    else:
        named = get_body(await operator.post("/v1/operator/recovery-offers", json=offer | {"org_id": org["id"]}), 201)
    assert await find_main_admin_id(founder, org) == founder.user_id
    get_body(await person.put(accept_path(named)))
    assert await find_main_admin_id(person, org) == person.user_id


async def test_recovery_offer_of_org_with_another_active_admin_is_refused(world: World) -> None:
    """While another admin is active, this is refused (409 `admins-left`)."""
    path = f"/v1/orgs/{world.superior['id']}/subordinates/{world.org['id']}/recovery-offers"
    offer = {"phone": world.stranger.phone, "reason": "主管理员已离任"}
    assert get_refusal(await world.superior_admin.post(path, json=offer)) == (409, "admins-left")


async def test_second_main_admin_is_refused_by_the_database(world: World, engine: AsyncEngine) -> None:
    """A second main admin can never exist: the database refuses it."""
    # The main admin is one column of the org, so that a second one has no place, and a person who is no admin is
    # refused there. `tests/proofs` interleaves hand-overs, recoveries and removals.
    for value, refused in ((world.stranger.user_id, "orgs_main_admin_fkey"), (None, "main_admin_id")):
        with pytest.raises(IntegrityError, match=refused):
            async with engine.begin() as db:
                await db.execute(
                    text("UPDATE orgs SET main_admin_id = :user WHERE id = :org"),
                    {"user": value, "org": world.org["id"]},
                )
    mains = [admin["main"] for admin in get_body(await world.admin.get(f"{world.path}/admins"))["items"]]
    assert mains == [True, False]
