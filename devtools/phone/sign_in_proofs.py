"""A sign-in on the phone with the number of an account that was not used for a long time."""

from fastapi import APIRouter, Request, Response
from pydantic import ValidationError

from app.auth.oauth.protocol import OAuthError, get_public_client
from app.auth.oauth.token_requests import build_token_request
from app.auth.recoveries.sign_ins import prove_sign_in
from app.auth.token_endpoint.grants import redeem_proof_token
from app.auth.verification.methods import build_redirect_url, require_method
from app.auth.verification.schemas import VerificationCreate
from app.authz.access import Public, build_actor
from app.console.frame.forms import PageForm, catch_problem, validate_fields
from app.console.frame.templates import render_page
from app.core.cipher import CipherDep
from app.database.db import WriteDb
from app.web.errors import Problem
from devtools.phone.proofs import MAX_FORM_BYTES, ProofFormDep, read_proof
from devtools.phone.sign_in import CLIENT, PhoneRoute, answer_signed_in, build_proof_page

router = APIRouter(prefix="/phone", route_class=PhoneRoute, include_in_schema=False, dependencies=[Public])


@router.post("/sign-in-proof", max_body_size=MAX_FORM_BYTES)
async def begin_proof(request: Request, db: WriteDb, cipher: CipherDep, form: ProofFormDep) -> Response:
    """Begin the proof of the name, and show the address at the provider. An ended sign-in is a problem on the page."""
    token = form.get("proof_token", "")
    body = validate_fields(VerificationCreate, read_proof(form))
    if isinstance(body, ValidationError):
        return render_page(request, build_proof_page(request, form, token, form=form, outcome=body))
    require_method(request, body)
    outcome = await catch_problem(db, prove_sign_in(db, cipher, build_actor(request), token, body))
    if isinstance(outcome, Problem):
        return render_page(request, build_proof_page(request, form, token, form=form, outcome=outcome))
    link = build_redirect_url(request, outcome) or ""
    return render_page(request, build_proof_page(request, form, token, begun=True, proof_link=link))


@router.post("/proved-session")
async def begin_proved_session(request: Request, db: WriteDb, form: PageForm) -> Response:
    """Sign in after the proof, or with an account of one's own."""
    names = ("proof_token", "new_account")
    fields = {"client_id": CLIENT} | form.get_filled(*names)
    client = await get_public_client(db, CLIENT)
    try:
        outcome = await redeem_proof_token(build_token_request(request, db, client, fields))
    except OAuthError as refused:
        outcome = refused
    if isinstance(outcome, OAuthError):
        page = build_proof_page(request, form, form.get("proof_token", ""), refusal=outcome.error)
        return render_page(request, page)
    return await answer_signed_in(request, client, outcome, form)
