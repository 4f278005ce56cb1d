"""Real-name verification (S1): by Alipay, by ID card, malformed ID numbers and cards of other accounts."""

import base64
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.identity.provider import IDENTITY
from devtools.providers.alipay import SimulatedAlipay
from tests.people import (
    People,
    Person,
    consent_at_alipay,
    draw_picture,
    fresh_id_card_number,
    name_person,
    open_alipay,
)

SIDES = dict.fromkeys(("front", "back"), base64.b64encode(draw_picture()).decode())

NOTIFICATIONS = "/v1/verifications/alipay/notifications"


@pytest.fixture
async def person(people: People) -> Person:
    return await people.register(verified=False, party=False)


def is_refused(answer: httpx.Response, status: int, slug: str) -> bool:
    found: dict[str, Any] = answer.json()
    return (answer.status_code, found["type"]) == (status, f"/problems/{slug}")


async def begin_alipay(person: Person, id_number: str | None = None) -> dict[str, Any]:
    begun = await person.post("/v1/me/verifications", json=name_person(person.name, id_number))
    assert begun.status_code == 201, begun.text
    found: dict[str, Any] = begun.json()
    return found


async def read_state(person: Person, begun: dict[str, Any]) -> tuple[str, str | None]:
    shown = (await person.get(f"/v1/me/verifications/{begun['id']}")).json()
    return shown["state"], shown["reason"]


# Alipay


async def test_consent_at_alipay_verifies_the_user(person: Person) -> None:
    begun = await begin_alipay(person)
    assert (begun["state"], begun["method"]) == ("started", "alipay")
    address = await open_alipay(person.api, begun["redirect_url"])
    assert await open_alipay(person.api, begun["redirect_url"]) == address, "the address begins one attempt"
    page = await person.api.get(address)
    assert (page.status_code, "<form" in page.text) == (200, True)
    answer = await person.api.post(address, json={"consents": True})
    assert answer.json() == {"state": "consented", "notified": True}
    assert await read_state(person, begun) == ("approved", None)
    me = (await person.get("/v1/me")).json()
    assert (me["verified_name"], me["verification_method"]) == (person.name, "alipay")
    assert "认证已经结束" in (await person.api.get(begun["redirect_url"])).text


async def test_form_of_the_simulated_page_verifies_the_user(person: Person) -> None:
    begun = await begin_alipay(person)
    address = await open_alipay(person.api, begun["redirect_url"])
    assert (await person.api.post(f"{address}/answers", data={"consent": "1"})).status_code == 200
    assert await read_state(person, begun) == ("approved", None)


async def test_declined_attempt_is_rejected_and_can_be_repeated(person: Person) -> None:
    begun = await begin_alipay(person)
    await consent_at_alipay(person.api, begun["redirect_url"], consents=False)
    assert await read_state(person, begun) == ("rejected", "declined")
    assert (await person.get("/v1/me")).json()["verified_name"] is None
    await begin_alipay(person)


async def test_card_that_another_account_takes_meanwhile_is_rejected(people: People, person: Person) -> None:
    number = fresh_id_card_number()
    other = await people.register(verified=False, party=False)
    begun = await begin_alipay(person, number)
    await people.verify(other, number)
    await consent_at_alipay(person.api, begun["redirect_url"])
    assert await read_state(person, begun) == ("rejected", "id-number-taken")
    assert (await person.get("/v1/me")).json()["verified_name"] is None
    again = await person.post("/v1/me/verifications", json=name_person(person.name, number))
    assert is_refused(again, 409, "id-number-taken")


async def test_verified_user_cannot_verify_again(people: People, person: Person) -> None:
    first, second = await begin_alipay(person), await begin_alipay(person)
    for begun in (first, second):
        await consent_at_alipay(person.api, begun["redirect_url"])
    assert await read_state(person, second) == ("rejected", "already-verified")
    answer = await person.post("/v1/me/verifications", json=name_person(person.name))
    assert is_refused(answer, 409, "already-verified")


async def test_repeated_or_unknown_notification_changes_nothing(app: FastAPI, person: Person) -> None:
    alipay = IDENTITY.get(app)["alipay"]
    assert isinstance(alipay, SimulatedAlipay)
    begun = await begin_alipay(person)
    token = (await consent_at_alipay(person.api, begun["redirect_url"])).rsplit("/", 1)[1]
    for form in (alipay.build_notification(token), alipay.build_notification("another-token")):
        answer = await person.api.post(NOTIFICATIONS, data=form)
        assert (answer.status_code, answer.text) == (200, "success")
    assert await read_state(person, begun) == ("approved", None)


@pytest.mark.parametrize("change", ["token", "sign", "nothing signed", "extra", "no body"])
async def test_notification_without_a_valid_signature_is_refused(
    app: FastAPI, people: People, person: Person, change: str
) -> None:
    alipay = IDENTITY.get(app)["alipay"]
    assert isinstance(alipay, SimulatedAlipay)
    begun = await begin_alipay(person)
    token = (await open_alipay(person.api, begun["redirect_url"])).rsplit("/", 1)[1]
    form = alipay.answer("another", consents=True)
    changes: dict[str, dict[str, str]] = {
        "token": {"certify_id": token},
        "sign": {"sign": form["sign"][:-1] + ("0" if form["sign"][-1] != "0" else "1")},
        "nothing signed": {"sign": ""},
        "extra": {"note": "x"},
        "no body": {},
    }
    sent = {} if change == "no body" else form | changes[change]
    answer = await person.api.post(NOTIFICATIONS, data=sent)
    assert is_refused(answer, 400, "bad-signature")
    assert await read_state(person, begun) == ("started", None)


async def test_late_result_changes_nothing(person: Person, db: AsyncConnection) -> None:
    begun = await begin_alipay(person)
    address = await open_alipay(person.api, begun["redirect_url"])
    await db.execute(text("UPDATE verifications SET expires_at = now() WHERE id = :id"), {"id": begun["id"]})
    await person.api.post(address, json={"consents": True})
    assert (await person.get("/v1/me")).json()["verified_name"] is None


async def test_unknown_simulation_is_404(person: Person) -> None:
    nowhere = "http://localhost:8000/simulator/alipay/nothing"
    assert is_refused(await person.api.get(nowhere), 404, "no-such-simulation")
    assert is_refused(await person.api.post(nowhere, json={}), 404, "no-such-simulation")


async def test_sixth_attempt_is_limited(person: Person) -> None:
    for _ in range(5):
        await begin_alipay(person)
    answer = await person.post("/v1/me/verifications", json=name_person(person.name))
    assert answer.status_code == 429


async def test_methods_that_are_offered(person: Person) -> None:
    offered = (await person.api.get("/v1/verification-methods")).json()["items"]
    assert offered == [{"method": "alipay", "reviewed": False}, {"method": "id-card", "reviewed": True}]
    answer = await person.post("/v1/me/verifications", json=name_person(person.name, method="passport"))
    assert is_refused(answer, 409, "verification-method-not-offered")
    unknown = await person.api.post("/v1/verifications/passport/notifications", data={})
    assert is_refused(unknown, 404, "not-found")


# ID card


@pytest.mark.parametrize(
    ("number", "code"),
    [
        ("110105194912310021", "id-number-checksum"),
        ("11010519491231002", "id-number-shape"),
        ("1101051949123100299", "id-number-shape"),
        ("110105194902300020", "id-number-date"),
        ("110105194913310020", "id-number-date"),
        ("110105299912310020", "id-number-date"),
        ("110105189912310020", "id-number-date"),
        ("010105194912310020", "id-number-shape"),
        ("11010519491231００２１", "id-number-checksum"),
        ("1101051949123100²X", "id-number-shape"),
        ("1.10105194912310E+17", "id-number-shape"),
        ("", "id-number-shape"),
    ],
)
async def test_malformed_id_number_is_refused_and_not_shown(person: Person, number: str, code: str) -> None:
    body = {"method": "id-card", "name": person.name, "id_number": number} | SIDES
    answer = await person.post("/v1/me/verifications", json=body)
    assert answer.status_code == 422
    assert [error["code"] for error in answer.json()["errors"]] == [code]
    assert not number or number not in answer.text


@pytest.mark.parametrize("typed", ["lower case", "full width", "with blanks"])
async def test_id_number_is_read_as_people_type_it(person: Person, typed: str) -> None:
    number = next(number for number in iter(fresh_id_card_number, None) if number.endswith("X"))
    given = {
        "lower case": number.lower(),
        "full width": "".join(chr(ord(character) + 0xFEE0) for character in number.lower()),
        "with blanks": f" {number[:6]} {number[6:14]}\u3000{number[14:]}\u200b",
    }[typed]
    answer = await person.post(
        "/v1/me/verifications", json={"method": "id-card", "name": person.name, "id_number": given} | SIDES
    )
    assert answer.status_code == 201
    assert answer.json()["state"] == "submitted"
    assert "id_number" not in answer.json()


async def test_verifications_of_other_users_are_not_shown(people: People, person: Person) -> None:
    own, theirs = await begin_alipay(person), await begin_alipay(await people.register(verified=False, party=False))
    listed = (await person.get("/v1/me/verifications")).json()["items"]
    assert [item["id"] for item in listed] == [own["id"]]
    assert (await person.get(f"/v1/me/verifications/{theirs['id']}")).status_code == 404


async def test_id_number_is_stored_encrypted(person: Person, db: AsyncConnection) -> None:
    number = fresh_id_card_number()
    body = {"method": "id-card", "name": person.name, "id_number": number}
    await person.post("/v1/me/verifications", json=body)
    for table in ("verifications", "users", "audit_entries", "outgoing_events"):
        rows = (await db.execute(text(f"SELECT {table}::text FROM {table}"))).scalars().all()
        assert not any(secret in row for row in rows for secret in (number, number.encode().hex()))


async def test_unknown_method_is_invalid(person: Person) -> None:
    valid = name_person(person.name)
    for body in (valid | {"method": "Alipay!"}, {"method": "alipay", "name": "x"}, {}, valid | {"method": None}):
        assert (await person.post("/v1/me/verifications", json=body)).status_code == 422
