"""Delivery receipts as the providers send them, and the counts of them."""

import base64
import hashlib
import hmac
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import orjson
import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.commands import providers as command
from app.core.services import SETTINGS
from app.core.settings import Settings
from app.sms.receipts import list_receipt_counts, measure_failing_shares
from app.worker.retention import CLEAN_UPS, run_clean_up
from tests.acts import get_refusal
from tests.people import People

SECRET, HOOK_SECRET = "receipts-secret-of-some-length", "played-secret-of-32-characters---"
DAY = timedelta(days=1)


@pytest.fixture
async def receiver(
    app: FastAPI, people: People, db: AsyncConnection, monkeypatch: Any
) -> AsyncIterator[httpx.AsyncClient]:
    await db.execute(text("DELETE FROM sms_receipt_counts"))
    monkeypatch.setenv("XUEZU_SMS_HOOK_URL", "https://hook.example")
    monkeypatch.setenv("XUEZU_SMS_HOOK_SECRET", HOOK_SECRET)
    before = SETTINGS.get(app)
    SETTINGS.provide(app, before.model_copy(update={"sms_receipt_secret": SecretStr(SECRET)}))
    yield people.api
    SETTINGS.provide(app, before)


def report_aliyun(success: bool, out_id: str = "sign-in") -> dict[str, object]:
    return {
        "phone_number": "13900001234",
        "send_time": "2026-01-01 00:00:00",
        "report_time": "2026-01-01 00:00:00",
        "success": success,
        "err_code": "DELIVERED" if success else "MK:0001",
        "err_msg": "x",
        "sms_size": "1",
        "biz_id": "12345",
        "out_id": out_id,
    }


def report_tencent(status: str) -> dict[str, str]:
    return {
        "user_receive_time": "2026-01-01 00:00:00",
        "nationcode": "86",
        "mobile": "13900001234",
        "report_status": status,
        "errmsg": "DELIVRD",
        "description": "x",
        "sid": "5000:10",
    }


def sign_call(body: bytes, *, key: str = HOOK_SECRET, at: float | None = None) -> dict[str, str]:
    stamp = str(int(time.time() if at is None else at))
    signed = hmac.new(key.encode(), b"msg_1." + stamp.encode() + b"." + body, hashlib.sha256).digest()
    return {
        "content-type": "application/json",
        "webhook-id": "msg_1",
        "webhook-timestamp": stamp,
        "webhook-signature": f"v1,bm90IG91cnM= v1,{base64.b64encode(signed).decode()}",
    }


async def test_receipts_are_counted_by_provider_template_and_outcome(
    receiver: httpx.AsyncClient, db: AsyncConnection, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    pushed = [report_aliyun(True), report_aliyun(True), report_aliyun(False), report_aliyun(True, "13900001234")]
    for body in (pushed, [report_aliyun(True, "key-added")]):
        answer = await receiver.post(f"/v1/sms-receipts/aliyun/{SECRET}", json=body)
        assert (answer.status_code, answer.json()["code"]) == (200, 0)
    called = [report_tencent("SUCCESS"), report_tencent("FAIL"), report_tencent("FAIL"), report_tencent("FAIL")]
    assert (await receiver.post(f"/v1/sms-receipts/tencent/{SECRET}", json=called)).json()["result"] == 0
    own = orjson.dumps([{"template": "sign-in", "delivered": True}, {"template": "sign-in"}])
    assert (await receiver.post("/v1/sms-receipts/hook", content=own, headers=sign_call(own))).status_code == 200
    found = [tuple(row) for row in await list_receipt_counts(db, DAY)]
    assert found == [
        ("aliyun", "key-added", 1, 0),
        ("aliyun", "sign-in", 2, 1),
        ("aliyun", "unknown", 1, 0),
        ("hook", "sign-in", 1, 1),
        ("tencent", "unknown", 1, 3),
    ]
    shares = {row.provider: row.share for row in await measure_failing_shares(db, DAY)}
    assert shares == {"aliyun": 0.2, "hook": 0.5, "tencent": 0.75}
    stored = (await db.execute(text("SELECT sms_receipt_counts::text FROM sms_receipt_counts"))).scalars().all()
    assert "13900001234" not in str(stored)
    for row in await command._list_receipts(settings, 24):
        assert row in found
    assert capsys.readouterr().err == ""


async def test_call_without_the_secret_or_the_signature_counts_nothing(
    receiver: httpx.AsyncClient, app: FastAPI, db: AsyncConnection
) -> None:
    body = [report_aliyun(True)]
    for provider, secret, status in (("aliyun", "wrong", 404), ("tencent", "", 404), ("other", SECRET, 422)):
        assert (await receiver.post(f"/v1/sms-receipts/{provider}/{secret}", json=body)).status_code == status
    own = orjson.dumps([{"template": "sign-in", "delivered": True}])
    late = time.time() - 400
    for headers in (sign_call(own, key="another"), sign_call(own, at=late), sign_call(own + b" "), {}):
        answer = await receiver.post("/v1/sms-receipts/hook", content=own, headers=headers)
        assert get_refusal(answer) == (400, "bad-signature")
    for bad in (b"", b"{}", b"[1]", orjson.dumps(body * 1001)):
        answer = await receiver.post(f"/v1/sms-receipts/aliyun/{SECRET}", content=bad)
        assert get_refusal(answer) == (400, "bad-request")
    SETTINGS.provide(app, SETTINGS.get(app).model_copy(update={"sms_receipt_secret": None}))
    assert (await receiver.post(f"/v1/sms-receipts/aliyun/{SECRET}", json=body)).status_code == 404
    assert await list_receipt_counts(db, DAY) == []


async def test_counts_go_after_ninety_days(
    receiver: httpx.AsyncClient, engine: AsyncEngine, db: AsyncConnection
) -> None:
    await receiver.post(f"/v1/sms-receipts/aliyun/{SECRET}", json=[report_aliyun(True)])
    moved = "INSERT INTO sms_receipt_counts SELECT hour - interval '91 days', provider, template, outcome, count FROM "
    await db.execute(text(moved + "sms_receipt_counts"))
    (clean_up,) = [entry for entry in CLEAN_UPS if entry.name == "sms-receipts"]
    assert await run_clean_up(engine, clean_up) == 1
    assert len(await list_receipt_counts(db, timedelta(days=365))) == 1
