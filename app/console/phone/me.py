"""My account on the phone: real name, party membership, my orgs, my points."""

from datetime import timedelta

from fastapi import APIRouter, Request, Response

from app.auth.access import SignedIn
from app.auth.accounts import declare_party_member
from app.auth.alipay import AlipayProvider
from app.auth.errors import AlipayUnavailable
from app.auth.queries import get_me
from app.auth.verifications import begin_alipay_verification
from app.cipher import CipherDep
from app.console.forms import PageForm
from app.console.phone.sign_in import PhoneRoute
from app.console.rendering import page
from app.db import Db
from app.orgs.queries import list_my_orgs
from app.points.days import today
from app.points.queries import get_my_points

router = APIRouter(prefix="/phone", route_class=PhoneRoute, include_in_schema=False)


@router.get("/")
async def show_me(request: Request, db: Db, cipher: CipherDep, scope: SignedIn) -> Response:
    """The first page."""
    me = await get_me(db, cipher, scope)
    return page(request, "phone/me.html", me=me, orgs=await list_my_orgs(db, scope.user_id))


@router.post("/verification")
async def begin_verification(request: Request, db: Db, scope: SignedIn) -> Response:
    """On to Alipay, which tells the service what it finds."""
    provider: AlipayProvider | None = request.app.state.alipay
    if provider is None:
        raise AlipayUnavailable
    _, reference = await begin_alipay_verification(db, scope)
    return Response(status_code=303, headers={"Location": provider.redirect_url(reference)})


@router.post("/party-membership")
async def declare_membership(db: Db, scope: SignedIn, form: PageForm) -> Response:
    """What only I can say (S2)."""
    await declare_party_member(db, scope, form.get("party_member") == "yes")
    return Response(status_code=303, headers={"Location": PhoneRoute.home})


@router.get("/points")
async def show_points(request: Request, db: Db, scope: SignedIn) -> Response:
    """My points, day by day."""
    now = today()
    points = await get_my_points(db, scope.user_id, now, now - timedelta(days=29), now)
    return page(request, "phone/points.html", points=points)
