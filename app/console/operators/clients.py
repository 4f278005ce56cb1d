"""Programs and services that may request tokens: register, revoke, restore, a new secret. A secret is shown once."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from pydantic import ValidationError

from app.auth import clients
from app.auth.clients import ClientRow
from app.auth.operators.schemas import ClientCreate, ClientSecretCreate
from app.authz.access import AsOperator
from app.authz.person_address import BUILT_IN
from app.authz.scopes import DESCRIPTIONS, DEVICE_SCOPES, SERVICE_SCOPES
from app.console.frame.confirmations import PAGE_CHANGED, Confirmation, add_confirmation_routes
from app.console.frame.context import FrameContext, build_operator_frame
from app.console.frame.forms import FormContext, PageForm, catch_problem, validate_fields
from app.console.frame.route import ConsoleRoute
from app.console.frame.templates import Context, render_page, render_part
from app.core.i18n import gettext, ngettext, pgettext
from app.database.db import ReadableDb, ReadDb, WriteDb
from app.idempotency.replay import without_stored_answer
from app.web.errors import NotFound, Problem

router = APIRouter(prefix="/console/operators/clients", route_class=ConsoleRoute, include_in_schema=False)

ClientId = Annotated[str, Path(min_length=1, max_length=100)]


class ClientsPage(FrameContext, template="operators/clients.html"):
    clients: Sequence[ClientRow]
    built_in: frozenset[str] = BUILT_IN

    @property
    def scope_texts(self) -> Mapping[str, str]:
        return {scope: gettext(text) for scope, text in DESCRIPTIONS.items()}


class NewClientForm(FormContext, template="operators/new_client.html"):
    """The form of a new client. `scopes`: the texts of the scopes that each kind can have."""

    chosen: Sequence[str] = ()

    @property
    def scopes(self) -> Mapping[str, Mapping[str, str]]:
        kinds = {"device": DEVICE_SCOPES, "service": SERVICE_SCOPES}
        return {
            kind: {scope: gettext(text) for scope, text in DESCRIPTIONS.items() if scope in allowed}
            for kind, allowed in kinds.items()
        }


class NewSecretForm(FormContext, template="operators/new_secret.html"):
    client: ClientRow


class ClientSecret(Context, template="operators/client_secret.html"):
    """A new client or a new secret. `secret` is shown now and never again; None for a program without one."""

    client_id: str
    secret: str | None


@router.get("")
async def show_clients(request: Request, db: ReadDb, scope: AsOperator) -> Response:
    """Show all clients, also the revoked ones."""
    found = await clients.list_clients(db)
    return render_page(request, ClientsPage(frame=build_operator_frame(scope), clients=found))


@router.get("/new")
async def show_form(request: Request, scope: AsOperator) -> Response:
    """Show the form of a new client."""
    return render_part(request, NewClientForm())


@router.post("")
@without_stored_answer
async def register(request: Request, db: WriteDb, scope: AsOperator, form: PageForm) -> Response:
    """Register a client and show its secret, which is shown only once."""
    chosen = form.get_all("scopes")
    body = validate_fields(ClientCreate, {**form.get_filled("name", "kind"), "scopes": chosen})
    if isinstance(body, ValidationError):
        return render_part(request, NewClientForm(form=form, outcome=body, chosen=chosen))
    creation = clients.create_client(db, scope.actor, name=body.name, kind=body.kind, scopes=body.scopes)
    created = await catch_problem(db, creation)
    if isinstance(created, Problem):
        return render_part(request, NewClientForm(form=form, outcome=created, chosen=chosen))
    return _show_secret(request, created.client_id, created.secret)


@router.get("/{client_id}/secrets/new")
async def show_new_secret(request: Request, db: ReadDb, scope: AsOperator, client_id: ClientId) -> Response:
    """Show the form of a new secret, which asks how long the old ones stay valid."""
    return render_part(request, NewSecretForm(client=await clients.get_client(db, client_id)))


@router.post("/{client_id}/secrets")
@without_stored_answer
async def rotate_secret(
    request: Request, db: WriteDb, scope: AsOperator, client_id: ClientId, form: PageForm
) -> Response:
    """Make a new secret for a service and show it once. The old ones expire after the chosen time."""
    body = validate_fields(ClientSecretCreate, form.get_filled("overlap_hours"))
    if isinstance(body, ValidationError):
        client = await clients.get_client(db, client_id)
        return render_part(request, NewSecretForm(form=form, outcome=body, client=client))
    try:
        secret = await clients.rotate_secret(db, scope.actor, client_id, overlap=timedelta(hours=body.overlap_hours))
    except clients.NoSuchClient:
        raise NotFound from None
    return _show_secret(request, client_id, secret)


@add_confirmation_routes(router, "/{client_id}/revocation")
async def confirm_revocation(request: Request, db: ReadableDb, scope: AsOperator, client_id: ClientId) -> Confirmation:
    """Revoke a client. The operator types its name to confirm."""
    client = await clients.get_client(db, client_id)
    try:
        count = await clients.count_sessions(db, client_id)
    except clients.NoSuchClient:
        raise NotFound from None
    return Confirmation(
        title=gettext("停用“{name}”", name=client.name),
        explanation=ngettext("立即生效：其密钥和令牌失效，{count} 个登录结束。以后可以恢复，届时须重新登录。", count),
        button=pgettext("client", "停用"),
        operation=lambda db, _: clients.revoke_client(db, scope.actor, client_id),
        message=gettext("已停用“{name}”", name=client.name),
        name=client.name,
    )


@add_confirmation_routes(router, "/{client_id}/restoration")
async def confirm_restoration(request: Request, db: ReadableDb, scope: AsOperator, client_id: ClientId) -> Confirmation:
    """Restore a revoked client."""
    client = await clients.get_client(db, client_id)
    return Confirmation(
        title=gettext("恢复“{name}”", name=client.name),
        explanation=gettext(
            "未过期的密钥重新有效；已结束的登录不恢复，须重新登录。如密钥已泄露，恢复后请立即更换密钥，旧密钥选择“立即失效”。"
        ),
        button=gettext("恢复"),
        operation=lambda db, _: clients.restore_client(db, scope.actor, client_id),
        message=gettext("已恢复“{name}”", name=client.name),
        danger=False,
    )


def _show_secret(request: Request, client_id: str, secret: str | None) -> Response:
    response = render_part(request, ClientSecret(client_id=client_id, secret=secret))
    response.headers["HX-Trigger"] = PAGE_CHANGED
    return response
