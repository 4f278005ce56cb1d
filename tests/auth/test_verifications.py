"""Real-name verification (S1): by Alipay, by ID card, malformed ID numbers and cards of other accounts."""

from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.auth.verification.alipay import ALIPAY
from devtools.providers.alipay import SimulatedAlipay
from tests.people import People, Person, fresh_id_card_number


@pytest.fixture
async def person(people: People) -> Person:
    return await people.register(verified=False, party=False)


def is_refused(answer: httpx.Response, status: int, slug: str) -> bool:
    found: dict[str, Any] = answer.json()
    return (answer.status_code, found["type"]) == (status, f"/problems/{slug}")


async def begin_alipay(person: Person) -> dict[str, Any]:
    begun = await person.post("/v1/me/verifications", json={"method": "alipay"})
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
    page = await person.api.get(begun["redirect_url"])
    assert page.status_code == 200
    assert "<form" in page.text
    consent = {"name": person.name, "id_number": fresh_id_card_number()}
    answer = await person.api.post(begun["redirect_url"], json=consent)
    assert answer.json() == {"state": "consented", "notified": True}
    assert await read_state(person, begun) == ("approved", None)
    me = (await person.get("/v1/me")).json()
    assert (me["verified_name"], me["verification_method"]) == (person.name, "alipay")


async def test_form_of_the_simulated_page_verifies_the_user(person: Person) -> None:
    begun = await begin_alipay(person)
    wrong = await person.api.post(f"{begun['redirect_url']}/answers", data={"name": "李", "id_number": "1"})
    assert wrong.status_code == 422
    form = {"name": person.name, "id_number": fresh_id_card_number()}
    assert (await person.api.post(f"{begun['redirect_url']}/answers", data=form)).status_code == 200
    assert await read_state(person, begun) == ("approved", None)


async def test_declined_attempt_is_rejected_and_can_be_repeated(person: Person) -> None:
    begun = await begin_alipay(person)
    assert (await person.api.post(begun["redirect_url"], json={})).json()["state"] == "declined"
    assert await read_state(person, begun) == ("rejected", "declined")
    assert (await person.get("/v1/me")).json()["verified_name"] is None
    await begin_alipay(person)


async def test_card_of_another_account_is_rejected(people: People, person: Person) -> None:
    number = fresh_id_card_number()
    other = await people.register(verified=False, party=False)
    await people.verify(other, number)
    begun = await begin_alipay(person)
    await person.api.post(begun["redirect_url"], json={"name": person.name, "id_number": number})
    assert await read_state(person, begun) == ("rejected", "id-number-taken")
    assert (await person.get("/v1/me")).json()["verified_name"] is None


async def test_verified_user_cannot_verify_again(people: People, person: Person) -> None:
    first, second = await begin_alipay(person), await begin_alipay(person)
    for begun in (first, second):
        await person.api.post(begun["redirect_url"], json={"name": person.name, "id_number": fresh_id_card_number()})
    assert await read_state(person, second) == ("rejected", "already-verified")
    answer = await person.post("/v1/me/verifications", json={"method": "alipay"})
    assert is_refused(answer, 409, "already-verified")


async def test_repeated_notification_changes_nothing(app: FastAPI, person: Person) -> None:
    alipay = ALIPAY.get(app)
    assert isinstance(alipay, SimulatedAlipay)
    begun = await begin_alipay(person)
    reference = begun["redirect_url"].rsplit("/", 1)[1]
    first = alipay.build_notification(reference, person.name, fresh_id_card_number())
    second = alipay.build_notification(reference, "另一人", fresh_id_card_number())
    for form in (first, first, second):
        answer = await person.api.post("/v1/verifications/alipay-callback", data=form)
        assert (answer.status_code, answer.json()) == (200, {"result": "success"})
    assert (await person.get("/v1/me")).json()["verified_name"] == person.name


@pytest.mark.parametrize("change", ["name", "number", "reference", "sign", "nothing signed", "extra", "no body"])
async def test_notification_without_a_valid_signature_is_refused(
    app: FastAPI, people: People, person: Person, change: str
) -> None:
    alipay = ALIPAY.get(app)
    assert isinstance(alipay, SimulatedAlipay)
    other = await begin_alipay(await people.register(verified=False, party=False))
    begun = await begin_alipay(person)
    form = alipay.build_notification(begun["redirect_url"].rsplit("/", 1)[1], person.name, fresh_id_card_number())
    changes: dict[str, dict[str, str]] = {
        "name": {"cert_name": "另一人"},
        "number": {"cert_no": fresh_id_card_number()},
        "reference": {"out_request_no": other["redirect_url"].rsplit("/", 1)[1]},
        "sign": {"sign": form["sign"][:-1] + ("0" if form["sign"][-1] != "0" else "1")},
        "nothing signed": {"sign": ""},
        "extra": {"note": "x"},
        "no body": {},
    }
    sent = {} if change == "no body" else form | changes[change]
    answer = await person.api.post("/v1/verifications/alipay-callback", data=sent)
    assert answer.status_code == 400
    assert await read_state(person, begun) == ("started", None)


async def test_late_notification_changes_nothing(app: FastAPI, person: Person, db: AsyncConnection) -> None:
    begun = await begin_alipay(person)
    await db.execute(text("UPDATE verifications SET expires_at = now() WHERE id = :id"), {"id": begun["id"]})
    await person.api.post(begun["redirect_url"], json={"name": person.name, "id_number": fresh_id_card_number()})
    assert (await person.get("/v1/me")).json()["verified_name"] is None


async def test_unknown_simulation_is_404(person: Person) -> None:
    nowhere = "http://localhost:8000/simulator/alipay/nothing"
    assert is_refused(await person.api.get(nowhere), 404, "no-such-simulation")
    assert is_refused(await person.api.post(nowhere, json={}), 404, "no-such-simulation")


async def test_sixth_attempt_is_limited(person: Person) -> None:
    for _ in range(5):
        await begin_alipay(person)
    answer = await person.post("/v1/me/verifications", json={"method": "alipay"})
    assert answer.status_code == 429


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
        ("11010519491231００２X", "id-number-shape"),
        ("1.10105194912310E+17", "id-number-shape"),
        ("", "id-number-shape"),
    ],
)
async def test_malformed_id_number_is_refused_and_not_shown(person: Person, number: str, code: str) -> None:
    body = {"method": "id-card", "name": person.name, "id_number": number}
    answer = await person.post("/v1/me/verifications", json=body)
    assert answer.status_code == 422
    assert [error["code"] for error in answer.json()["errors"]] == [code]
    assert not number or number not in answer.text


async def test_id_number_with_a_lower_case_letter_is_accepted(person: Person) -> None:
    number = next(number for number in iter(fresh_id_card_number, None) if number.endswith("X"))
    body = {"method": "id-card", "name": person.name, "id_number": number.lower()}
    answer = await person.post("/v1/me/verifications", json=body)
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
    for body in ({"method": "passport"}, {"method": "alipay", "name": "x"}, {}, {"method": None}):
        assert (await person.post("/v1/me/verifications", json=body)).status_code == 422
