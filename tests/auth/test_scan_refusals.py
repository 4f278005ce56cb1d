"""Refusals of the QR scan (BCP 247): codes of others, other phones, wrong numbers and steps in a wrong order."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.authz.tokens import ISSUER, VERIFIER
from tests.acts import invite, send_application
from tests.auth.consoles import DESKTOP, DEVICE_GRANT, Console, approve, scan, sign_in_console
from tests.people import People, Person, fresh_phone


@pytest.fixture
async def person(people: People) -> Person:
    return await people.register(verified=False, party=False)


@pytest.fixture
async def stranger(people: People) -> Person:
    return await people.register(verified=False, party=False)


@pytest.fixture
async def console(api: httpx.AsyncClient) -> Console:
    return await Console.request(api)


WRONG = {"user_code_end": "AAAA"}  # no code has these letters


async def expire(db: AsyncConnection, console: Console) -> None:
    await db.execute(
        text("UPDATE device_authorizations SET expires_at = now() WHERE user_code = :code"),
        {"code": console.user_code},
    )


def is_refused(answer: httpx.Response, status: int, slug: str) -> bool:
    found: dict[str, Any] = answer.json()
    return (answer.status_code, found["type"]) == (status, f"/problems/{slug}")


async def scan_and_approve(person: Person, console: Console) -> str:
    scanned = await scan(person, console)
    answer = await approve(person, scanned["id"], console.proof)
    assert answer.status_code == 200
    return str(scanned["id"])


# Polls


@pytest.mark.parametrize("state", ["pending", "approved"])
async def test_user_code_is_refused_as_device_code(person: Person, console: Console, state: str) -> None:
    if state == "approved":
        await scan_and_approve(person, console)
    for photographed in (console.user_code, console.given["verification_uri_complete"]):
        answer = await console.poll(photographed)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")


async def test_secret_of_another_console_is_refused(person: Person, console: Console) -> None:
    await scan_and_approve(person, console)
    other = await Console.request(person.api)
    assert await other.error() == "authorization_pending"
    ticket = await person.api.put(
        f"/v1/device-authorizations/{console.user_code}/ticket", json={"device_code": other.device_code}
    )
    assert is_refused(ticket, 404, "not-found")


async def test_redemption_by_another_client_is_refused(person: Person, console: Console) -> None:
    await scan_and_approve(person, console)
    made = await console.poll(client_id="xuezu-app")
    assert made.json()["error"] == "unauthorized_client"
    assert (await console.poll()).status_code == 200


async def test_fast_poll_is_slowed_down(console: Console) -> None:
    assert await console.error() == "authorization_pending"
    assert await console.error() == "slow_down"


async def test_poll_after_the_interval_is_accepted(console: Console, db: AsyncConnection) -> None:
    assert await console.error() == "authorization_pending"
    assert await console.error() == "slow_down"
    for seconds, error in ((6, "slow_down"), (16, "authorization_pending")):
        await db.execute(
            text("UPDATE device_authorizations SET polled_at = now() - CAST(:ago AS interval) WHERE user_code = :code"),
            {"ago": timedelta(seconds=seconds), "code": console.user_code},
        )
        assert await console.error() == error


async def test_poll_after_the_longest_interval_is_accepted(console: Console, db: AsyncConnection) -> None:
    """The interval grows to a minute at most. A client that waits for a minute is not slowed down any more."""
    change = text(
        "UPDATE device_authorizations SET interval_seconds = 60, polled_at = now() - CAST(:ago AS interval) "
        "WHERE user_code = :code"
    )
    for seconds, error in ((61, "authorization_pending"), (58, "slow_down"), (61, "authorization_pending")):
        await db.execute(change, {"ago": timedelta(seconds=seconds), "code": console.user_code})
        assert await console.error() == error


async def test_expired_code_is_refused(person: Person, console: Console, db: AsyncConnection) -> None:
    await expire(db, console)
    assert await console.error() == "expired_token"
    assert is_refused(await person.post("/v1/scans", json={"code": console.user_code}), 410, "code-expired")
    picture = await person.api.get(f"/v1/device-authorizations/{console.user_code}/qr.svg")
    assert is_refused(picture, 404, "not-found")


async def test_approval_expires_with_its_code(person: Person, console: Console, db: AsyncConnection) -> None:
    await scan_and_approve(person, console)
    await expire(db, console)
    assert await console.error() == "expired_token"


async def test_refused_scan_denies_the_console(person: Person, console: Console) -> None:
    scanned = await scan(person, console)
    assert (await person.put(f"/v1/scans/{scanned['id']}/refusal")).json()["state"] == "refused"
    assert await console.error() == "access_denied"
    assert is_refused(await approve(person, scanned["id"], WRONG), 409, "scan-decided")


# Scans and approvals by others


async def test_scanned_code_is_refused_to_another_user(person: Person, stranger: Person, console: Console) -> None:
    first = await scan(person, console)
    assert await scan(person, console) == first
    assert is_refused(await stranger.post("/v1/scans", json={"code": console.user_code}), 409, "already-scanned")


async def test_scan_decision_by_a_user_who_did_not_scan_is_refused(
    person: Person, stranger: Person, console: Console
) -> None:
    scanned = await scan(person, console)
    assert is_refused(await approve(stranger, scanned["id"], console.proof), 404, "not-found")
    assert is_refused(await stranger.put(f"/v1/scans/{scanned['id']}/refusal"), 404, "not-found")
    assert is_refused(await stranger.get(f"/v1/scans/{scanned['id']}"), 404, "not-found")
    assert (await approve(person, scanned["id"], console.proof)).status_code == 200


async def test_scan_decision_from_another_phone_of_the_user_is_refused(
    people: People, person: Person, console: Console
) -> None:
    scanned = await scan(person, console)
    second_phone = await people.register(phone=person.phone, verified=False, party=False)
    assert second_phone.user_id == person.user_id
    answer = await approve(second_phone, scanned["id"], console.proof)
    assert is_refused(answer, 404, "not-found")
    again = await second_phone.post("/v1/scans", json={"code": console.user_code})
    assert is_refused(again, 409, "already-scanned")


async def test_scan_by_a_desktop_client_is_refused(person: Person, console: Console) -> None:
    tokens = await sign_in_console(person)
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    answer = await person.api.post("/v1/scans", json={"code": console.user_code}, headers=headers)
    assert is_refused(answer, 403, "insufficient-scope")


async def test_scan_by_the_console_is_refused(app: FastAPI, person: Person, console: Console) -> None:
    token = await VERIFIER.get(app).verify(person.token)
    of_console = await ISSUER.get(app).issue(
        token.subject, client_id="xuezu-console", session_id=token.session_id, scopes=token.scopes
    )
    headers = {"Authorization": f"Bearer {of_console}"}
    answer = await person.api.post("/v1/scans", json={"code": console.user_code}, headers=headers)
    assert is_refused(answer, 403, "app-only")


async def test_scan_without_a_sign_in_is_refused(api: httpx.AsyncClient, console: Console) -> None:
    assert (await api.post("/v1/scans", json={"code": console.user_code})).status_code == 401


@pytest.mark.parametrize("code", ["XXXX-XXXX", "x" * 43, "WDJB", "é", "'; --", "0" * 200])
async def test_unknown_code_is_404(person: Person, code: str) -> None:
    assert is_refused(await person.post("/v1/scans", json={"code": code}), 404, "not-found")


async def test_typed_code_in_another_spelling_is_accepted(person: Person, console: Console) -> None:
    typed = console.user_code.lower().replace("-", " ")
    assert (await person.post("/v1/scans", json={"code": typed})).status_code == 201


async def test_device_code_is_refused_as_user_code(person: Person, console: Console) -> None:
    assert is_refused(await person.post("/v1/scans", json={"code": console.device_code}), 404, "not-found")


async def test_repeated_scans_of_an_unknown_code_are_limited(person: Person) -> None:
    answers = [await person.post("/v1/scans", json={"code": "BBBB-BBBB"}) for _ in range(21)]
    # A raised refusal rolls back and takes no token. An unknown code is a guess: its refusal commits and counts.
    assert answers[-1].status_code == 429


# The order of steps


async def test_approval_of_an_unknown_scan_is_404(person: Person, console: Console) -> None:
    assert is_refused(await approve(person, str(uuid4()), WRONG), 404, "not-found")
    assert await console.error() == "authorization_pending"


async def test_approval_of_an_expired_scan_is_refused(person: Person, console: Console, db: AsyncConnection) -> None:
    scanned = await scan(person, console)
    await expire(db, console)
    assert is_refused(await approve(person, scanned["id"], console.proof), 410, "code-expired")


async def test_second_approval_is_refused(person: Person, console: Console) -> None:
    scan_id = await scan_and_approve(person, console)
    assert is_refused(await approve(person, scan_id, WRONG), 409, "scan-decided")
    assert (await console.poll()).status_code == 200
    assert is_refused(await approve(person, scan_id, WRONG), 409, "scan-decided")
    assert is_refused(await person.put(f"/v1/scans/{scan_id}/refusal"), 409, "scan-decided")


async def test_third_wrong_proof_refuses_the_sign_in(person: Person, console: Console) -> None:
    scanned = await scan(person, console)
    for _ in range(3):
        assert is_refused(await approve(person, scanned["id"], WRONG), 409, "wrong-number")
    assert is_refused(await approve(person, scanned["id"], console.proof), 409, "scan-decided")
    assert await console.error() == "access_denied"


async def test_right_proof_after_two_wrong_ones_is_accepted(person: Person, console: Console) -> None:
    scanned = await scan(person, console)
    for _ in range(2):
        assert (await approve(person, scanned["id"], WRONG)).status_code == 409
    assert (await approve(person, scanned["id"], console.proof)).status_code == 200
    assert (await console.poll()).status_code == 200


@pytest.mark.parametrize("number", ["0", "9", "100", "-1", '"42"', "42.5", "null", "true", "1e400", "NaN", "[42]"])
async def test_malformed_number_is_invalid(person: Person, console: Console, number: str) -> None:
    scanned = await scan(person, console)
    answer = await person.put(
        f"/v1/scans/{scanned['id']}/approval",
        content=f'{{"number": {number}}}',
        headers={"Content-Type": "application/json"},
    )
    assert answer.status_code in {400, 422}


@pytest.mark.parametrize("end", ['"MJH"', '""', '"' + "M" * 21 + '"', "1234", "null", "[]"])
async def test_malformed_end_of_the_user_code_is_invalid(person: Person, console: Console, end: str) -> None:
    scanned = await scan(person, console)
    answer = await person.put(
        f"/v1/scans/{scanned['id']}/approval",
        content=f'{{"user_code_end": {end}}}',
        headers={"Content-Type": "application/json"},
    )
    assert answer.status_code == 422


# What a QR code gives away


async def test_qr_code_does_not_contain_the_user_code(person: Person, console: Console) -> None:
    assert console.user_code not in console.given["verification_uri_complete"]
    scanned = await scan(person, console)
    assert scanned["proof"] == "user-code-end"
    assert console.user_code[-4:] not in str(scanned)


@pytest.mark.parametrize("proof", [{}, {"number": 42}, {"user_code_end": "AAAA"}])
async def test_approval_by_a_stranger_who_has_only_the_qr_code_is_refused(
    stranger: Person, console: Console, proof: dict[str, Any]
) -> None:
    """The stranger has the QR code but does not see the screen, so they cannot sign the client in as themselves."""
    scanned = await scan(stranger, console)
    assert is_refused(await approve(stranger, scanned["id"], proof), 409, "wrong-number")
    assert await console.error() == "authorization_pending"


async def test_approval_with_letters_of_the_qr_code_is_refused(stranger: Person, console: Console) -> None:
    scanned = await scan(stranger, console)
    for end in (console.scan_code[-4:], console.scan_code[:4]):
        if end.upper() != console.user_code[-4:]:
            answer = await approve(stranger, scanned["id"], {"user_code_end": end})
            assert is_refused(answer, 409, "wrong-number")


async def test_end_of_the_user_code_in_another_spelling_is_accepted(person: Person, console: Console) -> None:
    scanned = await scan(person, console)
    end = console.user_code[-4:].lower()
    assert (await approve(person, scanned["id"], {"user_code_end": f" {end[:2]}-{end[2:]}"})).status_code == 200


async def test_approval_after_the_whole_user_code_was_typed_needs_no_proof(person: Person, console: Console) -> None:
    typed = await person.post("/v1/scans", json={"code": console.user_code})
    assert typed.json()["proof"] == "none"
    assert (await approve(person, typed.json()["id"], {})).status_code == 200
    assert (await console.poll()).status_code == 200


async def test_user_code_typed_after_the_scan_changes_nothing(person: Person, console: Console) -> None:
    """A phone that has scanned the code and then types the user code must still prove the end of the user code, because
    the answer to the scan is unchanged."""
    scanned = await scan(person, console)
    typed = await person.post("/v1/scans", json={"code": console.user_code})
    assert typed.json() == scanned


# The console's id is no other program's


async def test_sign_in_of_a_program_with_the_id_of_the_console_is_refused(api: httpx.AsyncClient) -> None:
    started = await api.post("/oauth/device_authorization", data={"client_id": "xuezu-console"})
    assert (started.status_code, started.json()["error"]) == (400, "unauthorized_client")
    for grant in (DEVICE_GRANT, "refresh_token"):
        form = {"grant_type": grant, "client_id": "xuezu-console", "device_code": "x" * 43, "refresh_token": "x" * 43}
        answer = await api.post("/oauth/token", data=form)
        assert (answer.status_code, answer.json()["error"]) == (400, "unauthorized_client")


# The end of the approving session


@pytest.mark.parametrize("ended", ["disabled", "phone signed out", "everything signed out"])
async def test_approval_of_an_ended_session_gives_no_tokens(
    people: People, person: Person, console: Console, db: AsyncConnection, ended: str
) -> None:
    await scan_and_approve(person, console)
    if ended == "disabled":
        await db.execute(text("UPDATE users SET status = 'disabled' WHERE id = :id"), {"id": person.user_id})
    else:
        other = await people.register(phone=person.phone, verified=False, party=False)
        listed = (await other.get("/v1/me/sessions")).json()["items"]
        if ended == "phone signed out":
            scanned_by = next(item for item in listed if not item["current"])
            await other.delete(f"/v1/me/sessions/{scanned_by['id']}")
        else:
            await other.delete("/v1/me/sessions")
    assert await console.error() == "access_denied"
    if ended == "disabled":
        await db.execute(text("UPDATE users SET status = 'active' WHERE id = :id"), {"id": person.user_id})
        assert await console.error() == "access_denied"


# Other sites


async def test_request_of_another_site_is_refused(person: Person, console: Console) -> None:
    evil = {"Origin": "https://evil.example"}
    scanned = await person.post("/v1/scans", json={"code": console.user_code}, headers=evil)
    assert is_refused(scanned, 403, "foreign-origin")
    ticket = await person.api.put(
        f"/v1/device-authorizations/{console.user_code}/ticket",
        json={"device_code": console.device_code},
        headers=evil,
    )
    assert is_refused(ticket, 403, "foreign-origin")
    ours = {"Origin": "http://localhost:8000"}
    assert (await person.post("/v1/scans", json={"code": console.user_code}, headers=ours)).status_code == 201


async def test_every_step_is_audited(person: Person, console: Console, db: AsyncConnection) -> None:
    scan_id = await scan_and_approve(person, console)
    await console.poll()
    rows = await db.execute(
        text("SELECT action, user_id, client_id FROM audit_entries WHERE subject_id = :id ORDER BY id"), {"id": scan_id}
    )
    assert [(action, str(user), client) for action, user, client in rows] == [
        ("device_authorization.scanned", person.user_id, None),
        ("device_authorization.approved", person.user_id, None),
        ("device_authorization.redeemed", person.user_id, DESKTOP),
    ]


async def test_requests_of_nobody_leave_the_audit_as_it_is(api: httpx.AsyncClient, db: AsyncConnection) -> None:
    """The audit is append-only, so it must not grow by what anyone can send without a sign-in."""
    count = text(
        "SELECT count(*) FROM audit_entries WHERE action IN ('device_authorization.started', 'phone_code.sent')"
        " AND user_id IS NULL"
    )
    before = await db.scalar(count)
    for _ in range(3):
        await Console.request(api)
        assert (await api.post("/v1/phone-codes", json={"phone": fresh_phone()})).status_code == 202
    assert (await api.get("/console/")).status_code == 200
    assert await db.scalar(count) == before


async def test_every_refused_step_is_audited(
    person: Person, stranger: Person, console: Console, db: AsyncConnection
) -> None:
    await stranger.post("/v1/scans", json={"code": "XXXX-XXXX"})
    scan_id = await scan_and_approve(person, console)
    await stranger.post("/v1/scans", json={"code": console.user_code})
    await approve(stranger, scan_id, WRONG)
    await stranger.put(f"/v1/scans/{scan_id}/refusal")
    await approve(person, scan_id, WRONG)
    await expire(db, console)
    await stranger.post("/v1/scans", json={"code": console.user_code})
    rows = await db.execute(
        text(
            "SELECT user_id, action, subject_id, after->>'reason' FROM audit_entries"
            " WHERE action LIKE 'device\\_authorization.%\\_refused' AND user_id = ANY(:users) ORDER BY id"
        ),
        {"users": [person.user_id, stranger.user_id]},
    )
    found = [
        (str(user), action.partition(".")[2], subject and str(subject), reason)
        for user, action, subject, reason in rows
    ]
    assert found == [
        (stranger.user_id, "scan_refused", None, "not-found"),
        (stranger.user_id, "scan_refused", scan_id, "already-scanned"),
        (stranger.user_id, "decision_refused", scan_id, "not-found"),
        (stranger.user_id, "decision_refused", scan_id, "not-found"),
        (person.user_id, "decision_refused", scan_id, "scan-decided"),
        (stranger.user_id, "scan_refused", scan_id, "code-expired"),
    ]


# Codes of other purposes


async def test_codes_of_invitations_and_sign_ins_are_not_interchangeable(people: People, console: Console) -> None:
    admin, other = await people.register(), await people.register()
    superior, subordinate = await admin.create_org(), await other.create_org()
    invitation = await invite(admin, superior)
    for code in (invitation["token"], invitation["link"]):
        assert is_refused(await other.post("/v1/scans", json={"code": code[:200]}), 404, "not-found")
        answer = await console.poll(code)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
    for code in (console.user_code, console.device_code, console.given["verification_uri_complete"]):
        answer = await send_application(other, subordinate, code)
        assert answer.status_code in {404, 422}, answer.text
        assert code not in answer.text
    assert await console.error() in {"authorization_pending", "slow_down"}


async def test_refused_scan_is_not_replayed_by_its_idempotency_key(person: Person) -> None:
    """Only the answer to a successful call is stored, so a refused call can be repeated."""
    for _ in range(2):
        key = {"Idempotency-Key": "scanning"}
        answer = await person.post("/v1/scans", json={"code": "BCDF-GHJK"}, headers=key)
        assert is_refused(answer, 404, "not-found")
        assert "Idempotent-Replayed" not in answer.headers
