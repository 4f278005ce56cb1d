"""Recovery of an org in which no admin remains who could request a recovery (S4)."""

import asyncio

import pytest
from fastapi import FastAPI

from tests.acts import Json, add_admin, certify, get_body, get_refusal, list_actions, list_all
from tests.auth.operator_accounts import create_operator
from tests.people import People, Person, fresh_phone


@pytest.fixture(scope="module")
async def operator(app: FastAPI, people: People) -> Person:
    return await create_operator(app, people)


async def create_pair(people: People) -> tuple[Person, Json, Person, Json]:
    """Return the superior's admin, the superior, the subordinate's main admin, and the subordinate."""
    superior_admin, founder = await people.register(), await people.register()
    superior, org = await superior_admin.create_org(), await founder.create_org()
    await certify(superior_admin, superior, founder, org)
    return superior_admin, superior, founder, org


def offers_path(superior: Json, org: Json) -> str:
    return f"/v1/orgs/{superior['id']}/subordinates/{org['id']}/recovery-offers"


def offer_body(phone: str) -> Json:
    return {"phone": phone, "reason": "主管理员已离任"}


async def get_main_admin_id(person: Person, org: Json) -> str:
    return str(get_body(await person.get(f"/v1/orgs/{org['id']}"))["main_admin_id"])


async def test_recovery_offer_when_accepted_makes_the_person_main_admin(people: People) -> None:
    superior_admin, superior, founder, org = await create_pair(people)
    person = await people.register()
    offer = get_body(await superior_admin.post(offers_path(superior, org), json=offer_body(person.phone)), 201)
    assert (offer["state"], person.phone in str(offer)) == ("pending", False)
    assert (await person.get(f"/v1/orgs/{org['id']}/admins")).status_code == 404
    offer_path = f"/v1/me/admin-invitations/{offer['id']}"
    shown = get_body(await person.get(offer_path))
    assert (shown["recovery"], shown["superior_name"], shown["requested_by"]) == (True, superior["name"], None)
    get_body(await person.put(f"{offer_path}/acceptance"))
    assert await get_main_admin_id(person, org) == person.user_id
    admins = get_body(await person.get(f"/v1/orgs/{org['id']}/admins"))["items"]
    assert {admin["user_id"] for admin in admins} == {founder.user_id, person.user_id}
    members = await list_all(person, f"/v1/orgs/{org['id']}/members", at_org=True)
    assert person.name in {member["name"] for member in members}
    assert {"recovery.offered", "admin.added", "org.recovered"} <= set(await list_actions(person, org))
    assert "recovery.offered" in await list_actions(superior_admin, superior)
    # The subordinate's audit names no person of the superior.
    assert superior_admin.user_id not in (await person.get(f"/v1/orgs/{org['id']}/audit")).text
    assert [item["state"] for item in await list_all(superior_admin, offers_path(superior, org))] == ["accepted"]


async def test_recovery_offer_is_in_the_main_admins_inbox_and_can_be_withdrawn(people: People) -> None:
    superior_admin, superior, founder, org = await create_pair(people)
    person = await people.register()
    offer = get_body(await superior_admin.post(offers_path(superior, org), json=offer_body(person.phone)), 201)
    (entry,) = get_body(await founder.get("/v1/inbox"))["items"]
    assert (entry["kind"], entry["id"]) == ("recovery-offer", offer["id"])
    assert get_body(await founder.get(entry["href"]))["recovery"] is True
    withdrawal = entry["actions"]["withdrawal"]
    get_body(await founder.request(withdrawal["method"], withdrawal["href"]), 204)
    assert get_refusal(await person.put(f"/v1/me/admin-invitations/{offer['id']}/acceptance"))[0] == 409
    assert await get_main_admin_id(founder, org) == founder.user_id


async def test_recovery_offer_is_refused_while_another_admin_is_active(
    app: FastAPI, people: People, operator: Person
) -> None:
    """A suspended admin cannot request a recovery. In this case the superior can offer one."""
    superior_admin, superior, founder, org = await create_pair(people)
    second = await people.register()
    await add_admin(founder, org, second)
    path = offers_path(superior, org)
    assert get_refusal(await superior_admin.post(path, json=offer_body(fresh_phone()))) == (409, "admins-left")
    suspension = {"phone": second.phone, "reason": "other"}
    suspended = get_body(await operator.post("/v1/operator/suspensions", json=suspension))
    get_body(await superior_admin.post(path, json=offer_body(fresh_phone())), 201)
    # Other tests check that every admin has an active row.
    get_body(await operator.delete(f"/v1/operator/suspensions/{suspended['user_id']}"), 204)


async def test_recovery_offer_by_another_person_than_the_superiors_main_admin_is_refused(
    people: People, operator: Person
) -> None:
    superior_admin, superior, founder, org = await create_pair(people)
    top, second, stranger = [await people.register() for _ in range(3)]
    highest = await top.create_org()
    await certify(top, highest, superior_admin, superior)
    await add_admin(superior_admin, superior, second)
    phone = fresh_phone()
    assert get_refusal(await second.post(offers_path(superior, org), json=offer_body(phone))) == (403, "forbidden")
    assert get_refusal(await top.post(offers_path(highest, org), json=offer_body(phone))) == (404, "not-found")
    assert get_refusal(await founder.post(offers_path(org, superior), json=offer_body(phone))) == (404, "not-found")
    assert get_refusal(await stranger.post(offers_path(superior, org), json=offer_body(phone))) == (404, "not-found")
    at_operator = {"org_id": org["id"], **offer_body(phone)}
    assert get_refusal(await operator.post("/v1/operator/recovery-offers", json=at_operator)) == (404, "not-found")
    offer = get_body(await superior_admin.post(offers_path(superior, org), json=offer_body(phone)), 201)
    assert get_refusal(await superior_admin.post(offers_path(superior, org), json=offer_body(phone))) == (
        409,
        "admin-invitation-open",
    )
    offer_path = f"{offers_path(superior, org)}/{offer['id']}"
    assert get_refusal(await second.delete(offer_path)) == (403, "forbidden")
    assert get_refusal(await top.delete(f"{offers_path(highest, org)}/{offer['id']}")) == (404, "not-found")
    get_body(await superior_admin.delete(offer_path), 204)
    assert get_refusal(await superior_admin.delete(offer_path)) == (409, "admin-invitation-decided")


async def test_operator_recovery_offer_without_a_superior_is_accepted(people: People, operator: Person) -> None:
    founder, person = await people.register(), await people.register()
    org = await founder.create_org()
    at_operator = "/v1/operator/recovery-offers"
    first = get_body(await operator.post(at_operator, json={"org_id": org["id"], **offer_body(fresh_phone())}), 201)
    offer = get_body(await operator.post(at_operator, json={"org_id": org["id"], **offer_body(person.phone)}), 201)
    assert {first["id"], offer["id"]} <= {item["id"] for item in await list_all(operator, at_operator)}
    get_body(await person.put(f"/v1/me/admin-invitations/{offer['id']}/acceptance"))
    assert await get_main_admin_id(person, org) == person.user_id
    # The acceptance has ended the other offer too.
    assert get_refusal(await operator.delete(f"{at_operator}/{first['id']}")) == (409, "admin-invitation-decided")
    states = {item["id"]: item["state"] for item in await list_all(operator, at_operator)}
    assert states[first["id"]] == "superseded"


@pytest.mark.parametrize("change", ["released", "admin-added"])
async def test_recovery_offer_is_superseded_by_a_release_or_a_new_admin(people: People, change: str) -> None:
    superior_admin, superior, founder, org = await create_pair(people)
    person, second = await people.register(), await people.register()
    offer = get_body(await superior_admin.post(offers_path(superior, org), json=offer_body(person.phone)), 201)
    if change == "released":
        get_body(await superior_admin.delete(f"/v1/orgs/{superior['id']}/subordinates/{org['id']}"), 204)
    else:
        await add_admin(founder, org, second)
    accept = f"/v1/me/admin-invitations/{offer['id']}/acceptance"
    assert get_refusal(await person.put(accept)) == (409, "recovery-offer-stale")
    assert get_refusal(await person.put(accept)) == (409, "admin-invitation-decided")
    assert await get_main_admin_id(founder, org) == founder.user_id
    assert person.user_id not in {
        admin["user_id"] for admin in get_body(await founder.get(f"/v1/orgs/{org['id']}/admins"))["items"]
    }


async def test_concurrent_recovery_acceptances_make_one_main_admin(people: People) -> None:
    for _ in range(5):
        superior_admin, superior, _founder, org = await create_pair(people)
        persons = [await people.register() for _ in range(2)]
        created = [
            get_body(await superior_admin.post(offers_path(superior, org), json=offer_body(person.phone)), 201)
            for person in persons
        ]
        answers = await asyncio.gather(
            *(
                person.put(f"/v1/me/admin-invitations/{offer['id']}/acceptance")
                for person, offer in zip(persons, created, strict=True)
            )
        )
        assert sorted(answer.status_code for answer in answers) == [200, 409]
        (winner,) = [person for person, answer in zip(persons, answers, strict=True) if answer.status_code == 200]
        assert await get_main_admin_id(winner, org) == winner.user_id
