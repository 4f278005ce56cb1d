"""Reversing a load of orgs: what is closed, what stays, and why."""

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.acts import get_body, get_refusal, list_all
from tests.org_loads.loads import LOADS, Work, check, list_outcomes, list_rows, load_orgs, read, reverse
from tests.people import People, Person, fresh_org_name


async def find_offer(operator: Person, org_id: str) -> str:
    offers = await list_all(operator, "/v1/operator/recovery-offers")
    return next(str(offer["id"]) for offer in offers if offer["org_id"] == org_id)


async def test_reversed_load_closes_its_orgs_and_can_be_loaded_again(
    people: People, operator: Person, worker: Work
) -> None:
    admin, person = await people.register(), await people.register()
    superior = await admin.create_org(region_code="320100")
    top, low = fresh_org_name(), fresh_org_name()
    rows = [(top, "320102", superior["id"], "", "", person.name, person.phone), (low, "320102", top)]
    load = await load_orgs(operator, worker, rows)
    top_id, _ = [row["org_id"] for row in await list_rows(operator, load)]
    offer_id = await find_offer(operator, top_id)

    load = await reverse(operator, worker, load)
    assert (load["state"], load["created"], load["reversed"]) == ("reversed", 2, 2)
    assert await list_outcomes(operator, load) == {2: "reversed", 3: "reversed"}
    assert await list_all(admin, f"/v1/orgs/{superior['id']}/subordinates") == []
    offer = get_body(await operator.get(f"/v1/operator/recovery-offers/{offer_id}"))
    assert offer["state"] == "withdrawn"
    assert get_refusal(await person.put(f"/v1/me/admin-invitations/{offer_id}/acceptance"))[0] in {404, 409, 410}
    assert get_refusal(await operator.put(f"{LOADS}/{load['id']}/reversal", json={})) == (
        409,
        "org-load-not-reversible",
    )
    again = await load_orgs(operator, worker, rows)
    assert (again["created"], again["present"]) == (2, 0)


async def test_orgs_in_use_and_their_superiors_stay(people: People, operator: Person, worker: Work) -> None:
    person = await people.register()
    top, middle, other = (fresh_org_name() for _ in range(3))
    rows = [
        (top, "320100"),
        (middle, "320102", top, "", "", person.name, person.phone),
        (fresh_org_name(), "320102", middle),
        (other, "320102", top),
    ]
    load = await load_orgs(operator, worker, rows)
    ids = [row["org_id"] for row in await list_rows(operator, load)]
    offer_id = await find_offer(operator, ids[1])
    get_body(await person.put(f"/v1/me/admin-invitations/{offer_id}/acceptance"))
    refused = await operator.put(f"{LOADS}/{load['id']}/reversal", json={})
    assert get_refusal(refused) == (409, "org-load-in-use")
    assert refused.json()["orgs"] == 2
    assert [(org["row_no"], org["org_id"], org["reason"]) for org in refused.json()["first"]] == [
        (2, ids[0], "has-subordinates"),
        (3, ids[1], "taken-over"),
    ]
    load = await reverse(operator, worker, load, only_unused=True)
    assert (load["state"], load["reversed"]) == ("reversed", 2)
    assert await list_outcomes(operator, load) == {2: "created", 3: "created", 4: "reversed", 5: "reversed"}
    assert get_body(await person.get(f"/v1/orgs/{ids[1]}"))["superior_id"] == ids[0]


@pytest.mark.parametrize("reason", ["has-people", "has-units", "has-requests", "has-subordinates"])
async def test_org_in_use_is_not_closed_for_this_reason(
    people: People, operator: Person, worker: Work, engine: AsyncEngine, reason: str
) -> None:
    person = await people.register()
    load = await load_orgs(operator, worker, [(fresh_org_name(), "320102")])
    (row,) = await list_rows(operator, load)
    org_id = row["org_id"]
    if reason == "has-requests":
        get_body(await person.post("/v1/me/join-requests", json={"org_id": org_id}), 201)
    elif reason == "has-subordinates":
        await load_orgs(operator, worker, [(fresh_org_name(), "320102", org_id)])
    else:
        statement = {
            "has-units": "INSERT INTO units (org_id, name, kind, position) VALUES (:id, '支部', 'branch', 1)",
            "has-people": (
                "INSERT INTO members (org_id, name, pinyin, initials, party) VALUES (:id, '张', 'z', 'z', true)"
            ),
        }[reason]
        async with engine.begin() as db:
            await db.execute(text(statement), {"id": org_id})
    refused = await operator.put(f"{LOADS}/{load['id']}/reversal", json={})
    assert [org["reason"] for org in refused.json()["first"]] == [reason]
    assert get_refusal(refused) == (409, "org-load-in-use")


async def test_load_that_is_not_over_is_not_reversed(operator: Person, worker: Work) -> None:
    load = await check(operator, worker, [(fresh_org_name(), "320102")])
    answer = await operator.put(f"{LOADS}/{load['id']}/reversal", json={})
    assert get_refusal(answer) == (409, "org-load-not-reversible")
    assert (await read(operator, load))["state"] == "ready"
