"""Blocking an org: its directory does not link the user while the block lasts."""

import pytest

from tests.acts import Json, add_admin, add_member, get_body, get_refusal, list_all
from tests.members.test_own_rows import MEMBERSHIPS, Joined, join
from tests.people import People

BLOCKED = "/v1/me/blocked-orgs"


@pytest.fixture(name="joined")
async def _join(people: People) -> Joined:
    return await join(people)


async def block(joined: Joined) -> None:
    get_body(await joined.learner.put(f"{BLOCKED}/{joined.org['id']}"), 204)


async def read_row(joined: Joined) -> Json:
    row: Json = get_body(await joined.admin.get(f"{joined.path}/members/{joined.member['id']}"))
    return row


async def test_row_of_a_blocked_org_stays_and_is_not_activated(joined: Joined) -> None:
    await block(joined)
    await block(joined)
    row = await read_row(joined)
    assert (row["active"], row["inactive_reason"]) == (False, "blocked")
    assert await list_all(joined.learner, MEMBERSHIPS) == []
    assert [org["org_id"] for org in await list_all(joined.learner, BLOCKED)] == [joined.org["id"]]
    assert "row-removed" not in {message["kind"] for message in await list_all(joined.learner, "/v1/messages")}


async def test_blocked_org_does_not_link_a_new_or_edited_row(joined: Joined) -> None:
    await block(joined)
    path = f"{joined.path}/members/{joined.member['id']}"
    edited = get_body(await joined.admin.patch(path, json={"name": "王小明"}))
    edited = get_body(await joined.admin.patch(path, json={"name": joined.learner.name}))
    assert edited["active"] is False
    get_body(await joined.admin.delete(path), 204)
    added = await add_member(joined.admin, joined.org, name=joined.learner.name, phone=joined.learner.phone)
    assert (added["active"], added["inactive_reason"]) == (False, "blocked")


async def test_blocked_org_does_not_link_a_person_who_is_transferred(joined: Joined, people: People) -> None:
    other = await people.register()
    org = await other.create_org()
    get_body(await joined.learner.put(f"{BLOCKED}/{org['id']}"), 204)
    answer = await joined.admin.post(
        f"{joined.path}/members/{joined.member['id']}/transfers", json={"org_id": org["id"]}
    )
    path = f"/v1/orgs/{org['id']}/person-transfers/{get_body(answer, 201)['id']}/acceptance"
    assert (await other.put(path)).status_code < 300
    (row,) = [row for row in await list_all(other, f"/v1/orgs/{org['id']}/members") if not row["active"]]
    assert row["inactive_reason"] == "blocked"


async def test_lifted_block_links_the_row_again(joined: Joined) -> None:
    await block(joined)
    get_body(await joined.learner.delete(f"{BLOCKED}/{joined.org['id']}"), 204)
    assert (await read_row(joined))["active"] is True
    assert (await joined.learner.delete(f"{BLOCKED}/{joined.org['id']}")).status_code == 404


@pytest.mark.parametrize("kind", ["join", "link"])
async def test_own_request_lifts_the_block(joined: Joined, kind: str) -> None:
    await block(joined)
    request = get_body(await joined.learner.post(f"/v1/me/{kind}-requests", json={"org_id": joined.org["id"]}), 201)
    assert await list_all(joined.learner, BLOCKED) == []
    accepted = await joined.admin.put(f"{joined.path}/{kind}-requests/{request['id']}/acceptance")
    assert get_body(accepted)["active"] is True


async def test_block_withdraws_the_requests_to_the_org(joined: Joined) -> None:
    request = await joined.ask()
    await block(joined)
    assert get_body(await joined.learner.get(f"/v1/me/removal-requests/{request['id']}"))["state"] == "withdrawn"


async def test_admin_resigns_before_blocking_and_becoming_one_lifts_the_block(joined: Joined) -> None:
    await block(joined)
    await add_admin(joined.admin, joined.org, joined.learner)
    assert (await read_row(joined))["active"] is True
    refused = await joined.learner.put(f"{BLOCKED}/{joined.org['id']}")
    assert get_refusal(refused) == (409, "admin-must-resign")


async def test_unknown_org_cannot_be_blocked(joined: Joined) -> None:
    assert (await joined.learner.put(f"{BLOCKED}/{joined.member['id']}")).status_code == 404
