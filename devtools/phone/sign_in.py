"""Sign-in to the phone simulator with a code by SMS. The page for the code shows the messages of the simulated SMS
gateway.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any

from fastapi import APIRouter, BackgroundTasks, Request, Response

from app.auth.oauth.protocol import Client, OAuthError, get_public_client
from app.auth.oauth.token_requests import build_token_request
from app.auth.phone_codes.delivery import send_sign_in_code
from app.auth.phone_codes.schemas import PhoneCodeCreate
from app.auth.sessions import TokenOut, end_session
from app.auth.token_endpoint.grants import redeem_phone_code
from app.auth.verification.methods import list_methods
from app.auth.verification.schemas import VerificationMethodOut
from app.authz.access import Public, SignedIn
from app.authz.cookies import clear_session_cookie, set_session_cookie
from app.console.frame.forms import Form, FormContext, PageForm, validate_fields
from app.console.frame.page_route import PageRoute, is_plain_path
from app.console.frame.phone_fields import read_phone
from app.console.frame.templates import Context, render_page
from app.console.sign_in.pages import build_cookie_session
from app.core.cipher import CipherDep
from app.database.db import WriteDb
from app.web.errors import Invalid, TooManyRequests
from devtools.phone.proofs import list_method_names
from devtools.providers.messages import list_simulated_messages
from devtools.providers.schemas import SimulatedMessageOut

CLIENT = "xuezu-app"


class SignInForm(Context, template="phone/sign_in.html"):
    """`back`: the page to show after the sign-in."""

    back: str
    form: Form = field(default_factory=lambda: Form([]))
    wrong: bool = False

    def get_status(self) -> int:
        return 422 if self.wrong else 200


class CodeForm(Context, template="phone/code.html"):
    """The form for the code that the phone received, with its handle. Messages from before `since` (seconds since
    1970) are not shown."""

    back: str
    phone: str
    handle: str
    since: int
    wrong: bool = False

    def get_status(self) -> int:
        return 422 if self.wrong else 200


class Outbox(Context, template="phone/outbox.html"):
    messages: Sequence[SimulatedMessageOut]
    phone: str
    since: int


class ProofPage(FormContext, template="phone/sign_in_proof.html"):
    """The account of the phone needs a proof of the name. `begun`: the proof has begun, with `proof_link` as its
    address at a provider. `refusal`: why the sign-in did not go on."""

    back: str
    proof_token: str
    methods: Sequence[VerificationMethodOut]
    method_names: Mapping[str, str]
    begun: bool = False
    proof_link: str = ""
    refusal: str = ""

    def get_status(self) -> int:
        return 422 if self.refusal else super().get_status()


def build_proof_page(request: Request, given: Form, proof_token: str, **members: Any) -> ProofPage:
    """Return the page of a sign-in that needs a proof of the name. `members` are further fields of it."""
    methods, names = list_methods(request), list_method_names()
    return ProofPage(
        back=given.get("back", ""), proof_token=proof_token, methods=methods, method_names=names, **members
    )


class NeedsKeyPage(Context, template="phone/needs_key.html"):
    def get_status(self) -> int:
        return 403


class PhoneRoute(PageRoute):
    cookie = "xuezu-phone"
    home = "/phone/"

    @staticmethod
    async def show_sign_in(request: Request) -> Response:
        query = f"?{request.url.query}" if request.url.query else ""
        return render_page(request, SignInForm(back=f"{request.url.path}{query}"))

    @staticmethod
    async def show_step_up(request: Request) -> Response:
        """Show that the phone has no security key: the user needs the console."""
        return render_page(request, NeedsKeyPage())


router = APIRouter(prefix="/phone", route_class=PhoneRoute, include_in_schema=False, dependencies=[Public])
signed_in_router = APIRouter(prefix="/phone", route_class=PhoneRoute, include_in_schema=False)


@router.post("/codes")
async def send_code(request: Request, db: WriteDb, form: PageForm, tasks: BackgroundTasks) -> Response:
    """Send a code and show its form with the received messages."""
    fields = validate_fields(PhoneCodeCreate, read_phone(form))
    back = form.get("back", "")
    if not isinstance(fields, PhoneCodeCreate):
        return render_page(request, SignInForm(back=back, form=form, wrong=True))
    sent = await send_sign_in_code(request, db, tasks, fields.phone)
    if isinstance(sent, TooManyRequests):
        raise sent
    code_form = CodeForm(back=back, phone=fields.phone, handle=sent.handle, since=int(time.time()))
    return render_page(request, code_form)


@router.post("/outbox")
async def show_outbox(request: Request, db: WriteDb, cipher: CipherDep, form: PageForm) -> Response:
    """Show the received messages. The page polls until one has arrived."""
    since = int(form["since"]) if form.get("since", "").isdecimal() and len(form["since"]) < 12 else 0
    messages = await list_simulated_messages(db, cipher, _get_phone(form))
    fresh = [message for message in messages[:1] if message.arrived_at.timestamp() >= since]
    return render_page(request, Outbox(messages=fresh, phone=_get_phone(form), since=since))


@router.post("/session")
async def begin_session(request: Request, db: WriteDb, form: PageForm) -> Response:
    """Sign in. A phone's first sign-in registers its user."""
    given = {"code": form.get("code", "").strip(), "handle": form.get("handle", "")}
    fields = {"client_id": CLIENT, "phone": _get_phone(form)} | given
    client = await get_public_client(db, CLIENT)
    outcome = None
    if all(given.values()):
        outcome = await redeem_phone_code(build_token_request(request, db, client, fields))
    if isinstance(outcome, OAuthError) and "proof_token" in outcome.members:
        return render_page(request, build_proof_page(request, form, outcome.members["proof_token"]))
    if outcome is None or isinstance(outcome, OAuthError):
        again = CodeForm(back=form.get("back", ""), phone=fields["phone"], handle=given["handle"], since=0, wrong=True)
        return render_page(request, again)
    return await answer_signed_in(request, client, outcome, form)


async def answer_signed_in(request: Request, client: Client, tokens: TokenOut, form: Form) -> Response:
    """Return the answer that signs the browser in and goes on to the page that the form names."""
    response = Response(status_code=303, headers={"Location": _find_next_page(form)})
    set_session_cookie(request, response, PhoneRoute.cookie, await build_cookie_session(request, client, tokens))
    return response


@signed_in_router.post("/sign-out")
async def end_my_session(request: Request, db: WriteDb, scope: SignedIn) -> Response:
    """End the session and clear its cookie."""
    await end_session(db, scope.actor, scope.session_id, reason="signed-out", of_user=scope.user_id)
    response = Response(status_code=303, headers={"Location": PhoneRoute.home})
    clear_session_cookie(request, response, PhoneRoute.cookie)
    return response


def _get_phone(form: Form) -> str:
    fields = validate_fields(PhoneCodeCreate, read_phone(form))
    if not isinstance(fields, PhoneCodeCreate):
        raise Invalid
    return fields.phone


def _find_next_page(form: Form) -> str:
    back = form.get("back", "")
    return back if back.startswith("/phone/") and is_plain_path(back) else PhoneRoute.home
