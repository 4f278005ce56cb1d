"""Recovery of an org in which no admin is left who could ask for it (S4)."""

import asyncio

import pytest
from fastapi import FastAPI

from tests.acts import Json, actions, add_admin, certify, done, list_all, refusal
from tests.auth.operating import enrolled_operator
from tests.people import People, Person, fresh_phone


@pytest.fixture(scope="module")
async def operator(app: FastAPI, people: People) -> Person:
    return await enrolled_operator(app, people)


async def pair(people: People) -> tuple[Person, Json, Person, Json]:
    """A superior with its org, and a main admin with theirs, certified under it."""
    superior, founder = await people.register(), await people.register()
    above, org = await superior.create_org(), await founder.create_org()
    await certify(superior, above, founder, org)
    return superior, above, founder, org


def offers(above: Json, org: Json) -> str:
    return f"/v1/orgs/{above['id']}/subordinates/{org['id']}/recovery-offers"


def body(phone: str) -> Json:
    return {"phone": phone, "reason": "主管理员已离任"}


async def main_admin(person: Person, org: Json) -> str:
    return str(done(await person.get(f"/v1/orgs/{org['id']}"))["main_admin_id"])


async def test_superior_names_a_person_and_they_become_main_admin_by_accepting(people: People) -> None:
    superior, above, founder, org = await pair(people)
    person = await people.register()
    offer = done(await superior.post(offers(above, org), json=body(person.phone)), 201)
    assert (offer["state"], person.phone in str(offer)) == ("pending", False)
    assert (await person.get(f"/v1/orgs/{org['id']}/admins")).status_code == 404
    mine = f"/v1/me/admin-invitations/{offer['id']}"
    shown = done(await person.get(mine))
    assert (shown["recovery"], shown["superior_name"], shown["requested_by"]) == (True, above["name"], None)
    done(await person.put(f"{mine}/acceptance"))
    assert await main_admin(person, org) == person.user_id
    admins = done(await person.get(f"/v1/orgs/{org['id']}/admins"))
    assert {admin["user_id"] for admin in admins} == {founder.user_id, person.user_id}
    members = await list_all(person, f"/v1/orgs/{org['id']}/members", at_org=True)
    assert person.name in {member["name"] for member in members}
    assert {"recovery.offered", "admin.added", "org.recovered"} <= set(await actions(person, org))
    assert "recovery.offered" in await actions(superior, above)
    # The subordinate's audit names no person of the superior.
    assert superior.user_id not in (await person.get(f"/v1/orgs/{org['id']}/audit")).text
    assert [item["state"] for item in await list_all(superior, offers(above, org))] == ["accepted"]


async def test_present_main_admin_is_told_and_objects(people: People) -> None:
    superior, above, founder, org = await pair(people)
    person = await people.register()
    offer = done(await superior.post(offers(above, org), json=body(person.phone)), 201)
    (entry,) = done(await founder.get("/v1/inbox"))["items"]
    assert (entry["kind"], entry["id"]) == ("recovery-offer", offer["id"])
    assert done(await founder.get(entry["href"]))["recovery"] is True
    withdrawal = entry["actions"]["withdrawal"]
    done(await founder.request(withdrawal["method"], withdrawal["href"]), 204)
    assert refusal(await person.put(f"/v1/me/admin-invitations/{offer['id']}/acceptance"))[0] == 409
    assert await main_admin(founder, org) == founder.user_id


async def test_org_with_another_admin_asks_by_itself(app: FastAPI, people: People, operator: Person) -> None:
    """An admin who is suspended cannot ask: then the superior can."""
    superior, above, founder, org = await pair(people)
    second = await people.register()
    await add_admin(founder, org, second)
    path = offers(above, org)
    assert refusal(await superior.post(path, json=body(fresh_phone()))) == (409, "admins-left")
    suspension = {"phone": second.phone, "reason": "other"}
    done(await operator.post("/v1/operator/suspensions", json=suspension), 201)
    done(await superior.post(path, json=body(fresh_phone())), 201)


async def test_only_the_main_admin_of_the_direct_superior_offers(people: People, operator: Person) -> None:
    superior, above, founder, org = await pair(people)
    top, second, stranger = [await people.register() for _ in range(3)]
    highest = await top.create_org()
    await certify(top, highest, superior, above)
    await add_admin(superior, above, second)
    phone = fresh_phone()
    assert refusal(await second.post(offers(above, org), json=body(phone))) == (403, "forbidden")
    assert refusal(await top.post(offers(highest, org), json=body(phone))) == (404, "not-found")
    assert refusal(await founder.post(offers(org, above), json=body(phone))) == (404, "not-found")
    assert refusal(await stranger.post(offers(above, org), json=body(phone))) == (404, "not-found")
    at_operator = {"org_id": org["id"], **body(phone)}
    assert refusal(await operator.post("/v1/operator/recovery-offers", json=at_operator)) == (404, "not-found")
    offer = done(await superior.post(offers(above, org), json=body(phone)), 201)
    assert refusal(await superior.post(offers(above, org), json=body(phone))) == (409, "admin-invitation-open")
    one = f"{offers(above, org)}/{offer['id']}"
    assert refusal(await second.delete(one)) == (403, "forbidden")
    assert refusal(await top.delete(f"{offers(highest, org)}/{offer['id']}")) == (404, "not-found")
    done(await superior.delete(one), 204)
    assert refusal(await superior.delete(one)) == (409, "admin-invitation-decided")


async def test_operator_names_a_main_admin_where_there_is_no_superior(people: People, operator: Person) -> None:
    founder, person = await people.register(), await people.register()
    org = await founder.create_org()
    at_operator = "/v1/operator/recovery-offers"
    first = done(await operator.post(at_operator, json={"org_id": org["id"], **body(fresh_phone())}), 201)
    offer = done(await operator.post(at_operator, json={"org_id": org["id"], **body(person.phone)}), 201)
    assert {first["id"], offer["id"]} <= {item["id"] for item in await list_all(operator, at_operator)}
    done(await person.put(f"/v1/me/admin-invitations/{offer['id']}/acceptance"))
    assert await main_admin(person, org) == person.user_id
    # The other offer has ended with it.
    assert refusal(await operator.delete(f"{at_operator}/{first['id']}")) == (409, "admin-invitation-decided")
    states = {item["id"]: item["state"] for item in await list_all(operator, at_operator)}
    assert states[first["id"]] == "superseded"


@pytest.mark.parametrize("change", ["released", "admin-added"])
async def test_offer_is_superseded_by_what_changes_meanwhile(people: People, change: str) -> None:
    superior, above, founder, org = await pair(people)
    person, second = await people.register(), await people.register()
    offer = done(await superior.post(offers(above, org), json=body(person.phone)), 201)
    if change == "released":
        done(await superior.delete(f"/v1/orgs/{above['id']}/subordinates/{org['id']}"), 204)
    else:
        await add_admin(founder, org, second)
    accept = f"/v1/me/admin-invitations/{offer['id']}/acceptance"
    assert refusal(await person.put(accept)) == (409, "recovery-offer-stale")
    assert refusal(await person.put(accept)) == (409, "admin-invitation-decided")
    assert await main_admin(founder, org) == founder.user_id
    assert person.user_id not in {admin["user_id"] for admin in done(await founder.get(f"/v1/orgs/{org['id']}/admins"))}


async def test_two_named_persons_accept_at_once_and_one_is_main_admin(people: People) -> None:
    for _ in range(5):
        superior, above, _founder, org = await pair(people)
        persons = [await people.register() for _ in range(2)]
        made = [done(await superior.post(offers(above, org), json=body(one.phone)), 201) for one in persons]
        answers = await asyncio.gather(
            *(
                one.put(f"/v1/me/admin-invitations/{offer['id']}/acceptance")
                for one, offer in zip(persons, made, strict=True)
            )
        )
        assert sorted(answer.status_code for answer in answers) == [200, 409]
        (winner,) = [one for one, answer in zip(persons, answers, strict=True) if answer.status_code == 200]
        assert await main_admin(winner, org) == winner.user_id
