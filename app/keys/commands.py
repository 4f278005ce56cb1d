"""`xuezu keys …`: making an installation's secrets, and rotating the data keys."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

import typer

from app.settings import CannotStart, make_key

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from app.cipher import Cipher

T = TypeVar("T")

keys = typer.Typer(help="The secrets of an installation.")


@keys.callback(invoke_without_command=True)
def make(context: typer.Context) -> None:
    """Make the two secrets of an installation, ready for its secret store."""
    if context.invoked_subcommand is None:
        typer.echo(f"XUEZU_DATA_KEYS=k{secrets.token_hex(4)}:{make_key()}")
        typer.echo(f"XUEZU_INDEX_KEY={make_key()}")


@keys.command()
def rotate() -> None:
    """Encrypt everything by the first of XUEZU_DATA_KEYS; the service may go on meanwhile.

    Put the new key before the old in XUEZU_DATA_KEYS, restart every process, run this, then drop the old key.
    """
    from app.auth.commands import actor
    from app.keys.rotation import StillHeld, rotate_data_keys

    shown: dict[str, int] = {}

    def told(column: str, done: int, total: int) -> None:
        if done >= total or done - shown.get(column, 0) >= 50_000:
            shown[column] = done
            typer.echo(f"{column}: {done} of {total}")

    async def work(engine: AsyncEngine, cipher: Cipher) -> dict[str, int]:
        try:
            return await rotate_data_keys(engine, cipher, actor(), told)
        except StillHeld as held:
            raise CannotStart(f"others hold rows of {held} for long: run this again later.") from None

    primary, refused = asyncio.run(_over_database(work))
    for column, values in refused.items():
        typer.echo(f"{column}: {values} values are encrypted by a key that XUEZU_DATA_KEYS does not give", err=True)
    if refused:
        raise typer.Exit(1)
    typer.echo(f"Everything is encrypted by {primary}; the other data keys are no longer needed.")


async def _over_database(work: Callable[[AsyncEngine, Cipher], Awaitable[T]]) -> tuple[str, T]:
    """Do this with the settings' database and keys; gives the first key's id and what it gave. Raises CannotStart."""
    from app.cipher import Cipher
    from app.configuration import read_settings, with_database
    from app.db import create_engine

    settings = with_database(read_settings())
    engine, cipher = create_engine(settings), Cipher(settings)
    try:
        return cipher.primary, await work(engine, cipher)
    finally:
        await engine.dispose()
