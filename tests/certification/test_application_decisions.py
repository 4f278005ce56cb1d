"""Decisions on many applications with one call (S6): each succeeds or is refused alone."""

import asyncio

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.database.locks import Lock
from tests.acts import Json, get_body, get_refusal, invite, list_actions, list_all, send_application
from tests.meanwhile import answer_after_change
from tests.people import People, Person, fresh_org_name


async def apply_with(people: People, token: str, *names: str) -> list[tuple[Person, Json, str]]:
    """Return the admins, the orgs and the applications of new orgs with these names."""
    admin = await people.register()
    found = []
    for name in names:
        org = await admin.create_org(name=name)
        found.append((admin, org, get_body(await send_application(admin, org, token), 201)["id"]))
    return found


async def decide(admin: Person, org: Json, decision: str, ids: list[str], **body: str) -> Json:
    sent = {"decision": decision, "application_ids": ids, **body}
    answer: Json = get_body(await admin.post(f"/v1/orgs/{org['id']}/application-decisions", json=sent))
    return answer


def list_problems(answer: Json) -> list[str | None]:
    return [item["problem"] and item["problem"]["type"].removeprefix("/problems/") for item in answer["items"]]


async def create_superior(people: People, uses: int = 9) -> tuple[Person, Json, str]:
    admin = await people.register()
    org = await admin.create_org()
    return admin, org, (await invite(admin, org, max_uses=uses))["token"]


async def remove_edges_of(engine: AsyncEngine, superior: Json) -> None:
    """Remove the edges that a test has inserted: they have no audit entry, which other tests look for."""
    async with engine.begin() as connection:
        await connection.execute(text("DELETE FROM certifications WHERE superior_id = :id"), {"id": superior["id"]})


async def test_approval_of_many_certifies_each_that_can_be_and_says_why_others_cannot(people: People) -> None:
    admin, superior, token = await create_superior(people)
    same = fresh_org_name()
    first, second, third, fourth = await apply_with(people, token, fresh_org_name(), same, same, fresh_org_name())
    get_body(await fourth[0].delete(f"/v1/orgs/{fourth[1]['id']}/applications/{fourth[2]}"), 204)
    unknown = superior["id"]
    answer = await decide(admin, superior, "approval", [first[2], second[2], third[2], fourth[2], unknown])
    problems = [None, None, "sibling-name-taken", "application-decided", "not-found"]
    assert (list_problems(answer), answer["decided"], answer["refused"]) == (problems, 2, 3)
    states = [item["application"] and item["application"]["state"] for item in answer["items"]]
    assert states == ["live", "live", "pending", "withdrawn", None]
    listed = await list_all(admin, f"/v1/orgs/{superior['id']}/subordinates")
    assert {item["id"] for item in listed} == {first[1]["id"], second[1]["id"]}
    for org_admin, org, application_id in (first, second):
        assert get_body(await org_admin.get(f"/v1/orgs/{org['id']}"))["superior_id"] == superior["id"]
        entries = await list_all(org_admin, f"/v1/orgs/{org['id']}/audit")
        (entry,) = [entry for entry in entries if entry["action"] == "certification.created"]
        assert (entry["user_id"], entry["subject_id"]) == (None, application_id)
    assert (await list_actions(admin, superior)).count("certification.created") == 2
    messages = await list_all(first[0], "/v1/messages")
    accepted = [message["subject_id"] for message in messages if message["kind"] == "request-accepted"]
    assert sorted(accepted) == sorted([first[2], second[2]])


async def test_refusal_of_many_gives_each_applicant_the_reason(people: People) -> None:
    admin, superior, token = await create_superior(people)
    first, second = await apply_with(people, token, fresh_org_name(), fresh_org_name())
    get_body(await admin.put(f"/v1/orgs/{superior['id']}/applications/{second[2]}/approval"))
    answer = await decide(admin, superior, "refusal", [first[2], second[2]], reason="不归本级管理")
    assert list_problems(answer) == [None, "application-decided"]
    read = get_body(await first[0].get(f"/v1/orgs/{first[1]['id']}/certifications/{first[2]}"))
    assert (read["state"], read["reason"]) == ("declined", "不归本级管理")
    assert (await list_actions(first[0], first[1]))[0] == "application.declined"
    sent = {"decision": "refusal", "application_ids": [first[2]]}
    missing = await admin.post(f"/v1/orgs/{superior['id']}/application-decisions", json=sent)
    assert get_refusal(missing) == (422, "invalid")


async def test_repeated_decision_of_many_changes_nothing_and_succeeds(people: People) -> None:
    admin, superior, token = await create_superior(people)
    first, second = await apply_with(people, token, fresh_org_name(), fresh_org_name())
    for decision, body in (("approval", {}), ("refusal", {"reason": "不归本级管理"})):
        application = (first if decision == "approval" else second)[2]
        once = await decide(admin, superior, decision, [application], **body)
        actions = await list_actions(admin, superior)
        assert await decide(admin, superior, decision, [application], **body) == once
        assert await list_actions(admin, superior) == actions
    assert list_problems(await decide(admin, superior, "approval", [second[2]])) == ["application-decided"]
    assert list_problems(await decide(admin, superior, "refusal", [second[2]], reason="另一理由")) == [
        "application-decided"
    ]


async def test_approval_of_many_refuses_a_circle_and_a_second_superior(people: People, engine: AsyncEngine) -> None:
    admin, superior, token = await create_superior(people)
    (first,) = await apply_with(people, token, fresh_org_name())
    above, top, other_token = await create_superior(people)
    get_body(await send_application(admin, superior, other_token), 201)
    # The org above applies before it is above, and an org gets another superior while its application waits: neither
    # can be done by a call, because the checks of an application refuse both.
    under = get_body(await send_application(above, top, token), 201)["id"]
    received = await list_all(above, f"/v1/orgs/{top['id']}/applications", state="pending")
    assert (await decide(above, top, "approval", [received[0]["id"]]))["decided"] == 1
    other = await (await people.register()).create_org()
    async with engine.begin() as connection:
        live = """
            INSERT INTO certifications (superior_id, subordinate_id, subordinate_name, state, requested_by, decided_at,
                certified_at)
            SELECT :superior, o.id, o.name, 'live', o.main_admin_id, now(), now() FROM orgs AS o WHERE o.id = :id
        """
        await connection.execute(text(live), {"superior": other["id"], "id": first[1]["id"]})
    answer = await decide(admin, superior, "approval", [under, first[2]])
    assert list_problems(answer) == ["would-close-circle", "already-certified"]
    await remove_edges_of(engine, other)


async def test_applications_of_another_org_are_not_found(people: People) -> None:
    admin, superior, _ = await create_superior(people)
    _, _, token = await create_superior(people)
    (foreign,) = await apply_with(people, token, fresh_org_name())
    for decision, body in (("approval", {}), ("refusal", {"reason": "不归本级管理"})):
        answer = await decide(admin, superior, decision, [foreign[2]], **body)
        assert (list_problems(answer), answer["items"][0]["application"]) == (["not-found"], None)
    read = get_body(await foreign[0].get(f"/v1/orgs/{foreign[1]['id']}/certifications/{foreign[2]}"))
    assert read["state"] == "pending"


async def test_concurrent_decisions_of_many_certify_each_applicant_once(people: People) -> None:
    admin, superior, token = await create_superior(people)
    names = [fresh_org_name() for _ in range(4)]
    applications = [each[2] for each in await apply_with(people, token, *names)]
    single = f"/v1/orgs/{superior['id']}/applications/{applications[0]}"
    answers = await asyncio.gather(
        decide(admin, superior, "approval", applications),
        decide(admin, superior, "approval", applications[::-1]),
        decide(admin, superior, "refusal", applications[:2], reason="不归本级管理"),
        admin.put(f"{single}/approval"),
    )
    assert (await list_actions(admin, superior)).count("certification.created") == len(
        await list_all(admin, f"/v1/orgs/{superior['id']}/subordinates")
    )
    for answer in answers[:3]:
        for problem in list_problems(answer):
            assert problem in {None, "application-decided"}


async def test_approval_of_many_sees_an_edge_that_begins_meanwhile(people: People, engine: AsyncEngine) -> None:
    admin, superior, token = await create_superior(people)
    first, second = await apply_with(people, token, fresh_org_name(), fresh_org_name())
    other = await (await people.register()).create_org()
    sent = {"decision": "approval", "application_ids": [first[2], second[2]]}
    answer = await answer_after_change(
        engine,
        lambda: admin.post(f"/v1/orgs/{superior['id']}/application-decisions", json=sent),
        "SELECT pg_advisory_xact_lock(CAST(:hierarchy AS bigint))",
        """
        INSERT INTO certifications (superior_id, subordinate_id, subordinate_name, state, requested_by, decided_at,
            certified_at)
        SELECT CAST(:superior AS uuid), o.id, o.name, 'live', o.main_admin_id, now(), now() FROM orgs AS o
        WHERE o.id = CAST(:id AS uuid)
        """,
        parameters={"hierarchy": Lock.HIERARCHY.value, "superior": other["id"], "id": first[1]["id"]},
    )
    assert list_problems(get_body(answer)) == ["already-certified", None]
    await remove_edges_of(engine, other)
