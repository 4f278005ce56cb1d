"""`xuezu keys …`: create the secrets of an installation, and rotate its keys."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from app.core.settings import CannotStart, Settings, make_key

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

T = TypeVar("T")

keys = typer.Typer(help="The secrets of an installation.")


@keys.callback(invoke_without_command=True)
def create_secrets(context: typer.Context) -> None:
    """Create the two secrets of an installation, for its secret store."""
    if context.invoked_subcommand is None:
        typer.echo(f"XUEZU_DATA_KEYS=k{secrets.token_hex(4)}:{make_key()}")
        typer.echo(f"XUEZU_INDEX_KEY={make_key()}")


@keys.command()
def rotate(
    without_lost_keys: Annotated[
        bool,
        typer.Option(help="Give up the values of data keys that are lost, so that the service starts without them."),
    ] = False,
) -> None:
    """Encrypt everything with the first key of XUEZU_DATA_KEYS, while the service runs.

    Put the new key before the old one in XUEZU_DATA_KEYS, restart every process, run this command, then drop the old
    key.
    """
    from app.commands.auth import actor
    from app.core.cipher import Cipher
    from app.key_rotation.data_key import RowsStayLocked, rotate_data_keys

    shown: dict[str, int] = {}

    def show_progress(column: str, done: int, total: int) -> None:
        if done >= total or done - shown.get(column, 0) >= 50_000:
            shown[column] = done
            typer.echo(f"{column}: {done} of {total}")

    async def work(engine: AsyncEngine, settings: Settings) -> tuple[str, dict[str, int]]:
        cipher = Cipher(settings)
        try:
            lost = await rotate_data_keys(engine, cipher, actor(), show_progress, without_lost_keys=without_lost_keys)
            return cipher.primary, lost
        except RowsStayLocked as locked:
            raise CannotStart(f"Other transactions lock rows of {locked} for too long: run this again later.") from None

    primary, refused = _run_with_database(work, with_all_data_keys=False)
    for column, values in refused.items():
        typer.echo(f"{column}: {values} values are encrypted by a key that XUEZU_DATA_KEYS does not give", err=True)
    if refused and not without_lost_keys:
        raise typer.Exit(1)
    what = "Everything else" if refused else "Everything"
    typer.echo(f"{what} is encrypted by {primary}; the other data keys are no longer needed.")


@keys.command("rotate-index")
def rotate_index() -> None:
    """Index every phone and ID number with XUEZU_NEXT_INDEX_KEY, while the service runs.

    Give every process the new key as XUEZU_NEXT_INDEX_KEY and restart it. Run this command. Then put the new key before
    the others in XUEZU_INDEX_KEY (`new,old`: all of them stay), unset XUEZU_NEXT_INDEX_KEY and restart every process.
    """
    from app.blind_index.keys import WrongIndexKey
    from app.commands.auth import actor
    from app.key_rotation.data_key import RowsStayLocked
    from app.key_rotation.index_key import NextKeyMissing, rotate_index_key

    shown = 0

    def show_progress(share: float) -> None:
        nonlocal shown
        if int(share * 20) > shown:
            shown = int(share * 20)
            typer.echo(f"{shown * 5} % of the values")

    async def work(engine: AsyncEngine, settings: Settings) -> None:
        if settings.next_index_key is None:
            raise CannotStart("XUEZU_NEXT_INDEX_KEY is not set: create a key with `xuezu keys`.")
        try:
            await rotate_index_key(engine, settings, actor(), show_progress)
        except NextKeyMissing as found:
            raise CannotStart(
                f"{found} connections belong to processes without this XUEZU_NEXT_INDEX_KEY, which would not find "
                "values indexed with it: restart these processes with it first."
            ) from None
        except WrongIndexKey:
            raise CannotStart(
                "A rotation to another key is not finished: set that key and finish the rotation first."
            ) from None
        except RowsStayLocked as locked:
            raise CannotStart(
                f"Other transactions lock {locked} for too long: run this again later, it continues where it stopped."
            ) from None

    _run_with_database(work)
    typer.echo("Everything is found by the next index key: put it in XUEZU_INDEX_KEY before the others, which stay.")


def _run_with_database(work: Callable[[AsyncEngine, Settings], Awaitable[T]], *, with_all_data_keys: bool = True) -> T:
    """Run `work` with the configured database and keys. Raises CannotStart."""
    from app.commands.configuration import read_settings_and_database
    from app.database.db import create_engine

    settings = read_settings_and_database(with_all_data_keys=with_all_data_keys)

    async def run() -> T:
        engine = create_engine(settings)
        try:
            return await work(engine, settings)
        finally:
            await engine.dispose()

    return asyncio.run(run())
