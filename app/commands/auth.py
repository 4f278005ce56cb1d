"""`xuezu clients | operators | signing-keys …`: commands for the person who runs the platform and its database."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from app.authz.scopes import DEVICE_SCOPES, SERVICE_SCOPES
from app.core.settings import CannotStart

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from app.audit_log.entries import Actor
    from app.core.cipher import Cipher

T = TypeVar("T")

clients = typer.Typer(no_args_is_help=True, help="Programs that may ask for tokens.")
operators = typer.Typer(no_args_is_help=True, help="Platform operators.")
signing_keys = typer.Typer(no_args_is_help=True, help="The keys of the access tokens.")


_SCOPES_HELP = (
    f"A service can have: {', '.join(sorted(SERVICE_SCOPES))}. A device has at least one of: "
    f"{', '.join(sorted(DEVICE_SCOPES))}. An app has none: it can do all that its people can."
)

_KINDS_HELP = "`device`: a public program that signs in by scan. `app`: the back end of an app."


class Kind(StrEnum):
    SERVICE = "service"
    DEVICE = "device"
    APP = "app"


def run_in_transaction(work: Callable[[AsyncConnection, Cipher], Awaitable[T]]) -> T:
    """Run `work` in one transaction on the configured database. Raises CannotStart."""
    from app.commands.configuration import read_settings_and_database
    from app.core.cipher import Cipher
    from app.database.db import create_engine

    settings = read_settings_and_database()

    async def run() -> T:
        engine = create_engine(settings)
        try:
            async with engine.begin() as db:
                return await work(db, Cipher(settings))
        finally:
            await engine.dispose()

    return asyncio.run(run())


def actor() -> Actor:
    """Return the actor for the audit: the command line."""
    from app.audit_log.entries import Actor

    return Actor(client_id="command-line")


def _parse_name(text: str) -> str:
    from pydantic import TypeAdapter, ValidationError

    from app.core.text import Name

    try:
        return TypeAdapter(Name).validate_python(text)
    except ValidationError:
        raise typer.BadParameter("1 to 100 characters, none of them a control or an invisible one") from None


@clients.command("create")
def create_client(
    name: Annotated[str, typer.Argument(help="What people are shown of it.", callback=_parse_name)],
    kind: Annotated[Kind, typer.Option(help=_KINDS_HELP)] = Kind.SERVICE,
    scope: Annotated[list[str] | None, typer.Option(help=_SCOPES_HELP)] = None,
) -> None:
    """Create a client. The secret of a service or an app is shown once."""
    from app.auth import clients as operations
    from app.auth.errors import UnusableScopes

    try:
        created = run_in_transaction(
            lambda db, _: operations.create_client(db, actor(), name=name, kind=kind.value, scopes=scope or ())
        )
    except UnusableScopes:
        raise CannotStart(f"These scopes cannot be registered for a {kind.value}. {_SCOPES_HELP}") from None
    typer.echo(f"client_id={created.client_id}")
    if created.secret is not None:
        typer.echo(f"client_secret={created.secret}")


@clients.command("rotate")
def rotate_secret(
    client_id: str,
    overlap_hours: Annotated[float, typer.Option(min=0, max=24 * 90, help="How long the old secrets live on.")] = 24,
) -> None:
    """Create a new secret for a service or an app. The old secrets remain valid for a time."""
    from app.auth import clients as operations

    overlap = timedelta(hours=overlap_hours)
    secret = _run_for_client(client_id, lambda db, _: operations.rotate_secret(db, actor(), client_id, overlap=overlap))
    typer.echo(f"client_secret={secret}")


@clients.command("revoke")
def revoke_client(client_id: str, yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False) -> None:
    """Revoke a client immediately, with its tokens and sessions."""
    from app.auth import clients as operations

    if not yes:
        sessions = _run_for_client(client_id, lambda db, _: operations.count_sessions(db, client_id))
        typer.echo(f"This signs out {sessions} sessions.")
        typer.confirm(f"Revoke {client_id}?", abort=True)
    _run_for_client(client_id, lambda db, _: operations.revoke_client(db, actor(), client_id))
    typer.echo(f"{client_id} is revoked.")


@clients.command("restore")
def restore_client(client_id: str) -> None:
    """Undo the revocation of a client. People sign in again."""
    from app.auth import clients as operations

    _run_for_client(client_id, lambda db, _: operations.restore_client(db, actor(), client_id))
    typer.echo(f"{client_id} is restored.")


@clients.command("list")
def list_clients() -> None:
    """List all programs and services that may request tokens."""
    from app.auth import clients as operations

    for row in run_in_transaction(lambda db, _: operations.list_clients(db)):
        state = "revoked" if row.revoked_at else f"{row.secrets} secrets" if row.has_secrets else "public"
        typer.echo(f"{row.id}  {row.kind}  {row.name}  {' '.join(row.scopes) or '-'}  {state}")


@operators.command("add")
def add_operator(
    phone: str,
    name: Annotated[str, typer.Argument(help="The name in the list of operators.", callback=_parse_name)],
) -> None:
    """Make the user with this phone an operator, or recover one without keys; prints an enrolment code for one
    key, valid for a day."""
    from app.auth.operators import operators as operations

    number = _parse_phone(phone)
    code = run_in_transaction(lambda db, cipher: operations.add_operator(db, cipher, actor(), number, name))
    typer.echo(f"enrolment_code={code}")
    typer.echo("Sign in to the console and register the first security key with this code at /console/security.")


@operators.command("remove")
def remove_operator(phone: str) -> None:
    """Remove the rights of an operator."""
    from app.auth.operators import operators as operations

    number = _parse_phone(phone)
    try:
        run_in_transaction(lambda db, cipher: operations.remove_operator(db, cipher, actor(), number))
    except operations.NoSuchOperator:
        raise CannotStart("No operator has this phone: see `xuezu operators list`.") from None
    typer.echo("The operator is removed.")


@operators.command("list")
def list_operators() -> None:
    """List the operators."""
    from app.auth.operators import operators as operations

    for row in run_in_transaction(lambda db, _: operations.list_operators(db)):
        typer.echo(f"{row.user_id}  {row.name}  {row.keys} keys")


@signing_keys.command("rotate")
def rotate_signing_key() -> None:
    """Create the next key of the access tokens. No user is signed out."""
    from app.authz import signing_keys as operations

    kid = run_in_transaction(lambda db, cipher: operations.rotate_signing_key(db, cipher, actor()))
    typer.echo(f"{kid} signs from {operations.LEAD.total_seconds():.0f} seconds on.")


@signing_keys.command("drop")
def drop_signing_key(kid: str) -> None:
    """Drop a leaked key and all access tokens that it signed. Refresh tokens stay valid."""
    from app.authz import signing_keys as operations

    if not run_in_transaction(lambda db, _: operations.drop_signing_key(db, actor(), kid)):
        raise CannotStart(f"There is no signing key {kid}: see /oauth/jwks.")
    typer.echo(f"{kid} is dropped.")


def _parse_phone(text: str) -> str:
    from app.core.phones import PhoneRefused, normalize

    try:
        return normalize(text)
    except PhoneRefused as refused:
        raise CannotStart(f"That is not a Chinese mobile number ({refused.code}).") from None


def _run_for_client(client_id: str, work: Callable[[AsyncConnection, Cipher], Awaitable[T]]) -> T:
    from app.auth.clients import NoSuchClient
    from app.auth.errors import BuiltInClient

    try:
        return run_in_transaction(work)
    except BuiltInClient:
        raise CannotStart(f"{client_id} is part of the service and cannot be revoked.") from None
    except NoSuchClient:
        raise CannotStart(f"There is no live client {client_id} to do this with: see `xuezu clients list`.") from None
