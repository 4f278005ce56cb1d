"""The main admin and the admins of an org (S4, S8, S14)."""

import asyncio

import pytest
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.acts import (
    add_admin,
    add_member,
    add_unit,
    certify,
    get_body,
    get_refusal,
    invite_admin,
    list_actions,
    list_all,
)
from tests.auth.operator_accounts import create_operator
from tests.people import People, fresh_org_name, fresh_phone


async def test_invited_person_who_accepts_becomes_an_admin(people: People) -> None:
    founder, second = await people.register(), await people.register()
    org = await founder.create_org()
    invitation = await invite_admin(founder, org, second)
    assert second.phone not in str(invitation)
    assert (await second.get(f"/v1/orgs/{org['id']}")).status_code == 404  # before the acceptance
    shown = get_body(await second.get(f"/v1/me/admin-invitations/{invitation['id']}"))
    assert (shown["org_name"], shown["requested_by"]) == (org["name"], founder.name)
    accepted = get_body(await second.put(f"/v1/me/admin-invitations/{invitation['id']}/acceptance"))
    assert accepted == {"org_id": org["id"], "org_name": org["name"], "advice": []}
    admins = get_body(await second.get(f"/v1/orgs/{org['id']}/admins"))["items"]
    assert [(admin["user_id"], admin["main"]) for admin in admins] == [
        (founder.user_id, True),
        (second.user_id, False),
    ]
    members = await list_all(founder, f"/v1/orgs/{org['id']}/members", at_org=True)
    assert {member["name"] for member in members} == {founder.name, second.name}
    assert {"admin_invitation.created", "admin.added"} <= set(await list_actions(founder, org))
    states = [item["state"] for item in await list_all(founder, f"/v1/orgs/{org['id']}/admin-invitations")]
    assert states == ["accepted"]


async def test_ordinary_admin_can_edit_but_not_manage_admins(people: People) -> None:
    founder, second = await people.register(), await people.register()
    org = await founder.create_org()
    await add_admin(founder, org, second)
    path = f"/v1/orgs/{org['id']}"
    get_body(await second.patch(path, json={"name": fresh_org_name()}))
    await add_unit(second, org, "第一支部")
    assert get_refusal(await second.post(f"{path}/admin-invitations", json={"phone": fresh_phone()})) == (
        403,
        "forbidden",
    )
    assert get_refusal(await second.delete(f"{path}/admins/{founder.user_id}")) == (403, "forbidden")
    waiting = await invite_admin(founder, org, await people.register())
    assert get_refusal(await second.delete(f"{path}/admin-invitations/{waiting['id']}")) == (403, "forbidden")
    hand_over = {"kind": "hand-over", "main_admin_id": second.user_id}
    assert get_refusal(await second.post(f"{path}/change-requests", json=hand_over)) == (403, "main-admin-only")


async def test_invitation_answer_is_equal_for_registered_and_unknown_phones(people: People) -> None:
    founder = await people.register()
    org = await founder.create_org()
    verified, unverified = await people.register(), await people.register(verified=False, party=False)
    answers = [
        await founder.post(f"/v1/orgs/{org['id']}/admin-invitations", json={"phone": phone})
        for phone in (verified.phone, unverified.phone, fresh_phone())
    ]
    comparable = [
        {name: value for name, value in answer.json().items() if name in ("state", "requested_by", "decided_at")}
        for answer in answers
    ]
    assert {answer.status_code for answer in answers} == {201}
    assert comparable[0] == comparable[1] == comparable[2]
    again = [
        await founder.post(f"/v1/orgs/{org['id']}/admin-invitations", json={"phone": phone})
        for phone in (verified.phone, unverified.phone)
    ]
    assert [get_refusal(answer) for answer in again] == [(409, "admin-invitation-open")] * 2


async def test_acceptance_by_an_unverified_user_or_non_party_member_is_refused(people: People) -> None:
    founder = await people.register()
    org = await founder.create_org()
    person = await people.register(verified=False, party=False)
    invitation = await invite_admin(founder, org, person)
    path = f"/v1/me/admin-invitations/{invitation['id']}/acceptance"
    assert get_refusal(await person.put(path)) == (403, "real-name-required")
    await people.verify(person)
    assert get_refusal(await person.put(path)) == (403, "party-member-required")
    get_body(await person.patch("/v1/me", json={"party_member": True}))
    get_body(await person.put(path))


async def test_outside_party_org_accepts_party_members_and_others_as_admins(people: People) -> None:
    founder, other = await people.register(party=False), await people.register(party=False)
    org = await founder.create_org(name=f"{fresh_org_name()[2:]}党外人士学习组织", kind="outside-party")
    await add_admin(founder, org, other)
    await add_admin(founder, org, await people.register(party=True))
    assert len(get_body(await other.get(f"/v1/orgs/{org['id']}/admins"))["items"]) == 3


async def test_invitation_of_another_phone_is_not_found(people: People) -> None:
    founder, invited, stranger = [await people.register() for _ in range(3)]
    org = await founder.create_org()
    invitation = await invite_admin(founder, org, invited)
    path = f"/v1/me/admin-invitations/{invitation['id']}"
    for person in (stranger, founder):
        for answer in (
            await person.get(path),
            await person.put(f"{path}/acceptance"),
            await person.put(f"{path}/refusal"),
        ):
            assert get_refusal(answer) == (404, "not-found")


async def test_invitation_that_has_ended_cannot_be_accepted(people: People, engine: AsyncEngine) -> None:
    founder, invited = await people.register(), await people.register()
    org = await founder.create_org()

    async def accept(invitation: dict[str, str]) -> tuple[int, str]:
        return get_refusal(await invited.put(f"/v1/me/admin-invitations/{invitation['id']}/acceptance"))

    first = await invite_admin(founder, org, invited)
    get_body(await invited.put(f"/v1/me/admin-invitations/{first['id']}/refusal"), 204)
    assert await accept(first) == (409, "admin-invitation-decided")
    second = await invite_admin(founder, org, invited)
    path = f"/v1/orgs/{org['id']}/admin-invitations/{second['id']}"
    get_body(await founder.delete(path), 204)
    assert get_refusal(await founder.delete(path)) == (409, "admin-invitation-decided")
    assert await accept(second) == (409, "admin-invitation-decided")
    third = await invite_admin(founder, org, invited)
    async with engine.begin() as connection:
        past = "UPDATE admin_invitations SET expires_at = now() - interval '1 second' WHERE id = :id"
        await connection.execute(text(past), {"id": third["id"]})
    assert await accept(third) == (410, "admin-invitation-expired")
    await add_admin(founder, org, invited)
    states = [item["state"] for item in await list_all(founder, f"/v1/orgs/{org['id']}/admin-invitations")]
    assert states == ["accepted", "expired", "withdrawn", "declined"]
    # The invitation is not found under another org.
    other = await invited.create_org()
    assert get_refusal(await invited.delete(f"/v1/orgs/{other['id']}/admin-invitations/{second['id']}"))[0] == 404


async def test_member_invited_by_row_becomes_an_admin(people: People) -> None:
    founder, person = await people.register(), await people.register()
    org = await founder.create_org()
    unit = await add_unit(founder, org, "第一支部")
    member = await add_member(founder, org, unit, phone=person.phone, name=person.name)
    path = f"/v1/orgs/{org['id']}/admin-invitations"
    invitation = get_body(await founder.post(path, json={"member_id": member["id"]}), 201)
    get_body(await person.put(f"/v1/me/admin-invitations/{invitation['id']}/acceptance"))
    placed = get_body(await founder.get(f"/v1/orgs/{org['id']}/members/{member['id']}"))
    assert (placed["at_org"], [item["id"] for item in placed["units"]]) == (True, [unit["id"]])
    assert get_refusal(await founder.post(path, json={"phone": person.phone})) == (409, "already-admin")
    assert get_refusal(await founder.post(path, json={"member_id": org["id"]})) == (422, "unknown-member")
    assert get_refusal(await founder.post(path, json={"member_id": member["id"], "phone": person.phone}))[0] == 422
    # A removed admin leaves the management group and remains in the unit.
    get_body(await founder.delete(f"/v1/orgs/{org['id']}/admins/{person.user_id}"), 204)
    placed = get_body(await founder.get(f"/v1/orgs/{org['id']}/members/{member['id']}"))
    assert (placed["at_org"], [item["id"] for item in placed["units"]]) == (False, [unit["id"]])


async def test_admin_invitation_to_linked_member_reaches_the_account_and_not_the_user_of_the_phone(
    people: People,
) -> None:
    """A member row has an old phone and is linked to an account by consent. Another user has the phone now (S4)."""
    founder, person = await people.register(), await people.register()
    org = await founder.create_org()
    old = fresh_phone()
    row = await add_member(founder, org, name=person.name, phone=old)
    at = f"/v1/orgs/{org['id']}"
    request = get_body(await person.post("/v1/me/link-requests", json={"org_id": org["id"]}), 201)
    accept = f"{at}/link-requests/{request['id']}/acceptance"
    get_body(await founder.put(accept, json={"member_id": row["id"]}))
    stranger = await people.register(phone=old)
    unit = await add_unit(founder, org, "第一支部")
    for path, body, received in (
        (f"{at}/admin-invitations", {"member_id": row["id"]}, "/v1/me/admin-invitations"),
        (
            f"{at}/promotions",
            {"unit_id": unit["id"], "name": fresh_org_name(), "to": {"member_id": row["id"]}},
            "/v1/me/promotions",
        ),
    ):
        offer = get_body(await founder.post(path, json=body), 201)
        assert offer["phone"] == f"{old[:3]}****{old[-4:]}"
        offer_path = f"{received}/{offer['id']}"
        assert (await stranger.get("/v1/inbox")).json()["items"] == []
        for answer in (await stranger.get(offer_path), await stranger.put(f"{offer_path}/acceptance")):
            assert get_refusal(answer) == (404, "not-found")
        assert offer["id"] in {item["id"] for item in get_body(await person.get("/v1/inbox"))["items"]}
        get_body(await person.get(offer_path))
        get_body(await person.put(f"{offer_path}/acceptance"))
    shown = get_body(await founder.get(f"{at}/members/{row['id']}"))
    assert (shown["name"], shown["active"], shown["at_org"]) == (person.name, True, True)
    again = await founder.post(f"{at}/admin-invitations", json={"member_id": row["id"]})
    assert get_refusal(again) == (409, "already-admin")


async def test_admin_invitation_to_member_without_account_is_refused_to_a_user_of_another_name(people: People) -> None:
    founder = await people.register(name="主管理员甲")
    org = await founder.create_org()
    phone = fresh_phone()
    row = await add_member(founder, org, name="张三", phone=phone)
    unit = await add_unit(founder, org, "第一支部")
    stranger = await people.register(phone=phone, name="李四")
    at = f"/v1/orgs/{org['id']}"
    promotion = {"unit_id": unit["id"], "name": fresh_org_name(), "to": {"member_id": row["id"]}}
    for path, body, received in (
        (f"{at}/admin-invitations", {"member_id": row["id"]}, "/v1/me/admin-invitations"),
        (f"{at}/promotions", promotion, "/v1/me/promotions"),
    ):
        offer = get_body(await founder.post(path, json=body), 201)
        acceptance = f"{received}/{offer['id']}/acceptance"
        assert get_refusal(await stranger.put(acceptance)) == (409, "invitee-name-differs")
        assert (await stranger.put(acceptance)).status_code == 409  # the offer has ended
        (listed,) = [item for item in await list_all(founder, path) if item["id"] == offer["id"]]
        assert (listed["state"], listed["reason"], listed["phone"]) == ("declined", "name-differs", None)
    assert {"admin_invitation.declined", "promotion.declined"} <= set(await list_actions(founder, org))
    shown = get_body(await founder.get(f"{at}/members/{row['id']}"))
    assert (shown["name"], shown["active"]) == ("张三", False)
    assert len(get_body(await founder.get(f"{at}/admins"))["items"]) == 1


async def test_admin_invitation_to_member_without_account_is_accepted_by_a_user_of_the_same_name(
    people: People,
) -> None:
    """Names that differ only in the form of the dot are equal."""
    founder, phone = await people.register(), fresh_phone()
    org = await founder.create_org()
    row = await add_member(founder, org, name="买买提・吐尔逊", phone=phone)
    path = f"/v1/orgs/{org['id']}/admin-invitations"
    offer = get_body(await founder.post(path, json={"member_id": row["id"]}), 201)
    person = await people.register(phone=phone, name="买买提·吐尔逊")
    get_body(await person.put(f"/v1/me/admin-invitations/{offer['id']}/acceptance"))
    shown = get_body(await founder.get(f"/v1/orgs/{org['id']}/members/{row['id']}"))
    assert (shown["active"], shown["at_org"]) == (True, True)


@pytest.mark.parametrize("linked", [False, True], ids=["another-name", "linked-to-another"])
async def test_new_admin_with_the_phone_of_another_member_is_refused(people: People, linked: bool) -> None:
    """The directory has the new admin's phone in another person's row; that person may be an admin too (S8)."""
    founder, second = await people.register(), await people.register()
    org = await founder.create_org()
    at = f"/v1/orgs/{org['id']}"
    phone = fresh_phone()
    if linked:
        row = await add_member(founder, org, name=second.name, phone=phone)
        request = get_body(await second.post("/v1/me/link-requests", json={"org_id": org["id"]}), 201)
        get_body(await founder.put(f"{at}/link-requests/{request['id']}/acceptance", json={"member_id": row["id"]}))
        await add_admin(founder, org, second)
        newcomer = await people.register(phone=phone, name=second.name)
    else:
        row = await add_member(founder, org, name="张三", phone=phone)
        newcomer = await people.register(phone=phone, name="李四")
    before = get_body(await founder.get(f"{at}/members/{row['id']}"))
    offer = get_body(await founder.post(f"{at}/admin-invitations", json={"phone": phone}), 201)
    accept = f"/v1/me/admin-invitations/{offer['id']}/acceptance"
    assert get_refusal(await newcomer.put(accept)) == (409, "phone-of-another-member")
    assert get_body(await founder.get(f"{at}/members/{row['id']}")) == before
    # After the phone of that row is corrected, the same offer can be accepted.
    if not linked:
        get_body(await founder.patch(f"{at}/members/{row['id']}", json={"phone": fresh_phone()}))
        get_body(await newcomer.put(accept))
        assert len(await list_all(founder, f"{at}/members")) == 3


async def test_row_linked_to_a_new_admin_has_an_audit_entry_of_the_edit(people: People) -> None:
    founder, phone = await people.register(), fresh_phone()
    org = await founder.create_org()
    row = await add_member(founder, org, name="maria chen", phone=phone)
    person = await people.register(phone=phone, name="Maria Chen")
    at = f"/v1/orgs/{org['id']}"
    get_body(await founder.delete(f"{at}/members/{row['id']}/activation"), 204)
    await add_admin(founder, org, person)
    shown = get_body(await founder.get(f"{at}/members/{row['id']}"))
    assert (shown["name"], shown["active"], shown["at_org"]) == (person.name, True, True)
    entries = await list_all(founder, f"{at}/audit", action="member.edited")
    assert [(entry["before"], entry["after"]) for entry in entries] == [
        ({"name": "maria chen"}, {"name": "Maria Chen"})
    ]


async def test_unlinked_row_of_a_new_admin_is_linked_again(people: People) -> None:
    """Every admin has a row in the directory (S8). It cannot be removed while the person is an admin."""
    founder, second = await people.register(), await people.register()
    org = await founder.create_org()
    row = await add_member(founder, org, name=second.name, phone=second.phone)
    path = f"/v1/orgs/{org['id']}/members/{row['id']}"
    get_body(await founder.delete(f"{path}/activation"), 204)
    await add_admin(founder, org, second)
    shown = get_body(await founder.get(path))
    assert (shown["active"], shown["at_org"]) == (True, True)
    assert get_refusal(await founder.delete(path)) == (409, "member-is-admin")


async def test_row_of_a_suspended_admin_cannot_be_removed_or_given_another_phone(app: FastAPI, people: People) -> None:
    founder, second = await people.register(), await people.register()
    org = await founder.create_org()
    await add_admin(founder, org, second)
    members = await list_all(founder, f"/v1/orgs/{org['id']}/members")
    (path,) = (f"/v1/orgs/{org['id']}/members/{row['id']}" for row in members if row["name"] == second.name)
    operator = await create_operator(app, people)
    suspension = {"phone": second.phone, "reason": "other"}
    suspended = get_body(await operator.post("/v1/operator/suspensions", json=suspension))
    for answer in (await founder.delete(path), await founder.patch(path, json={"phone": fresh_phone()})):
        assert get_refusal(answer) == (409, "member-is-admin")
    get_body(await founder.put(f"{path}/units", json={"unit_ids": [(await add_unit(founder, org, "一支部"))["id"]]}))
    get_body(await operator.delete(f"/v1/operator/suspensions/{suspended['user_id']}"), 204)
    shown = get_body(await founder.get(path))
    assert (shown["active"], shown["at_org"]) == (True, True)


async def test_next_call_of_a_removed_admin_is_refused(people: People) -> None:
    founder, second = await people.register(), await people.register()
    org = await founder.create_org()
    await add_admin(founder, org, second)
    path = f"/v1/orgs/{org['id']}"
    get_body(await founder.delete(f"{path}/admins/{second.user_id}"), 204)
    assert get_refusal(await second.patch(path, json={"region_code": "320100"})) == (
        403,
        "forbidden",
    )  # the person is still a member
    assert get_refusal(await second.get(f"{path}/admins")) == (404, "not-found")
    assert get_refusal(await founder.delete(f"{path}/admins/{second.user_id}")) == (404, "not-found")


async def test_resignation_of_the_main_admin_is_refused_and_of_others_allowed(people: People) -> None:
    founder, second = await people.register(), await people.register()
    org = await founder.create_org()
    await add_admin(founder, org, second)
    path = f"/v1/orgs/{org['id']}/admins"
    assert get_refusal(await founder.delete(f"{path}/me")) == (409, "main-admin-stays")
    assert get_refusal(await founder.delete(f"{path}/{founder.user_id}")) == (409, "main-admin-stays")
    get_body(await second.delete(f"{path}/me"), 204)
    assert [admin["user_id"] for admin in get_body(await founder.get(path))["items"]] == [founder.user_id]
    assert "admin.resigned" in await list_actions(founder, org)


async def test_admin_of_orgs_of_different_levels_gets_advice(people: People) -> None:
    founder, person = await people.register(), await people.register()
    county = await person.create_org(region_code="320102")
    assert county["advice"] == []
    assert (await person.create_org(region_code="110101"))["advice"] == []
    city = await founder.create_org(region_code="320100")
    accepted = await add_admin(founder, city, person)
    assert [advice["code"] for advice in accepted["advice"]] == ["levels-differ"]
    assert [advice["code"] for advice in (await person.create_org())["advice"]] == ["levels-differ"]


async def test_admins_of_a_subordinate_are_not_found_by_the_superior(people: People) -> None:
    superior_admin, founder = await people.register(), await people.register()
    superior, org = await superior_admin.create_org(), await founder.create_org()
    await certify(superior_admin, superior, founder, org)
    for path in ("admins", "admin-invitations", "change-requests", "promotions"):
        assert get_refusal(await superior_admin.get(f"/v1/orgs/{org['id']}/{path}")) == (404, "not-found")
    assert get_refusal(await superior_admin.delete(f"/v1/orgs/{org['id']}/admins/{founder.user_id}")) == (
        404,
        "not-found",
    )


async def test_unverified_admin_is_refused_by_the_database(people: People, engine: AsyncEngine) -> None:
    founder, person = await people.register(), await people.register(verified=False)
    org = await founder.create_org()
    refused = (
        ("INSERT INTO org_admins (org_id, user_id) VALUES (:org, :other)", "verified person"),
        ("UPDATE users SET verified_at = NULL WHERE id = :founder", "user is an admin"),
        ("UPDATE orgs SET main_admin_id = :other WHERE id = :org", "orgs_main_admin_fkey"),
        ("UPDATE orgs SET main_admin_id = NULL WHERE id = :org", "main_admin_id"),
    )
    values = {"org": org["id"], "founder": founder.user_id, "other": person.user_id}
    for statement, message in refused:
        with pytest.raises(IntegrityError, match=message):
            async with engine.begin() as connection:
                await connection.execute(text(statement), values)


async def test_concurrent_acceptance_and_withdrawal_succeed_once(people: People) -> None:
    founder, person = await people.register(), await people.register()
    for _ in range(5):
        org = await founder.create_org()
        invitation = await invite_admin(founder, org, person)
        accepted, withdrawn = await asyncio.gather(
            person.put(f"/v1/me/admin-invitations/{invitation['id']}/acceptance"),
            founder.delete(f"/v1/orgs/{org['id']}/admin-invitations/{invitation['id']}"),
        )
        assert (accepted.status_code, withdrawn.status_code) in ((200, 409), (409, 204))
        admins = get_body(await founder.get(f"/v1/orgs/{org['id']}/admins"))["items"]
        assert (len(admins) == 2) == (accepted.status_code == 200)
