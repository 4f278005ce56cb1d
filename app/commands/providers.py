"""`xuezu providers check`: try each provider of the settings from end to end."""

from __future__ import annotations

import asyncio
import secrets
import time
from typing import TYPE_CHECKING, Annotated

import typer

from app.core.settings import CannotStart, Provider

if TYPE_CHECKING:
    from app.core.settings import Settings
    from app.sms.receipts import ReceiptCounts

providers = typer.Typer(no_args_is_help=True, help="The providers of SMS and of real names.")


# Without a callback, typer makes a program of one command out of a group with one command.
@providers.callback()
def _begin() -> None:
    pass


@providers.command()
def check(
    phone: Annotated[
        str | None, typer.Argument(help="A phone at hand. It gets a sign-in code that opens nothing.")
    ] = None,
    wait: Annotated[bool, typer.Option(help="Ask for the code that has arrived.")] = True,
    identity: Annotated[
        bool, typer.Option(help="Prove a name: your own. It asks for it, and for the ID number.")
    ] = False,
) -> None:
    """Try each provider of the settings from end to end: send a message with each of XUEZU_SMS_PROVIDER and ask whether
    it has arrived; with --identity also prove a name with each of XUEZU_IDENTITY_PROVIDER. Exits with 1 if one of them
    fails."""
    from app.commands.configuration import read_settings_and_database

    settings = read_settings_and_database()
    results = [] if phone is None else _check_messages(settings, phone, wait=wait)
    if identity:
        results += _check_names(settings)
    if not results:
        raise CannotStart("There is nothing to check: give a phone, or --identity.")
    raise typer.Exit(0 if all(results) else 1)


def _check_messages(settings: Settings, phone: str, *, wait: bool) -> list[bool]:
    from app.core.phones import PhoneRefused, normalize

    names = [name for name in settings.list_sms_providers() if name != Provider.SIMULATED]
    if not names:
        raise CannotStart("There is nothing to check: XUEZU_SMS_PROVIDER names no provider.")
    try:
        number = normalize(phone)
    except PhoneRefused:
        raise CannotStart("That is no mobile number.") from None
    return [_check(settings, name, number, wait=wait) for name in names]


def _check_names(settings: Settings) -> list[bool]:
    names = [name for name in settings.list_identity_providers() if name != Provider.SIMULATED]
    if not names:
        raise CannotStart("There is nothing to check: XUEZU_IDENTITY_PROVIDER names no provider.")
    person = typer.prompt("Name")
    number = typer.prompt("ID number", hide_input=True)
    return [check_name(settings, name, person, number) for name in names]


def check_name(settings: Settings, provider: str, name: str, number: str) -> bool:
    """Let the person prove a name with one provider, and print what the provider has found out. Return whether the name
    was proved."""
    failure = asyncio.run(_prove(settings, provider, name, number))
    if failure is not None:
        typer.echo(f"{provider}: {failure}.", err=True)
        return False
    typer.echo(f"{provider}: works.")
    return True


async def _prove(settings: Settings, provider: str, name: str, number: str) -> str | None:
    """Prove the name. Return what went wrong, or None."""
    from uuid import uuid4

    from app.core.cipher import Cipher
    from app.identity.loading import open_identity_providers
    from app.identity.provider import Attempt, IdentityFailed, Outcome

    one = settings.model_copy(update={"identity_provider": provider})
    try:
        async with open_identity_providers(one, Cipher(settings)) as opened:
            (found,) = opened.values()
            started = await found.begin(Attempt(uuid4(), name, number, f"{settings.issuer}/verified"))
            typer.echo(f"{provider}: open {started.url} on a phone, and prove that it is you.")
            await asyncio.to_thread(typer.prompt, f"{provider}: then press Enter", default="", show_default=False)
            result = await found.fetch_result(started.token)
    except IdentityFailed as error:
        return f"failed: {error.cause}" + (f" (its code is {error.code})" if error.code else "")
    return None if result.outcome is Outcome.PASSED else f"the name is not proved: {result.outcome}"


def _check(settings: Settings, name: str, phone: str, *, wait: bool) -> bool:
    code = f"{secrets.randbelow(10**6):06}"
    began = time.monotonic()
    failure = asyncio.run(_send(settings, name, phone, code))
    if failure is not None:
        typer.echo(f"{name}: not sent: {failure}.", err=True)
        return False
    typer.echo(f"{name}: accepted in {time.monotonic() - began:.1f} s.")
    if not wait:
        return True
    typed: str = typer.prompt(f"{name}: the code that has arrived (empty: none)", default="", show_default=False)
    if typed.strip() != code:
        typer.echo(f"{name}: the code has not arrived. Look at its console for the receipt.", err=True)
        return False
    typer.echo(f"{name}: works.")
    return True


@providers.command()
def receipts(
    hours: Annotated[int, typer.Option(min=1, max=24 * 90, help="Of the last hours.")] = 24,
) -> None:
    """Show what the providers say has become of messages: the delivery receipts by provider and template, and the share
    that failed."""
    from app.commands.configuration import read_settings_and_database

    settings = read_settings_and_database()
    found = asyncio.run(_list_receipts(settings, hours))
    if not found:
        typer.echo("No receipts. docs/PROVIDERS.md says how to have the providers send them.")
        return
    typer.echo(f"{'provider':<10} {'template':<16} {'delivered':>9} {'failed':>9} {'share':>7}")
    for row in found:
        share = row.failed / (row.delivered + row.failed)
        typer.echo(f"{row.provider:<10} {row.template:<16} {row.delivered:>9} {row.failed:>9} {share:>7.1%}")


async def _list_receipts(settings: Settings, hours: int) -> list[ReceiptCounts]:
    from datetime import timedelta

    from app.database.db import create_engine
    from app.sms.receipts import list_receipt_counts

    engine = create_engine(settings)
    try:
        async with engine.connect() as db:
            return await list_receipt_counts(db, timedelta(hours=hours))
    finally:
        await engine.dispose()


async def _send(settings: Settings, name: str, phone: str, code: str) -> str | None:
    """Send the code. Return what went wrong, or None."""
    from app.core.cipher import Cipher
    from app.database.db import create_engine
    from app.sms.gateway import NotSent
    from app.sms.loading import load_sms_provider
    from app.sms.messages import Message, Template

    factory = load_sms_provider(settings.model_copy(update={"sms_provider": name}))
    assert factory is not None
    engine = create_engine(settings)
    gateway = factory(settings, engine, Cipher(settings))
    try:
        await gateway.send(phone, Message(Template.SIGN_IN, {"code": code}))
    except NotSent as error:
        return f"{error.cause}" + (f" (its code is {error.code})" if error.code else "")
    finally:
        await gateway.close()
        await engine.dispose()
    return None
