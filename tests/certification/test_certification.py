"""Invitations, applications, decisions and certifications over HTTP (S6, S14), and their errors."""

import asyncio

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from app.core.qr import draw_svg
from tests.acts import apply, certify, done, invite, list_all
from tests.people import People


async def test_application_when_approved_certifies_the_org(people: People) -> None:
    superior, subordinate = await people.register(), await people.register()
    above, below = await superior.create_org(region_code="320100"), await subordinate.create_org()
    invitation = await invite(superior, above)
    assert invitation["link"].endswith(f"/phone/join?invitation={invitation['token']}")
    card = (await subordinate.get(f"/v1/invitations/{invitation['token']}")).json()
    assert (card["org_id"], card["org_region"]) == (above["id"], "江苏省南京市")

    applied = await apply(subordinate, below, invitation["token"])
    assert applied.status_code == 201
    received = (await superior.get(f"/v1/orgs/{above['id']}/applications", params={"state": "pending"})).json()
    assert [
        (item["subordinate_name"], item["applicant_name"], item["applicant_verified"]) for item in received["items"]
    ] == [(below["name"], subordinate.name, True)]

    approved = await superior.put(f"/v1/orgs/{above['id']}/applications/{applied.json()['id']}/approval")
    assert approved.json()["state"] == "live"
    listed = (await superior.get(f"/v1/orgs/{above['id']}/subordinates")).json()["items"]
    assert [item["id"] for item in listed] == [below["id"]]
    chain = (await subordinate.get(f"/v1/orgs/{below['id']}/superiors")).json()
    assert chain == [{"id": above["id"], "name": above["name"], "distance": 1}]
    # The superior can read the subordinate's card, but not its units.
    assert (await superior.get(f"/v1/orgs/{below['id']}")).json()["superior_id"] == above["id"]
    assert (await superior.get(f"/v1/orgs/{below['id']}/units")).status_code == 404


async def test_invitation_qr_code_contains_the_link(people: People) -> None:
    superior = await people.register()
    above = await superior.create_org()
    invitation = await invite(superior, above)
    picture = await superior.get(f"/v1/orgs/{above['id']}/invitations/{invitation['id']}/qr.svg")
    assert picture.headers["content-type"] == "image/svg+xml"
    assert picture.content == await draw_svg(invitation["link"])  # `tests/core/test_qr.py` decodes such a picture


async def test_invitation_used_up_revoked_or_expired_is_refused(people: People, engine: AsyncEngine) -> None:
    superior, subordinate = await people.register(), await people.register()
    above = await superior.create_org()
    used = await invite(superior, above)
    assert (await apply(subordinate, await subordinate.create_org(), used["token"])).status_code == 201
    second = await subordinate.create_org()
    answer = await apply(subordinate, second, used["token"])
    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/invitation-used-up")

    revoked = await invite(superior, above)
    assert (await superior.delete(f"/v1/orgs/{above['id']}/invitations/{revoked['id']}")).status_code == 204
    answer = await apply(subordinate, second, revoked["token"])
    assert (answer.status_code, answer.json()["type"]) == (404, "/problems/invitation-unknown")

    expired = await invite(superior, above)
    async with engine.begin() as connection:
        past = "UPDATE invitations SET expires_at = now() - interval '1 second' WHERE id = :id"
        await connection.execute(text(past), {"id": expired["id"]})
    answer = await apply(subordinate, second, expired["token"])
    assert (answer.status_code, answer.json()["type"]) == (410, "/problems/invitation-expired")


async def test_invitation_with_one_use_and_concurrent_applications_is_used_once(people: People) -> None:
    superior = await people.register()
    above = await superior.create_org()
    subordinates = [await people.register() for _ in range(3)]
    orgs = [(person, await person.create_org()) for person in subordinates for _ in range(3)]
    invitation = await invite(superior, above)
    answers = await asyncio.gather(*(apply(person, org, invitation["token"]) for person, org in orgs))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 8


async def test_two_orgs_of_one_admin_can_be_superior_and_subordinate(people: People) -> None:
    person = await people.register()
    above, below = await person.create_org(), await person.create_org()
    await certify(person, above, person, below)
    back = await invite(person, below)
    refused = await apply(person, above, back["token"])
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/would-close-circle")
    itself = await apply(person, below, back["token"])
    assert itself.json()["type"] == "/problems/already-certified"


async def test_application_to_the_own_org_is_refused_as_a_circle(people: People) -> None:
    person = await people.register()
    org = await person.create_org()
    refused = await apply(person, org, (await invite(person, org))["token"])
    assert refused.json()["type"] == "/problems/would-close-circle"


async def test_crossing_approvals_make_one_edge(people: People, engine: AsyncEngine) -> None:
    for _ in range(5):
        one, two = await people.register(), await people.register()
        left, right = await one.create_org(), await two.create_org()
        first = (await apply(two, right, (await invite(one, left))["token"])).json()
        second = (await apply(one, left, (await invite(two, right))["token"])).json()
        answers = await asyncio.gather(
            one.put(f"/v1/orgs/{left['id']}/applications/{first['id']}/approval"),
            two.put(f"/v1/orgs/{right['id']}/applications/{second['id']}/approval"),
        )
        assert sorted(answer.status_code for answer in answers) == [200, 409]
        slugs = {answer.json().get("type") for answer in answers if answer.status_code == 409}
        assert slugs == {"/problems/would-close-circle"}


async def test_edge_that_closes_a_circle_is_refused_by_the_database(people: People, engine: AsyncEngine) -> None:
    person = await people.register()
    above, below = await person.create_org(), await person.create_org()
    await certify(person, above, person, below)
    edge = (
        "INSERT INTO certifications (superior_id, subordinate_id, subordinate_name, state, requested_by, certified_at) "
        "VALUES (:above, :below, :name, 'live', :user, now())"
    )
    with pytest.raises(IntegrityError, match="circle"):
        async with engine.begin() as connection:
            values = {"above": below["id"], "below": above["id"], "name": above["name"], "user": person.user_id}
            await connection.execute(text(edge), values)


async def test_approval_of_an_org_with_a_sibling_name_is_refused(people: People) -> None:
    person = await people.register()
    above, first = await person.create_org(), await person.create_org()
    twin = await person.create_org(name=first["name"])
    await certify(person, above, person, first)
    applied = await apply(person, twin, (await invite(person, above))["token"])
    refused = await person.put(f"/v1/orgs/{above['id']}/applications/{applied.json()['id']}/approval")
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/sibling-name-taken")


async def test_application_with_concurrent_decisions_is_decided_once(people: People) -> None:
    superior, subordinate = await people.register(), await people.register()
    above, below = await superior.create_org(), await subordinate.create_org()
    applied = (await apply(subordinate, below, (await invite(superior, above))["token"])).json()
    path = f"/v1/orgs/{above['id']}/applications/{applied['id']}"
    answers = await asyncio.gather(
        superior.put(f"{path}/approval"),
        superior.put(f"{path}/refusal", json={"reason": "材料不全"}),
        subordinate.delete(f"/v1/orgs/{below['id']}/applications/{applied['id']}"),
    )
    assert sorted(answer.status_code for answer in answers)[1:] == [409, 409]
    assert sorted(answer.status_code for answer in answers)[0] in (200, 204)


async def test_org_with_declined_or_withdrawn_application_can_apply_again(people: People) -> None:
    superior, subordinate = await people.register(), await people.register()
    above, below = await superior.create_org(), await subordinate.create_org()
    invitation, once = await invite(superior, above, max_uses=5), await invite(superior, above)
    applied = (await apply(subordinate, below, once["token"])).json()
    for token in (invitation["token"], once["token"]):  # this application has used up the second invitation
        waiting = await apply(subordinate, below, token)
        assert waiting.json()["type"] == "/problems/application-open"
    await superior.put(f"/v1/orgs/{above['id']}/applications/{applied['id']}/refusal", json={"reason": "材料不全"})
    again = (await apply(subordinate, below, invitation["token"])).json()
    assert (await subordinate.delete(f"/v1/orgs/{below['id']}/applications/{again['id']}")).status_code == 204
    history = (await subordinate.get(f"/v1/orgs/{below['id']}/certifications")).json()["items"]
    assert [(item["state"], item["reason"]) for item in history] == [("withdrawn", None), ("declined", "材料不全")]


async def test_released_subordinate_has_no_superior_and_can_be_certified_again(people: People) -> None:
    superior, subordinate = await people.register(), await people.register()
    above, below = await superior.create_org(), await subordinate.create_org()
    await certify(superior, above, subordinate, below)
    assert (await superior.delete(f"/v1/orgs/{above['id']}/subordinates/{below['id']}")).status_code == 204
    assert (await superior.get(f"/v1/orgs/{below['id']}")).status_code == 404
    assert (await superior.delete(f"/v1/orgs/{above['id']}/subordinates/{below['id']}")).status_code == 404
    await certify(superior, above, subordinate, below)
    history = (await subordinate.get(f"/v1/orgs/{below['id']}/certifications")).json()["items"]
    assert [item["state"] for item in history] == ["live", "ended"]


async def test_certification_history_is_filtered_by_time(people: People) -> None:
    superior, subordinate = await people.register(), await people.register()
    above, below = await superior.create_org(), await subordinate.create_org()
    path = f"/v1/orgs/{below['id']}/certifications"
    first = done(await apply(subordinate, below, (await invite(superior, above))["token"]), 201)
    done(await superior.put(f"/v1/orgs/{above['id']}/applications/{first['id']}/refusal", json={"reason": "材料不全"}))
    await certify(superior, above, subordinate, below)
    done(await superior.delete(f"/v1/orgs/{above['id']}/subordinates/{below['id']}"), 204)
    await certify(superior, above, subordinate, below)
    last, middle, refused = done(await subordinate.get(path))["items"]

    async def during(**params: str) -> list[str]:
        return [item["id"] for item in await list_all(subordinate, path, **params)]

    assert await during(until=refused["decided_at"]) == [refused["id"]]
    assert await during(since=middle["certified_at"]) == [last["id"], middle["id"]]
    assert await during(since=middle["certified_at"], until=middle["ended_at"]) == [middle["id"]]
    assert await during(since=last["certified_at"]) == [last["id"]]
    assert (await subordinate.get(path, params={"since": "2026-11-26T00:00:00"})).status_code == 422  # no zone
    assert (await subordinate.get(path, params={"since": "99999-01-01T00:00:00Z"})).status_code == 422


async def test_application_decision_by_another_org_is_not_found(people: People) -> None:
    superior, subordinate, stranger = await people.register(), await people.register(), await people.register()
    above, below = await superior.create_org(), await subordinate.create_org()
    applied = (await apply(subordinate, below, (await invite(superior, above))["token"])).json()
    path = f"/applications/{applied['id']}/approval"
    assert (await subordinate.put(f"/v1/orgs/{above['id']}{path}")).status_code == 404
    assert (await stranger.put(f"/v1/orgs/{above['id']}{path}")).status_code == 404
    # An application to another org is not found under the caller's own org.
    own = await stranger.create_org()
    assert (await stranger.put(f"/v1/orgs/{own['id']}{path}")).status_code == 404


async def test_audit_of_a_certification_hides_the_actor_of_the_other_org(people: People) -> None:
    superior, subordinate = await people.register(), await people.register()
    above, below = await superior.create_org(), await subordinate.create_org()
    await certify(superior, above, subordinate, below)
    for person, org, other in ((superior, above, subordinate), (subordinate, below, superior)):
        answer = await person.get(f"/v1/orgs/{org['id']}/audit")
        assert other.user_id not in answer.text
        assert other.name not in answer.text
