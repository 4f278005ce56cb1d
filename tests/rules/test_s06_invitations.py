"""S6 Inviting subordinates · 邀请下级认证"""

from uuid import uuid4

import httpx
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.acts import get_body, get_refusal, invite, send_application
from tests.auth.consoles import Console
from tests.people import People
from tests.rules.world import World, find_superior_id


async def test_invitation_has_link_qr_code_expiry_and_uses_and_can_be_revoked(world: World) -> None:
    """An invitation is a link and a QR code with an expiry and a number of uses, and it can be revoked."""
    invitation = await invite(world.main_admin, world.org, expires_in_hours=24, max_uses=3)
    assert invitation["link"].endswith(invitation["token"])
    assert (invitation["max_uses"], invitation["uses"], invitation["expires_at"] is not None) == (3, 0, True)
    path = f"{world.path}/invitations/{invitation['id']}"
    assert (await world.main_admin.get(f"{path}/qr.svg")).headers["Content-Type"] == "image/svg+xml"
    get_body(await world.main_admin.delete(path), 204)


async def test_subordinates_admin_applies_and_the_superior_decides(world: World, people: People) -> None:
    """The subordinate's admin applies with it and the superior decides."""
    founder = await people.register()
    accepted, declined = await founder.create_org(), await founder.create_org()
    token = (await invite(world.main_admin, world.org, max_uses=2))["token"]
    applications = [get_body(await send_application(founder, org, token), 201) for org in (accepted, declined)]
    assert await find_superior_id(founder, accepted) is None
    paths = [f"{world.path}/applications/{application['id']}" for application in applications]
    get_body(await world.main_admin.put(f"{paths[0]}/approval"))
    get_body(await world.main_admin.put(f"{paths[1]}/refusal", json={"reason": "材料不全"}))
    assert await find_superior_id(founder, accepted) == world.org["id"]
    assert await find_superior_id(founder, declined) is None


async def test_applications_are_decided_together(world: World, people: People) -> None:
    """It decides up to 200 applications with one call; one that cannot be decided is named with its reason and does not
    stop the others.
    """
    founder = await people.register()
    orgs = [await founder.create_org() for _ in range(3)]
    token = (await invite(world.main_admin, world.org, max_uses=3))["token"]
    ids = [get_body(await send_application(founder, org, token), 201)["id"] for org in orgs]
    get_body(await founder.delete(f"/v1/orgs/{orgs[1]['id']}/applications/{ids[1]}"), 204)
    path = f"{world.path}/application-decisions"
    many = {"decision": "approval", "application_ids": [str(uuid4()) for _ in range(201)]}
    assert get_refusal(await world.main_admin.post(path, json=many)) == (422, "invalid")
    decided = get_body(await world.main_admin.post(path, json={"decision": "approval", "application_ids": ids}))
    problems = [item["problem"] and item["problem"]["type"] for item in decided["items"]]
    assert problems == [None, "/problems/application-decided", None]
    superiors = [await find_superior_id(founder, org) for org in orgs]
    assert superiors == [world.org["id"], None, world.org["id"]]


async def test_expired_invitation_is_refused(world: World, people: People, db: AsyncConnection) -> None:
    """Expired: 410 `invitation-expired`."""
    founder = await people.register()
    invitation = await invite(world.main_admin, world.org)
    await db.execute(text("UPDATE invitations SET expires_at = now() WHERE id = :id"), {"id": invitation["id"]})
    applied = await send_application(founder, await founder.create_org(), invitation["token"])
    assert get_refusal(applied) == (410, "invitation-expired")


async def test_invitation_revoked_unknown_or_for_another_purpose_is_unknown(
    world: World, people: People, api: httpx.AsyncClient
) -> None:
    """Revoked, unknown or for another purpose: 404 `invitation-unknown`."""
    founder = await people.register()
    org = await founder.create_org()
    revoked = await invite(world.main_admin, world.org)
    get_body(await world.main_admin.delete(f"{world.path}/invitations/{revoked['id']}"), 204)
    sign_in = await Console.request(api)
    joining = get_body(await world.main_admin.post(f"{world.path}/join-links", json={}), 201)
    for token in (
        revoked["token"],
        "unknown-token",
        sign_in.user_code,
        sign_in.scan_code,
        sign_in.device_code,
        joining["token"],
    ):
        assert get_refusal(await send_application(founder, org, token)) == (404, "invitation-unknown")


async def test_used_up_invitation_is_refused(world: World, people: People) -> None:
    """Used up: 409 `invitation-used-up`."""
    founder = await people.register()
    token = (await invite(world.main_admin, world.org, max_uses=1))["token"]
    get_body(await send_application(founder, await founder.create_org(), token), 201)
    applied = await send_application(founder, await founder.create_org(), token)
    assert get_refusal(applied) == (409, "invitation-used-up")
