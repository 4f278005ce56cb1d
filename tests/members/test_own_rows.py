"""A user's own rows in the directories of orgs: reading them, asking to be removed, blocking an org."""

from dataclasses import dataclass

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.acts import Json, add_admin, add_member, add_unit, get_body, get_refusal, list_actions, list_all
from tests.auth.test_accounts import close_account
from tests.people import People, Person, fresh_phone

MEMBERSHIPS, REMOVALS = "/v1/me/memberships", "/v1/me/removal-requests"


@dataclass
class Joined:
    """A learner with an active row in the directory of an org."""

    admin: Person
    learner: Person
    org: Json
    member: Json

    @property
    def path(self) -> str:
        return f"/v1/orgs/{self.org['id']}"

    def get_path(self, request: Json, decision: str) -> str:
        return f"{self.path}/removal-requests/{request['id']}/{decision}"

    async def ask(self) -> Json:
        request: Json = get_body(await self.learner.post(REMOVALS, json={"org_id": self.org["id"]}), 201)
        return request


async def test_user_sees_the_orgs_and_units_of_their_rows(people: People) -> None:
    admin, other, learner = await people.register(), await people.register(), await people.register()
    org, second = await admin.create_org(), await other.create_org()
    general = await add_unit(admin, org, "机关党总支", kind="general-branch")
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


@pytest.fixture(name="joined")
async def _join(people: People) -> Joined:
    return await join(people)


async def join(people: People) -> Joined:
    """Create an org with a learner in its directory."""
    admin, learner = await people.register(), await people.register()
    org = await admin.create_org()
    member = await add_member(admin, org, name=learner.name, phone=learner.phone)
    return Joined(admin, learner, org, member)


async def test_accepted_request_removes_the_person_as_removing_by_hand_does(joined: Joined) -> None:
    admin, learner = joined.admin, joined.learner
    request = await joined.ask()
    entry = get_body(await admin.get("/v1/inbox"))["items"][0]
    assert (entry["kind"], entry["subject"], entry["id"]) == ("removal-request", learner.name, request["id"])
    received = get_body(await admin.get(entry["href"]))
    assert (received["member_id"], received["name"]) == (joined.member["id"], learner.name)
    assert (await list_all(learner, MEMBERSHIPS))[0]["removal_request_id"] == request["id"]
    accepted = entry["actions"]["acceptance"]
    get_body(await admin.request(accepted["method"], accepted["href"]), 204)
    get_body(await admin.put(accepted["href"]), 204)  # a repeated decision
    assert (await admin.get(f"{joined.path}/members/{joined.member['id']}")).status_code == 404
    assert [row["id"] for row in await list_all(admin, f"{joined.path}/members/removed")] == [joined.member["id"]]
    assert await list_all(learner, MEMBERSHIPS) == []
    assert (await list_all(learner, REMOVALS))[0]["state"] == "accepted"
    kinds = {message["kind"] for message in await list_all(learner, "/v1/messages")}
    assert {"request-accepted", "row-removed"} <= kinds
    actions = set(await list_actions(admin, joined.org))
    assert {"removal_request.created", "member.removed", "removal_request.accepted"} <= actions


async def test_declined_request_leaves_the_row_and_shows_the_reason(joined: Joined) -> None:
    request = await joined.ask()
    refused = await joined.admin.put(joined.get_path(request, "refusal"), json={"reason": "请先办理转接"})
    get_body(refused, 204)
    (mine,) = await list_all(joined.learner, REMOVALS)
    assert (mine["state"], mine["reason"]) == ("declined", "请先办理转接")
    assert len(await list_all(joined.learner, MEMBERSHIPS)) == 1
    await joined.ask()


async def test_request_waits_once_and_can_be_withdrawn(joined: Joined) -> None:
    request = await joined.ask()
    again = await joined.learner.post(REMOVALS, json={"org_id": joined.org["id"]})
    assert get_refusal(again) == (409, "removal-request-open")
    get_body(await joined.learner.delete(f"{REMOVALS}/{request['id']}"), 204)
    gone = await joined.learner.delete(f"{REMOVALS}/{request['id']}")
    assert get_refusal(gone) == (409, "removal-request-decided")
    assert await list_all(joined.admin, f"{joined.path}/removal-requests") == []


async def test_person_without_a_linked_row_cannot_ask(joined: Joined, people: People) -> None:
    stranger = await people.register()
    await add_member(joined.admin, joined.org, name="另一个人", phone=stranger.phone)
    refused = await stranger.post(REMOVALS, json={"org_id": joined.org["id"]})
    assert get_refusal(refused) == (409, "not-in-directory")


async def test_admin_resigns_before_asking_and_before_being_removed(joined: Joined) -> None:
    refused = await joined.admin.post(REMOVALS, json={"org_id": joined.org["id"]})
    assert get_refusal(refused) == (409, "admin-must-resign")
    request = await joined.ask()
    await add_admin(joined.admin, joined.org, joined.learner)
    accepted = await joined.admin.put(joined.get_path(request, "acceptance"))
    assert get_refusal(accepted) == (409, "member-is-admin")
    assert get_body(await joined.learner.get(f"{REMOVALS}/{request['id']}"))["state"] == "pending"


@pytest.mark.parametrize("way", ["removed", "unlinked"])
async def test_request_is_superseded_with_the_row_or_its_link(joined: Joined, way: str) -> None:
    request = await joined.ask()
    path = f"{joined.path}/members/{joined.member['id']}" + ("" if way == "removed" else "/activation")
    get_body(await joined.admin.delete(path), 204)
    assert get_body(await joined.learner.get(f"{REMOVALS}/{request['id']}"))["state"] == "superseded"
    decided = await joined.admin.put(joined.get_path(request, "acceptance"))
    assert get_refusal(decided) == (409, "removal-request-decided")


async def test_request_of_a_row_that_got_another_phone_is_not_decided(joined: Joined) -> None:
    request = await joined.ask()
    get_body(await joined.admin.patch(f"{joined.path}/members/{joined.member['id']}", json={"phone": fresh_phone()}))
    assert await list_all(joined.admin, f"{joined.path}/removal-requests") == []
    decided = await joined.admin.put(joined.get_path(request, "acceptance"))
    assert get_refusal(decided) == (409, "removal-request-decided")


async def test_closing_the_account_withdraws_the_request(joined: Joined, db: AsyncConnection) -> None:
    request = await joined.ask()
    await close_account(joined.learner)
    state = "SELECT state FROM removal_requests WHERE id = :id"
    assert await db.scalar(text(state), {"id": request["id"]}) == "withdrawn"
