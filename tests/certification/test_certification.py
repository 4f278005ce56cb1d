"""Invitations, applications, decisions and certifications over HTTP (S6, S14), and their errors."""

import asyncio

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from app.core.qr import draw_svg
from tests.acts import certify, get_body, invite, list_all, send_application
from tests.people import People


async def test_application_when_approved_certifies_the_org(people: People) -> None:
    superior_admin, subordinate_admin = await people.register(), await people.register()
    superior, subordinate = await superior_admin.create_org(region_code="320100"), await subordinate_admin.create_org()
    invitation = await invite(superior_admin, superior)
    assert invitation["link"].endswith(f"/open/join?invitation={invitation['token']}")
    card = (await subordinate_admin.get(f"/v1/invitations/{invitation['token']}")).json()
    assert (card["org_id"], card["org_region"]) == (superior["id"], "江苏省南京市")

    applied = await send_application(subordinate_admin, subordinate, invitation["token"])
    assert applied.status_code == 201
    received = (await superior_admin.get(f"/v1/orgs/{superior['id']}/applications", params={"state": "pending"})).json()
    assert [
        (item["subordinate_name"], item["applicant_name"], item["applicant_verified"]) for item in received["items"]
    ] == [(subordinate["name"], subordinate_admin.name, True)]

    approved = await superior_admin.put(f"/v1/orgs/{superior['id']}/applications/{applied.json()['id']}/approval")
    assert approved.json()["state"] == "live"
    listed = (await superior_admin.get(f"/v1/orgs/{superior['id']}/subordinates")).json()["items"]
    assert [item["id"] for item in listed] == [subordinate["id"]]
    chain = (await subordinate_admin.get(f"/v1/orgs/{subordinate['id']}/superiors")).json()["items"]
    assert chain == [{"id": superior["id"], "name": superior["name"], "distance": 1}]
    # The superior can read the subordinate's card, but not its units.
    assert (await superior_admin.get(f"/v1/orgs/{subordinate['id']}")).json()["superior_id"] == superior["id"]
    assert (await superior_admin.get(f"/v1/orgs/{subordinate['id']}/units")).status_code == 404


async def test_invitation_qr_code_contains_the_link(people: People) -> None:
    superior_admin = await people.register()
    superior = await superior_admin.create_org()
    invitation = await invite(superior_admin, superior)
    picture = await superior_admin.get(f"/v1/orgs/{superior['id']}/invitations/{invitation['id']}/qr.svg")
    assert picture.headers["content-type"] == "image/svg+xml"
    assert picture.content == await draw_svg(invitation["link"])  # `tests/core/test_qr.py` decodes such a picture


async def test_invitation_used_up_revoked_or_expired_is_refused(people: People, engine: AsyncEngine) -> None:
    superior_admin, subordinate_admin = await people.register(), await people.register()
    superior = await superior_admin.create_org()
    used = await invite(superior_admin, superior)
    assert (
        await send_application(subordinate_admin, await subordinate_admin.create_org(), used["token"])
    ).status_code == 201
    second = await subordinate_admin.create_org()
    answer = await send_application(subordinate_admin, second, used["token"])
    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/invitation-used-up")

    revoked = await invite(superior_admin, superior)
    assert (await superior_admin.delete(f"/v1/orgs/{superior['id']}/invitations/{revoked['id']}")).status_code == 204
    answer = await send_application(subordinate_admin, second, revoked["token"])
    assert (answer.status_code, answer.json()["type"]) == (404, "/problems/invitation-unknown")

    expired = await invite(superior_admin, superior)
    async with engine.begin() as connection:
        past = "UPDATE invitations SET expires_at = now() - interval '1 second' WHERE id = :id"
        await connection.execute(text(past), {"id": expired["id"]})
    answer = await send_application(subordinate_admin, second, expired["token"])
    assert (answer.status_code, answer.json()["type"]) == (410, "/problems/invitation-expired")


async def test_invitation_with_one_use_and_concurrent_applications_is_used_once(people: People) -> None:
    superior_admin = await people.register()
    superior = await superior_admin.create_org()
    subordinates = [await people.register() for _ in range(3)]
    orgs = [(person, await person.create_org()) for person in subordinates for _ in range(3)]
    invitation = await invite(superior_admin, superior)
    answers = await asyncio.gather(*(send_application(person, org, invitation["token"]) for person, org in orgs))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 8


async def test_two_orgs_of_one_admin_can_be_superior_and_subordinate(people: People) -> None:
    person = await people.register()
    superior, subordinate = await person.create_org(), await person.create_org()
    await certify(person, superior, person, subordinate)
    back = await invite(person, subordinate)
    refused = await send_application(person, superior, back["token"])
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/would-close-circle")
    itself = await send_application(person, subordinate, back["token"])
    assert itself.json()["type"] == "/problems/already-certified"


async def test_application_to_the_own_org_is_refused_as_a_circle(people: People) -> None:
    person = await people.register()
    org = await person.create_org()
    refused = await send_application(person, org, (await invite(person, org))["token"])
    assert refused.json()["type"] == "/problems/would-close-circle"


async def test_unusual_edge_gives_advice_to_both_sides(people: People) -> None:
    person, applicant = await people.register(), await people.register()
    county = await person.create_org()
    outside = await person.create_org(name=f"{county['name'][2:]}党外人士学习组织", kind="outside-party")
    city = await applicant.create_org(region_code="320100")
    for superior, codes in ((county, ["superior-lower"]), (outside, ["superior-lower", "superior-outside-party"])):
        applied = get_body(await send_application(applicant, city, (await invite(person, superior))["token"]), 201)
        assert [advice["code"] for advice in applied["advice"]] == codes
        received = get_body(await person.get(f"/v1/orgs/{superior['id']}/applications/{applied['id']}"))
        assert [advice["code"] for advice in received["advice"]] == codes
        await applicant.delete(f"/v1/orgs/{city['id']}/applications/{applied['id']}")
    usual = await send_application(person, county, (await invite(applicant, city))["token"])
    assert get_body(usual, 201)["advice"] == []


async def test_crossing_approvals_make_one_edge(people: People, engine: AsyncEngine) -> None:
    for _ in range(5):
        left_admin, right_admin = await people.register(), await people.register()
        left, right = await left_admin.create_org(), await right_admin.create_org()
        first = (await send_application(right_admin, right, (await invite(left_admin, left))["token"])).json()
        second = (await send_application(left_admin, left, (await invite(right_admin, right))["token"])).json()
        answers = await asyncio.gather(
            left_admin.put(f"/v1/orgs/{left['id']}/applications/{first['id']}/approval"),
            right_admin.put(f"/v1/orgs/{right['id']}/applications/{second['id']}/approval"),
        )
        assert sorted(answer.status_code for answer in answers) == [200, 409]
        slugs = {answer.json().get("type") for answer in answers if answer.status_code == 409}
        assert slugs == {"/problems/would-close-circle"}


async def test_edge_that_closes_a_circle_is_refused_by_the_database(people: People, engine: AsyncEngine) -> None:
    person = await people.register()
    superior, subordinate = await person.create_org(), await person.create_org()
    await certify(person, superior, person, subordinate)
    edge = (
        "INSERT INTO certifications (superior_id, subordinate_id, subordinate_name, state, requested_by, certified_at) "
        "VALUES (:superior, :subordinate, :name, 'live', :user, now())"
    )
    with pytest.raises(IntegrityError, match="circle"):
        async with engine.begin() as connection:
            values = {
                "superior": subordinate["id"],
                "subordinate": superior["id"],
                "name": superior["name"],
                "user": person.user_id,
            }
            await connection.execute(text(edge), values)


async def test_approval_of_an_org_with_a_sibling_name_is_refused(people: People) -> None:
    person = await people.register()
    superior, first = await person.create_org(), await person.create_org(name="中共玄武区委员会（机关）")
    twin = await person.create_org(name=first["name"].replace("（", " (").replace("）", ")"))
    await certify(person, superior, person, first)
    applied = await send_application(person, twin, (await invite(person, superior))["token"])
    refused = await person.put(f"/v1/orgs/{superior['id']}/applications/{applied.json()['id']}/approval")
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/sibling-name-taken")


async def test_application_with_concurrent_decisions_is_decided_once(people: People) -> None:
    superior_admin, subordinate_admin = await people.register(), await people.register()
    superior, subordinate = await superior_admin.create_org(), await subordinate_admin.create_org()
    applied = (
        await send_application(subordinate_admin, subordinate, (await invite(superior_admin, superior))["token"])
    ).json()
    path = f"/v1/orgs/{superior['id']}/applications/{applied['id']}"
    answers = await asyncio.gather(
        superior_admin.put(f"{path}/approval"),
        superior_admin.put(f"{path}/refusal", json={"reason": "材料不全"}),
        subordinate_admin.delete(f"/v1/orgs/{subordinate['id']}/applications/{applied['id']}"),
    )
    assert sorted(answer.status_code for answer in answers)[1:] == [409, 409]
    assert sorted(answer.status_code for answer in answers)[0] in (200, 204)


async def test_org_with_declined_or_withdrawn_application_can_apply_again(people: People) -> None:
    superior_admin, subordinate_admin = await people.register(), await people.register()
    superior, subordinate = await superior_admin.create_org(), await subordinate_admin.create_org()
    invitation, once = await invite(superior_admin, superior, max_uses=5), await invite(superior_admin, superior)
    applied = (await send_application(subordinate_admin, subordinate, once["token"])).json()
    for token in (invitation["token"], once["token"]):  # this application has used up the second invitation
        waiting = await send_application(subordinate_admin, subordinate, token)
        assert waiting.json()["type"] == "/problems/application-open"
    await superior_admin.put(
        f"/v1/orgs/{superior['id']}/applications/{applied['id']}/refusal", json={"reason": "材料不全"}
    )
    again = (await send_application(subordinate_admin, subordinate, invitation["token"])).json()
    assert (
        await subordinate_admin.delete(f"/v1/orgs/{subordinate['id']}/applications/{again['id']}")
    ).status_code == 204
    history = (await subordinate_admin.get(f"/v1/orgs/{subordinate['id']}/certifications")).json()["items"]
    assert [(item["state"], item["reason"]) for item in history] == [("withdrawn", None), ("declined", "材料不全")]


async def test_released_subordinate_has_no_superior_and_can_be_certified_again(people: People) -> None:
    superior_admin, subordinate_admin = await people.register(), await people.register()
    superior, subordinate = await superior_admin.create_org(), await subordinate_admin.create_org()
    await certify(superior_admin, superior, subordinate_admin, subordinate)
    assert (
        await superior_admin.delete(f"/v1/orgs/{superior['id']}/subordinates/{subordinate['id']}")
    ).status_code == 204
    assert (await superior_admin.get(f"/v1/orgs/{subordinate['id']}")).status_code == 404
    assert (
        await superior_admin.delete(f"/v1/orgs/{superior['id']}/subordinates/{subordinate['id']}")
    ).status_code == 404
    await certify(superior_admin, superior, subordinate_admin, subordinate)
    history = (await subordinate_admin.get(f"/v1/orgs/{subordinate['id']}/certifications")).json()["items"]
    assert [item["state"] for item in history] == ["live", "ended"]


async def test_certification_history_is_filtered_by_time(people: People) -> None:
    superior_admin, subordinate_admin = await people.register(), await people.register()
    superior, subordinate = await superior_admin.create_org(), await subordinate_admin.create_org()
    path = f"/v1/orgs/{subordinate['id']}/certifications"
    first = get_body(
        await send_application(subordinate_admin, subordinate, (await invite(superior_admin, superior))["token"]), 201
    )
    get_body(
        await superior_admin.put(
            f"/v1/orgs/{superior['id']}/applications/{first['id']}/refusal", json={"reason": "材料不全"}
        )
    )
    await certify(superior_admin, superior, subordinate_admin, subordinate)
    get_body(await superior_admin.delete(f"/v1/orgs/{superior['id']}/subordinates/{subordinate['id']}"), 204)
    await certify(superior_admin, superior, subordinate_admin, subordinate)
    last, middle, refused = get_body(await subordinate_admin.get(path))["items"]

    async def during(**params: str) -> list[str]:
        return [item["id"] for item in await list_all(subordinate_admin, path, **params)]

    assert await during(until=refused["decided_at"]) == [refused["id"]]
    assert await during(since=middle["certified_at"]) == [last["id"], middle["id"]]
    assert await during(since=middle["certified_at"], until=middle["ended_at"]) == [middle["id"]]
    assert await during(since=last["certified_at"]) == [last["id"]]
    assert (await subordinate_admin.get(path, params={"since": "2026-11-26T00:00:00"})).status_code == 422  # no zone
    assert (await subordinate_admin.get(path, params={"since": "99999-01-01T00:00:00Z"})).status_code == 422


async def test_application_decision_by_another_org_is_not_found(people: People) -> None:
    superior_admin, subordinate_admin, stranger = (
        await people.register(),
        await people.register(),
        await people.register(),
    )
    superior, subordinate = await superior_admin.create_org(), await subordinate_admin.create_org()
    applied = (
        await send_application(subordinate_admin, subordinate, (await invite(superior_admin, superior))["token"])
    ).json()
    path = f"/applications/{applied['id']}/approval"
    assert (await subordinate_admin.put(f"/v1/orgs/{superior['id']}{path}")).status_code == 404
    assert (await stranger.put(f"/v1/orgs/{superior['id']}{path}")).status_code == 404
    # An application to another org is not found under the caller's own org.
    own = await stranger.create_org()
    assert (await stranger.put(f"/v1/orgs/{own['id']}{path}")).status_code == 404


async def test_audit_of_a_certification_hides_the_actor_of_the_other_org(people: People) -> None:
    superior_admin, subordinate_admin = await people.register(), await people.register()
    superior, subordinate = await superior_admin.create_org(), await subordinate_admin.create_org()
    await certify(superior_admin, superior, subordinate_admin, subordinate)
    for person, org, other in (
        (superior_admin, superior, subordinate_admin),
        (subordinate_admin, subordinate, superior_admin),
    ):
        answer = await person.get(f"/v1/orgs/{org['id']}/audit")
        assert other.user_id not in answer.text
        assert other.name not in answer.text
