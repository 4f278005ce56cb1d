"""`xuezu audit …`: the newest seal of the audit, and its verification."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

if TYPE_CHECKING:
    import asyncpg

T = TypeVar("T")

MAX_SHOWN = 50

audit = typer.Typer(no_args_is_help=True, help="The seals of the audit.")


def _run_with_connection(work: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
    from app.commands.configuration import read_settings_and_database
    from app.database.connections import Database, Role

    settings = read_settings_and_database()

    async def run() -> T:
        connection = await Database.from_settings(settings).connect(Role.REPORT)
        try:
            return await work(connection)
        finally:
            await connection.close()

    return asyncio.run(run())


@audit.command()
def head() -> None:
    """Print the newest seal. Keep it outside of the database, for example in a diary: `verify --head` compares it."""
    from app.audit.seals import read_head

    found = _run_with_connection(read_head)
    typer.echo(str(found))


@audit.command()
def verify(
    head: Annotated[
        str | None, typer.Option(metavar="NUMBER:HASH", help="A seal that `xuezu audit head` has printed before.")
    ] = None,
    after: Annotated[int, typer.Option(min=0, help="Only the seals after this number.")] = 0,
) -> None:
    """Hash every sealed entry again while the service runs, and show what was changed, removed or inserted later.

    Exits with 1 if there is such an entry.
    """
    from app.audit.verification import find_faults

    if head is not None and not _is_head(head):
        raise typer.BadParameter("write NUMBER:HASH as `xuezu audit head` prints it", param_hint="--head")

    async def work(connection: asyncpg.Connection) -> tuple[int, int]:
        found = 0
        async for finding in find_faults(connection, after=after, head=head):
            found += 1
            if found <= MAX_SHOWN:
                entry = f" entry {finding.entry_id}" if finding.entry_id else ""
                typer.echo(f"{finding.fault} seal {finding.seal}{entry}")
        sealed = await connection.fetchval("SELECT coalesce(sum(entries), 0) FROM audit_seals WHERE number > $1", after)
        return found, sealed

    found, sealed = _run_with_connection(work)
    typer.echo(f"{found} faults." if found else f"{sealed} sealed entries are as they were written.")
    raise typer.Exit(1 if found else 0)


def _is_head(text: str) -> bool:
    number, _, digest = text.partition(":")
    return number.isdecimal() and len(digest) == 64 and all(letter in "0123456789abcdef" for letter in digest)
