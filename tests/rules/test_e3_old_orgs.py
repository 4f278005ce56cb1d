"""E3 Orgs of an old system · 载入原系统的组织"""

from tests.acts import get_body, get_refusal, list_all
from tests.org_loads.loads import LOADS, Work, check, confirm, list_outcomes, list_rows, load_orgs, reverse
from tests.people import People, Person, fresh_org_name
from tests.rules.world import World


async def test_load_has_a_preview_that_creates_nothing_and_a_result_for_each_row(
    world: World, operator: Person, worker: Work
) -> None:
    """The platform operator loads the orgs of an old system from a sheet, with a preview that creates nothing and one
    result a row.
    """
    assert get_refusal(await world.superior_admin.get(LOADS)) == (404, "not-found")
    load = await check(operator, worker, [(fresh_org_name(), "320102"), (fresh_org_name(), "1")])
    assert (load["to_create"], load["created"]) == (1, 0)
    done = await confirm(operator, worker, load)
    assert (done["state"], done["created"], done["refused"]) == ("done", 1, 1)
    assert await list_outcomes(operator, done) == {2: "created", 3: ["unknown-region"]}


async def test_loaded_org_has_its_old_name(world: World, operator: Person, worker: Work) -> None:
    """Names stay as they are, also with the suffix 学习管理组."""
    name = fresh_org_name() + "学习管理组"
    (row,) = await list_rows(operator, await load_orgs(operator, worker, [(name, "320102", world.org["id"])]))
    card = get_body(await world.main_admin.get(f"/v1/orgs/{row['org_id']}"))
    assert card["name"] == name


async def test_org_that_exists_already_is_left_as_it_is(world: World, operator: Person, worker: Work) -> None:
    """An org that exists already is left as it is."""
    subordinate = world.subordinate
    before = get_body(await world.main_admin.get(f"/v1/orgs/{subordinate['id']}"))
    load = await load_orgs(operator, worker, [(subordinate["name"], "320104", world.org["id"])])
    assert (load["present"], load["created"]) == (1, 0)
    assert get_body(await world.main_admin.get(f"/v1/orgs/{subordinate['id']}")) == before


async def test_loaded_org_is_certified_at_once(people: People, operator: Person, worker: Work) -> None:
    """Each org is certified under the superior of the sheet by the operator's act, without an application."""
    admin = await people.register()
    superior = await admin.create_org(region_code="320100")
    (row,) = await list_rows(
        operator, await load_orgs(operator, worker, [(fresh_org_name(), "320102", superior["id"])])
    )
    listed = await list_all(admin, f"/v1/orgs/{superior['id']}/subordinates")
    assert [one["id"] for one in listed] == [row["org_id"]]
    assert await list_all(admin, f"/v1/orgs/{superior['id']}/applications", state="pending") == []


async def load_for(operator: Person, worker: Work, person: Person) -> tuple[str, str]:
    """Load an org whose main admin is to be the person. Return its id and the offer's."""
    rows = [(fresh_org_name(), "320102", "", "", "", person.name, person.phone)]
    (row,) = await list_rows(operator, await load_orgs(operator, worker, rows))
    offers = await list_all(operator, "/v1/operator/recovery-offers")
    return row["org_id"], next(offer["id"] for offer in offers if offer["org_id"] == row["org_id"])


async def test_loaded_org_has_no_admin_until_the_person_accepts(people: People, operator: Person, worker: Work) -> None:
    """A loaded org has no admin until the person of the sheet accepts to be its main admin."""
    person = await people.register()
    org_id, offer_id = await load_for(operator, worker, person)
    assert get_refusal(await person.get(f"/v1/orgs/{org_id}/admins")) == (404, "not-found")
    get_body(await person.put(f"/v1/me/admin-invitations/{offer_id}/acceptance"))
    (admin,) = get_body(await person.get(f"/v1/orgs/{org_id}/admins"))["items"]
    assert (admin["user_id"], admin["main"]) == (person.user_id, True)


async def test_person_of_another_name_cannot_accept(people: People, operator: Person, worker: Work) -> None:
    """A person with the phone of the sheet and another verified name cannot accept (409 `invitee-name-differs`)."""
    person = await people.register(name="王建国")
    person.name = "李建国"
    _, offer_id = await load_for(operator, worker, person)
    refused = await person.put(f"/v1/me/admin-invitations/{offer_id}/acceptance")
    assert get_refusal(refused) == (409, "invitee-name-differs")


async def test_another_person_can_be_named(people: People, operator: Person, worker: Work) -> None:
    """The platform operator and the superior's main admin can name another person."""
    superior_admin, first, second = [await people.register() for _ in range(3)]
    superior = await superior_admin.create_org(region_code="320100")
    names = [(fresh_org_name(), "320102", superior["id"]) for _ in range(2)]
    by_operator, by_superior = [
        row["org_id"] for row in await list_rows(operator, await load_orgs(operator, worker, names))
    ]
    body = {"phone": first.phone, "reason": "表中没有主管理员"}
    made = await operator.post("/v1/operator/recovery-offers", json={"org_id": by_operator, **body})
    get_body(await first.put(f"/v1/me/admin-invitations/{get_body(made, 201)['id']}/acceptance"))
    path = f"/v1/orgs/{superior['id']}/subordinates/{by_superior}/recovery-offers"
    made = await superior_admin.post(path, json=body | {"phone": second.phone})
    get_body(await second.put(f"/v1/me/admin-invitations/{get_body(made, 201)['id']}/acceptance"))
    for person, org_id in ((first, by_operator), (second, by_superior)):
        assert get_body(await person.get(f"/v1/orgs/{org_id}"))["main_admin_id"] == person.user_id


async def test_stale_preview_creates_nothing(people: People, operator: Person, worker: Work) -> None:
    """If the outcome of a row has changed since the preview, nothing is created, and the old preview can no longer be
    confirmed (409 `org-load-preview-stale`).
    """
    person = await people.register()
    name = fresh_org_name()
    load = await check(operator, worker, [(name, "320102"), (fresh_org_name(), "320102")])
    await person.create_org(name=name)
    stale = await confirm(operator, worker, load)
    assert (stale["state"], stale["created"], stale["present"]) == ("ready", 0, 1)
    again = await operator.put(f"{LOADS}/{load['id']}/confirmation", json={"preview": load["preview"]})
    assert get_refusal(again) == (409, "org-load-preview-stale")


async def test_load_is_reversed_but_for_the_orgs_in_use(people: People, operator: Person, worker: Work) -> None:
    """A load can be reversed, which closes its orgs; while one of them is in use, only the others can be closed (409
    `org-load-in-use`).
    """
    person = await people.register()
    org_id, offer_id = await load_for(operator, worker, person)
    get_body(await person.put(f"/v1/me/admin-invitations/{offer_id}/acceptance"))
    load = await load_orgs(operator, worker, [(fresh_org_name(), "320102")])
    reversed_load = await reverse(operator, worker, load)
    assert (reversed_load["state"], reversed_load["reversed"]) == ("reversed", 1)
    assert await list_outcomes(operator, load) == {2: "reversed"}
    used = next(one for one in await list_all(operator, LOADS) if one["id"] != load["id"] and one["created"] == 1)
    refused = await operator.put(f"{LOADS}/{used['id']}/reversal", json={})
    assert get_refusal(refused) == (409, "org-load-in-use")
    assert [org["org_id"] for org in refused.json()["first"]] == [org_id]
