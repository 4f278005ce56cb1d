"""A POST that is repeated with its key: the whole answer, the value of the body, and nothing that discloses."""

import httpx
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.auth.operator_accounts import create_operator
from tests.people import People, Person, fresh_name, fresh_phone


async def _post(person: Person, path: str, body: bytes, key: str = "k-1", **headers: str) -> httpx.Response:
    sent = person.headers | {"Content-Type": "application/json", "Idempotency-Key": key} | headers
    return await person.api.post(path, content=body, headers=sent)


async def test_replayed_answer_has_its_status_headers_and_body(people: People) -> None:
    admin = await people.register()
    org = (await admin.create_org())["id"]
    body = f'{{"name": "{fresh_name()}", "phone": "{fresh_phone()}"}}'.encode()
    first, second = [await _post(admin, f"/v1/orgs/{org}/members", body) for _ in range(2)]
    assert (first.status_code, second.status_code) == (201, 201)
    assert second.headers["idempotent-replayed"] == "true"
    ignored = {"x-request-id", "idempotent-replayed"}
    for name in {*first.headers, *second.headers} - ignored:
        assert first.headers.get(name) == second.headers.get(name), name
    assert {"location", "etag", "cache-control", "content-type"} <= set(second.headers)
    assert first.content == second.content


async def test_same_value_written_in_another_way_is_the_same_request(people: People) -> None:
    admin = await people.register()
    org = (await admin.create_org())["id"]
    name, phone = fresh_name(), fresh_phone()
    path = f"/v1/orgs/{org}/members"
    escaped = "".join(f"\\u{ord(letter):04x}" for letter in name)
    for body in (
        f'{{"name":"{name}","phone":"{phone}"}}',
        f'{{ "phone" : "{phone}",\n "name" : "{name}" }}',
        f'{{"name":"{escaped}","phone":"{phone}"}}',
    ):
        answer = await _post(admin, path, body.encode())
        assert answer.status_code == 201, answer.text
    other = await _post(admin, path, f'{{"name":"{name}","phone":"{phone}","party":true}}'.encode())
    assert (other.status_code, other.json()["type"]) == (422, "/problems/idempotency-key-reused")


async def test_repeated_disclosure_of_a_phone_is_authorized_and_audited_each_time(
    people: People, db: AsyncConnection
) -> None:
    admin = await people.register()
    org = (await admin.create_org())["id"]
    phone = fresh_phone()
    member = (await admin.post(f"/v1/orgs/{org}/members", json={"name": fresh_name(), "phone": phone})).json()["id"]
    path = f"/v1/orgs/{org}/members/{member}/phone-disclosures"
    for _ in range(2):
        answer = await admin.post(path, headers={"Idempotency-Key": "k-2"})
        assert (answer.status_code, answer.json()["phone"]) == (200, phone)
        assert "idempotent-replayed" not in answer.headers
    counted = "SELECT count(*) FROM audit_entries WHERE subject_id = :id AND action LIKE '%phone%'"
    assert await db.scalar(text(counted), {"id": member}) == 2
    assert (await admin.delete(f"/v1/orgs/{org}/members/{member}")).status_code == 204
    assert (await admin.post(path, headers={"Idempotency-Key": "k-2"})).status_code == 404


async def test_repeated_call_for_a_secret_is_refused_and_stores_nothing(
    app: FastAPI, people: People, db: AsyncConnection
) -> None:
    operator = await create_operator(app, people)
    body = b'{"name": "points", "kind": "service", "scopes": ["point-events:write"]}'
    made = await _post(operator, "/v1/operator/clients", body, "k-3")
    assert made.status_code == 201, made.text
    secrets = f"/v1/operator/clients/{made.json()['client_id']}/secrets"
    assert (await _post(operator, secrets, b"{}", "k-4")).status_code == 200
    for path, sent, key in (("/v1/operator/clients", body, "k-3"), (secrets, b"{}", "k-4")):
        answer = await _post(operator, path, sent, key)
        assert (answer.status_code, answer.json()["type"]) == (409, "/problems/answer-not-stored")
    clients = (await operator.get("/v1/operator/clients")).json()
    rows = clients["items"] if isinstance(clients, dict) else clients
    assert [row["secrets"] for row in rows if row["id"] == made.json()["client_id"]] == [2]
    stored = "SELECT octet_length(body_cipher) FROM idempotency_keys ORDER BY created_at DESC LIMIT 2"
    assert max((await db.scalars(text(stored))).all()) < len(made.content)
