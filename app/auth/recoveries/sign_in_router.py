"""The proof of the real name at a sign-in with the phone of an account that was not used for a long time."""

from fastapi import APIRouter, Request

from app.auth.errors import MethodNotOffered, PictureRefused, VerificationOpen
from app.auth.recoveries.schemas import SignInProofCreate, SignInProofOut
from app.auth.recoveries.sign_ins import prove_sign_in
from app.auth.verification.methods import build_redirect_url, require_method
from app.auth.verification.schemas import MAX_PROOF_BYTES
from app.authz.access import Public, build_actor
from app.core.cipher import CipherDep
from app.database.db import TransactionalRoute, WriteDb
from app.web.errors import NotFound, TooManyRequests, problems

router = APIRouter(route_class=TransactionalRoute, tags=["sign-in"])


@router.post(
    "/v1/sign-in-proofs",
    summary="Prove my real name to sign in",
    max_body_size=MAX_PROOF_BYTES,
    dependencies=[Public],
    responses=problems(NotFound, VerificationOpen, TooManyRequests, MethodNotOffered, PictureRefused),
)
async def create_sign_in_proof(
    request: Request, db: WriteDb, cipher: CipherDep, body: SignInProofCreate
) -> SignInProofOut:
    """Call this after `POST /oauth/token` has answered `real_name_needed`: the account of this phone is verified and
    was not used for 180 days, so the number may belong to another person by now.

    The person proves their real name at a provider such as Alipay (open `redirect_url` within 30 minutes) or by ID
    card, which an operator reviews within seven days. Then poll `POST /oauth/token` with the grant type
    `urn:xuezu:params:oauth:grant-type:real-name` and the `proof_token`. A person whose account it is not begins an
    account of their own instead: the same call with `new_account=true`, without a proof.
    """
    require_method(request, body.proof)
    reference = await prove_sign_in(db, cipher, build_actor(request), body.proof_token, body.proof)
    return SignInProofOut(redirect_url=build_redirect_url(request, reference))
