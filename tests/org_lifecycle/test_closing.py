"""Closing an org: the main admin's consent, and undoing it within 7 days (S20)."""

import asyncio

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from tests.acts import Json, add_admin, certify, get_body, get_refusal, invite, send_application
from tests.auth.test_accounts import request_closure
from tests.meanwhile import answer_after_change
from tests.people import People, Person, fresh_org_name


class Scene:
    """An org with a main admin and another admin, under a superior."""

    def __init__(self, superior: Person, superior_org: Json, founder: Person, second: Person, org: Json) -> None:
        self.superior, self.superior_org = superior, superior_org
        self.founder, self.second, self.org = founder, second, org
        self.path = f"/v1/orgs/{org['id']}"

    @classmethod
    async def make(cls, people: People) -> "Scene":
        superior, founder, second = [await people.register() for _ in range(3)]
        superior_org, org = await superior.create_org(), await founder.create_org()
        await add_admin(founder, org, second)
        await certify(superior, superior_org, founder, org)
        return cls(superior, superior_org, founder, second, org)

    async def close(self, person: Person) -> httpx.Response:
        return await person.put(f"{self.path}/closure")

    async def take_back(self, person: Person) -> httpx.Response:
        return await person.delete(f"{self.path}/closure")

    async def read(self, person: Person) -> Json:
        card: Json = get_body(await person.get(self.path))
        return card

    async def read_closing(self, person: Person) -> Json:
        newest: Json = get_body(await person.get(f"{self.path}/closures"))["items"][0]
        return newest

    async def list_actions(self, person: Person, org: Json) -> list[str]:
        return [entry["action"] for entry in get_body(await person.get(f"/v1/orgs/{org['id']}/audit"))["items"]]

    async def set_closing_age(self, db: AsyncConnection, age: str) -> None:
        """Set the closing back in time."""
        statement = "UPDATE closures SET decided_at = now() - CAST(:age AS text)::interval WHERE org_id = :org"
        await db.execute(text(statement), {"age": age, "org": self.org["id"]})
        await db.commit()


async def test_closing_by_another_admin_waits_for_the_main_admin(people: People) -> None:
    scene = await Scene.make(people)
    requested = get_body(await scene.close(scene.second), 202)
    assert (requested["state"], requested["requested_by"]) == ("pending", scene.second.name)
    assert (await scene.read(scene.founder))["status"] == "live"
    assert get_body(await scene.close(scene.second), 202) == requested

    inbox = get_body(await scene.founder.get("/v1/inbox"))["items"]
    (entry,) = [item for item in inbox if item["kind"] == "closure"]
    assert (entry["org_id"], entry["subject"]) == (scene.org["id"], scene.second.name)
    assert entry["actions"] == {
        "approval": {"method": "PUT", "href": f"{scene.path}/closure"},
        "refusal": {"method": "DELETE", "href": f"{scene.path}/closure"},
    }
    assert all(item["kind"] != "closure" for item in get_body(await scene.second.get("/v1/inbox"))["items"])

    closed = get_body(await scene.close(scene.founder))
    assert (closed["status"], closed["superior_id"]) == ("closed", None)
    closing = await scene.read_closing(scene.founder)
    assert (closing["state"], closing["requested_by"], closing["expires_at"]) == ("accepted", scene.second.name, None)


async def test_closed_org_is_closed_again_by_its_main_admin_alone(people: People) -> None:
    scene = await Scene.make(people)
    closed = get_body(await scene.close(scene.founder))
    assert get_body(await scene.close(scene.founder)) == closed
    assert get_refusal(await scene.close(scene.second)) == (409, "org-closed")


async def test_request_to_close_is_declined_by_the_main_admin_and_withdrawn_by_an_admin(people: People) -> None:
    scene = await Scene.make(people)
    get_body(await scene.close(scene.second), 202)
    assert get_body(await scene.take_back(scene.founder))["status"] == "live"
    assert (await scene.read_closing(scene.second))["state"] == "declined"
    get_body(await scene.close(scene.second), 202)
    get_body(await scene.take_back(scene.second))
    assert (await scene.read_closing(scene.founder))["state"] == "withdrawn"
    assert get_refusal(await scene.take_back(scene.founder)) == (404, "not-found")
    assert (await scene.list_actions(scene.founder, scene.org))[:4] == [
        "closure.withdrawn",
        "closure.created",
        "closure.declined",
        "closure.created",
    ]


async def test_request_to_close_an_org_with_subordinates_is_refused(people: People) -> None:
    scene = await Scene.make(people)
    subordinate_admin = await people.register()
    subordinate = await subordinate_admin.create_org()
    await certify(scene.founder, scene.org, subordinate_admin, subordinate)
    assert get_refusal(await scene.close(scene.second)) == (409, "org-has-subordinates")


async def test_closed_org_is_opened_again_by_the_main_admin_under_its_former_superior(people: People) -> None:
    scene = await Scene.make(people)
    get_body(await scene.close(scene.founder))
    ended = get_body(await scene.superior.get(f"/v1/orgs/{scene.superior_org['id']}/audit"))["items"][0]
    assert (ended["action"], ended["after"]) == ("certification.ended", {"cause": "org-closed"})
    assert get_refusal(await scene.take_back(scene.second)) == (403, "main-admin-only")
    assert get_refusal(await scene.take_back(scene.superior)) == (404, "not-found")

    reopened = get_body(await scene.take_back(scene.founder))
    assert (reopened["status"], reopened["closed_at"]) == ("live", None)
    assert reopened["superior_id"] == scene.superior_org["id"]
    closing = await scene.read_closing(scene.founder)
    assert closing["reopened_at"] is not None
    assert closing["can_be_undone_until"] is None
    for person, org in ((scene.founder, scene.org), (scene.superior, scene.superior_org)):
        assert (await scene.list_actions(person, org))[0] == "org.reopened"
    assert get_refusal(await scene.take_back(scene.founder)) == (404, "not-found")
    get_body(await scene.close(scene.founder))


@pytest.mark.parametrize(("age", "status"), [("6 days 23 hours", 200), ("7 days 1 second", 409)])
async def test_closing_can_be_undone_for_seven_days(people: People, db: AsyncConnection, age: str, status: int) -> None:
    scene = await Scene.make(people)
    get_body(await scene.close(scene.founder))
    await scene.set_closing_age(db, age)
    answer = await scene.take_back(scene.founder)
    assert answer.status_code == status
    if status == 409:
        assert get_refusal(answer) == (409, "reopening-too-late")


async def test_reopened_org_has_no_superior_if_a_sibling_has_its_name(people: People) -> None:
    scene = await Scene.make(people)
    get_body(await scene.close(scene.founder))
    namesake_admin = await people.register()
    namesake = await namesake_admin.create_org(name=scene.org["name"])
    await certify(scene.superior, scene.superior_org, namesake_admin, namesake)
    assert get_body(await scene.take_back(scene.founder))["superior_id"] is None


async def test_reopened_org_has_no_superior_if_its_superior_was_closed(people: People) -> None:
    scene = await Scene.make(people)
    get_body(await scene.close(scene.founder))
    get_body(await scene.superior.put(f"/v1/orgs/{scene.superior_org['id']}/closure"))
    assert get_body(await scene.take_back(scene.founder))["superior_id"] is None


async def test_admin_whose_account_was_closed_meanwhile_does_not_return(people: People, db: AsyncConnection) -> None:
    scene = await Scene.make(people)
    get_body(await scene.close(scene.founder))
    get_body(await scene.second.put("/v1/me/closure", json=await request_closure(scene.second)), 204)
    get_body(await scene.take_back(scene.founder))
    admins = get_body(await scene.founder.get(f"{scene.path}/admins"))["items"]
    assert [admin["user_id"] for admin in admins] == [scene.founder.user_id]


async def test_concurrent_withdrawal_and_refusal_of_a_closing_succeed_once(people: People) -> None:
    scene = await Scene.make(people)
    get_body(await scene.close(scene.founder))
    answers = await asyncio.gather(*(scene.take_back(scene.founder) for _ in range(2)))
    assert sorted(answer.status_code for answer in answers) == [200, 404]


async def test_concurrent_consent_to_and_withdrawal_of_a_closing_leave_one_outcome(people: People) -> None:
    scene = await Scene.make(people)
    get_body(await scene.close(scene.second), 202)
    closed, withdrawn = await asyncio.gather(scene.close(scene.founder), scene.take_back(scene.second))
    card = await scene.read(scene.founder)
    # The main admin's closing needs no request, so it always takes effect. The withdrawal comes first or is refused.
    assert closed.status_code == 200
    assert card["status"] == "closed"
    assert withdrawn.status_code in {200, 403}


async def test_rename_of_a_reopened_org_waits_for_its_superior(people: People) -> None:
    scene = await Scene.make(people)
    get_body(await scene.close(scene.founder))
    get_body(await scene.take_back(scene.founder))
    get_body(await scene.founder.patch(scene.path, json={"name": fresh_org_name()}), 202)


async def test_closing_and_reopening_send_messages_to_the_admins_of_the_org_and_its_superior(people: People) -> None:
    scene = await Scene.make(people)
    get_body(await scene.close(scene.second), 202)
    get_body(await scene.close(scene.founder))
    get_body(await scene.take_back(scene.founder))
    for person, kinds in (
        (scene.second, ["org-reopened", "org-closed", "request-accepted"]),
        (scene.superior, ["subordinate-reopened", "subordinate-closed"]),
    ):
        newest = get_body(await person.get("/v1/messages"))["items"][: len(kinds)]
        assert [message["kind"] for message in newest] == kinds
        assert all(message["org_id"] == scene.org["id"] for message in newest)


async def test_admin_who_closes_the_account_during_the_reopening_does_not_stay_admin(people: People) -> None:
    for _ in range(5):
        scene = await Scene.make(people)
        get_body(await scene.close(scene.founder))
        body = await request_closure(scene.second)
        reopened, closed = await asyncio.gather(
            scene.take_back(scene.founder), scene.second.put("/v1/me/closure", json=body)
        )
        assert reopened.status_code == 200
        admins = get_body(await scene.founder.get(f"{scene.path}/admins"))["items"]
        # Either the account is closed, or the org was open before and its admin cannot close the account.
        assert (closed.status_code, len(admins)) in {(204, 1), (409, 2)}


async def test_invitation_of_a_closed_org_stays_revoked_after_the_reopening(people: People) -> None:
    scene, applicant = await Scene.make(people), await people.register()
    invitation = await invite(scene.founder, scene.org)
    get_body(await scene.close(scene.founder))
    get_body(await scene.take_back(scene.founder))
    refused = await send_application(applicant, await applicant.create_org(), invitation["token"])
    assert get_refusal(refused) == (404, "invitation-unknown")


async def test_audit_of_a_closed_org_has_no_link_request_that_its_admins_could_not_see(people: People) -> None:
    scene, stranger = await Scene.make(people), await people.register()
    get_body(await stranger.post("/v1/me/link-requests", json={"org_id": scene.org["id"]}), 201)
    get_body(await scene.close(scene.founder))
    (request,) = get_body(await stranger.get("/v1/me/link-requests"))["items"]
    assert request["state"] == "declined"
    assert "link_request.declined" not in await scene.list_actions(scene.founder, scene.org)


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        ("UPDATE orgs SET version = version + 1 WHERE id = :org", (412, "edited-meanwhile")),
        ("DELETE FROM org_admins WHERE org_id = :org AND user_id = :admin", (403, "forbidden")),
    ],
)
async def test_taking_back_compares_version_and_admin_once_the_org_is_locked(
    people: People, engine: AsyncEngine, change: str, refusal: tuple[int, str]
) -> None:
    scene = await Scene.make(people)
    get_body(await scene.close(scene.second), 202)
    version = {"If-Match": (await scene.second.get(scene.path)).headers["ETag"]}
    answer = await answer_after_change(
        engine,
        lambda: scene.second.delete(f"{scene.path}/closure", headers=version),
        "SELECT FROM orgs WHERE id = :org FOR UPDATE",
        change,
        parameters={"org": scene.org["id"], "admin": scene.second.user_id},
    )
    assert get_refusal(answer) == refusal
    assert (await scene.read_closing(scene.founder))["state"] == "pending"
