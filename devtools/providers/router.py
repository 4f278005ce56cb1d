"""Routes of the simulated providers: a phone's messages, Alipay's page. They exist in development only."""

from typing import Annotated
from urllib.parse import quote

import httpx
from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import HTMLResponse
from sqlalchemy import exists, select

from app.auth.clients import create_client
from app.auth.errors import UnusableScopes
from app.auth.oauth.protocol import PlainForm
from app.authz.access import Public, build_actor
from app.core.cipher import CipherDep
from app.core.phones import Phone
from app.core.services import SETTINGS
from app.database.db import ENGINE, ReadDb, TransactionalRoute, WriteDb
from app.identity.provider import IDENTITY
from app.schema.auth import Verification
from app.web.errors import problems
from devtools.providers.alipay import SimulatedAlipay
from devtools.providers.errors import NoSuchSimulation
from devtools.providers.messages import list_simulated_messages
from devtools.providers.schemas import (
    SimulatedClientCreate,
    SimulatedClientOut,
    SimulatedConsent,
    SimulatedConsentOut,
    SimulatedMessages,
)

sms_router = APIRouter(route_class=TransactionalRoute, tags=["simulators"], dependencies=[Public])
clients_router = APIRouter(route_class=TransactionalRoute, tags=["simulators"], dependencies=[Public])
# Not a TransactionalRoute: it calls the callback, which has its own transaction.
alipay_router = APIRouter(tags=["simulators"], dependencies=[Public])


@sms_router.get("/v1/simulator/sms", summary="Messages of a phone")
async def list_simulated_sms(
    db: ReadDb, cipher: CipherDep, phone: Annotated[Phone, Query(description="The phone whose messages are read.")]
) -> SimulatedMessages:
    """List the messages that the simulated gateway has delivered to a phone, the newest first. Read the sign-in code
    here. The call changes nothing.

    Like a real gateway, this one delivers a moment after the request that sent the message: if the list is empty, call
    again. Three numbers simulate faults: messages to 19900000001 are lost, messages to 19900000002 take five seconds,
    and for 19900000003 the gateway refuses them.
    """
    return SimulatedMessages(items=await list_simulated_messages(db, cipher, phone))


@clients_router.post("/v1/simulator/clients", summary="Make a client", responses=problems(UnusableScopes))
async def create_simulated_client(request: Request, db: WriteDb, body: SimulatedClientCreate) -> SimulatedClientOut:
    """Create a service with a secret, or a desktop program that signs in by scan, for trying things out. In production
    an operator registers a client with `POST /v1/operator/clients` or `xuezu clients create`."""
    created = await create_client(db, build_actor(request), name=body.name, kind=body.kind, scopes=body.scopes)
    return SimulatedClientOut(client_id=created.client_id, client_secret=created.secret)


async def _require_started(request: Request, token: str) -> None:
    engine = ENGINE.get(request)
    started = select(exists().where(Verification.provider_token == token, Verification.state == "started"))
    async with engine.connect() as db:
        if not await db.scalar(started):
            raise NoSuchSimulation


async def _notify_service(request: Request, token: str, *, consents: bool) -> SimulatedConsentOut:
    """Send the signed notification to the service over HTTP, as the real provider does."""
    await _require_started(request, token)
    alipay = IDENTITY.get(request).get(SimulatedAlipay.method)
    assert isinstance(alipay, SimulatedAlipay)
    form = alipay.answer(token, consents=consents)
    transport = httpx.ASGITransport(request.app)
    async with httpx.AsyncClient(transport=transport, base_url=SETTINGS.get(request).issuer) as client:
        response = await client.post("/v1/verifications/alipay/notifications", data=form)
    return SimulatedConsentOut(state="consented" if consents else "declined", notified=response.is_success)


Attempt = Annotated[
    str, Path(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9_-]+$", description="Of the attempt at Alipay.")
]


@alipay_router.post(
    "/simulator/alipay/{attempt}",
    summary="Consent on the Alipay test page",
    responses=problems(NoSuchSimulation),
)
async def create_consent(request: Request, attempt: Attempt, body: SimulatedConsent) -> SimulatedConsentOut:
    """Act as the person at Alipay: prove that the name and the number are yours, or decline. Alipay then notifies the
    service, and the verification is decided."""
    return await _notify_service(request, attempt, consents=body.consents)


@alipay_router.get(
    "/simulator/alipay/{attempt}",
    summary="Alipay test page",
    response_class=HTMLResponse,
    responses=problems(NoSuchSimulation),
)
async def read_consent_page(request: Request, attempt: Attempt) -> HTMLResponse:
    """Show the page on which the person consents or declines. `redirect_url` leads the browser to this page. The call
    changes nothing."""
    await _require_started(request, attempt)
    return _render_page(_FORM_HTML.format(action=f"/simulator/alipay/{quote(attempt, safe='')}/answers"))


@alipay_router.post("/simulator/alipay/{attempt}/answers", include_in_schema=False)
async def create_consent_on_page(request: Request, attempt: Attempt, form: PlainForm) -> HTMLResponse:
    """Send the person's answer, which the form of the simulated Alipay page contains, to the service, as
    `create_consent` does: a consent or a refusal. Return a page that confirms it."""
    await _notify_service(request, attempt, consents="decline" not in form)
    return _render_page('<p>已完成，请返回学组。</p><p><a href="/phone/">返回学组</a></p>')


_FORM_HTML = """\
<p>学组申请核实您填写的姓名与身份证号码是否为本人。</p>
<form method="post" action="{action}">
  <p><button name="consent" value="1">同意</button> <button name="decline" value="1">拒绝</button></p>
</form>"""


def _render_page(content: str) -> HTMLResponse:
    return HTMLResponse(f"{_HEAD_HTML}<main><h1>支付宝（测试环境）</h1>{content}</main></html>")


_HEAD_HTML = """\
<!doctype html><html lang="zh-CN"><meta charset="utf-8"><title>支付宝（测试）</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">
<style>
  body { margin: 0; background: #eef3fb; color: #1c2430; font: 16px/1.6 "PingFang SC", "Noto Sans CJK SC", sans-serif }
  main { max-width: 24rem; margin: 0 auto; padding: 2rem 1.25rem } h1 { font-size: 1.25rem; color: #0b57c0 }
  input, button { font: inherit; width: 100%; box-sizing: border-box; padding: .6rem; border: 1px solid #7d8aa0 }
  button { width: auto; padding: .5rem 1.5rem; border-radius: 6px; background: #fff; border-color: #0b57c0 }
  button[name=consent] { background: #0b57c0; color: #fff }
</style>"""
