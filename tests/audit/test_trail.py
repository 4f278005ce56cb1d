"""The audit of all orgs, for operators: ids alone, entries without an org included."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from fastapi import FastAPI

from tests.acts import add_member, add_unit, get_body, list_all
from tests.auth.operator_accounts import create_operator
from tests.people import People, Person

PATH = "/v1/operator/audit-entries"


@pytest.fixture(scope="module")
async def operator(app: FastAPI, people: People) -> Person:
    return await create_operator(app, people)


async def test_operator_reads_entries_of_all_orgs_without_names_and_values(operator: Person, people: People) -> None:
    admins = [await people.register(name="钱主任"), await people.register(name="孙干事")]
    orgs = [await admin.create_org() for admin in admins]
    unit = await add_unit(admins[0], orgs[0], "第一党支部")
    await add_member(admins[0], orgs[0], unit, name="李学员")
    answer = await operator.get(PATH, params={"limit": 100})
    entries = get_body(answer)["items"]
    assert {org["id"] for org in orgs} <= {entry["org_id"] for entry in entries}
    assert [entry["id"] for entry in entries] == sorted((entry["id"] for entry in entries), reverse=True)
    for secret in ("李学员", "钱主任", "第一党支部", "127.0.0.1", "before", "after", admins[0].phone):
        assert secret not in answer.text


async def test_filters_by_org_user_action_and_time_leave_the_rest_out(operator: Person, people: People) -> None:
    admin = await people.register()
    org, other = await admin.create_org(), await admin.create_org()
    unit = await add_unit(admin, org, "第一党支部")
    created = await list_all(operator, PATH, user_id=str(admin.user_id), action="org.created")
    assert [entry["org_id"] for entry in created] == [other["id"], org["id"]]
    assert [entry["subject_id"] for entry in await list_all(operator, PATH, org_id=org["id"], subject_type="unit")] == [
        unit["id"]
    ]
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    assert await list_all(operator, PATH, org_id=org["id"], since=tomorrow) == []
    all_of_org = await list_all(operator, PATH, org_id=org["id"], until=tomorrow)
    assert await list_all(operator, PATH, org_id=org["id"], limit=1) == all_of_org
    assert await list_all(operator, PATH, org_id=str(uuid4())) == []


async def test_entries_without_an_org_are_listed(operator: Person, people: People) -> None:
    person = await people.register()
    await person.create_org()
    entries = await list_all(operator, PATH, user_id=str(person.user_id), without_org=True)
    assert {entry["org_id"] for entry in entries} == {None}
    assert any(entry["action"].startswith("user.") for entry in entries)
    assert await list_all(operator, PATH, user_id=str(person.user_id)) != entries


async def test_admin_of_an_org_does_not_find_the_trail(people: People) -> None:
    admin = await people.register()
    await admin.create_org()
    assert (await admin.get(PATH)).status_code == 404
