"""S1 Real-name verification · 实名认证"""

import pytest

from tests.acts import get_body, get_refusal, invite_admin
from tests.people import People, Person, fresh_id_card_number, fresh_org_name, name_person
from tests.rules.world import World


def fill_in_card(person: Person, id_number: str) -> dict[str, str]:
    return name_person(person.name, id_number, "id-card")


async def test_admins_are_verified_and_a_learner_without_verification_uses_the_service(world: World) -> None:
    """Every administrator is verified; ordinary users need not be."""
    admins = get_body(await world.admin.get(f"{world.path}/admins"))["items"]
    assert [admin["name"] for admin in admins] == [world.main_admin.name, world.admin.name]
    for admin in (world.main_admin, world.admin):
        assert get_body(await admin.get("/v1/me"))["verified_name"] == admin.name
    assert get_body(await world.learner.get("/v1/me"))["verified_name"] is None
    get_body(await world.learner.get(world.path))


async def test_consent_at_alipay_verifies_at_once(people: People) -> None:
    """Alipay verifies at once."""
    person = await people.register(verified=False)
    await people.verify(person)
    me = get_body(await person.get("/v1/me"))
    assert (me["verified_name"], me["verification_method"]) == (person.name, "alipay")


async def test_id_card_verifies_after_the_operators_review(people: People, operator: Person) -> None:
    """An ID card waits for a platform operator's review."""
    person = await people.register(verified=False)
    card = get_body(await person.post("/v1/me/verifications", json=fill_in_card(person, fresh_id_card_number())), 201)
    assert card["state"] == "submitted"
    assert get_body(await person.get("/v1/me"))["verified_name"] is None
    get_body(await operator.put(f"/v1/operator/verifications/{card['id']}/review"))
    get_body(await operator.put(f"/v1/operator/verifications/{card['id']}/approval"), 204)
    me = get_body(await person.get("/v1/me"))
    assert (me["verified_name"], me["verification_method"]) == (person.name, "id-card")


async def test_unverified_person_creates_no_org_and_becomes_no_admin(world: World, people: People) -> None:
    """Creating an org or becoming an admin without it is refused (403 `real-name-required`)."""
    person = await people.register(verified=False)
    created = await person.post("/v1/orgs", json={"name": fresh_org_name(), "region_code": "320102"})
    assert get_refusal(created) == (403, "real-name-required")
    invitation = await invite_admin(world.main_admin, world.org, person)
    accepted = await person.put(f"/v1/me/admin-invitations/{invitation['id']}/acceptance")
    assert get_refusal(accepted) == (403, "real-name-required")


@pytest.mark.parametrize("id_number", ["110105194912310021", "110105194902300020"], ids=["checksum", "date"])
async def test_id_number_with_a_wrong_checksum_or_date_is_invalid(world: World, id_number: str) -> None:
    """A wrong checksum or date in an ID number is invalid (422 `invalid`)."""
    answer = await world.learner.post("/v1/me/verifications", json=fill_in_card(world.learner, id_number))
    assert get_refusal(answer) == (422, "invalid")
    assert answer.json()["errors"][0]["pointer"] == "/id_number"


async def test_id_number_of_another_account_is_refused(people: People) -> None:
    """One ID number belongs to one account (409 `id-number-taken`)."""
    first, second = [await people.register(verified=False) for _ in range(2)]
    id_number = fresh_id_card_number()
    await people.verify(first, id_number)
    answer = await second.post("/v1/me/verifications", json=fill_in_card(second, id_number))
    assert get_refusal(answer) == (409, "id-number-taken")
