"""`xuezu totals …`: verify the stored totals, and rebuild them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

if TYPE_CHECKING:
    import asyncpg

T = TypeVar("T")

MAX_SHOWN = 50

totals = typer.Typer(no_args_is_help=True, help="The totals that reports read.")


def _run_with_connection(work: Callable[[asyncpg.Connection], Awaitable[T]], *, only_read: bool = False) -> T:
    """Run `work` on a connection of its own to the configured database. Raises CannotStart."""
    from app.commands.configuration import read_settings_and_database
    from app.database.connections import Database, Role

    database = Database.from_settings(read_settings_and_database())

    async def run() -> T:
        connection = await database.connect(Role.REPORT if only_read else Role.COMMAND)
        try:
            return await work(connection)
        finally:
            await connection.close()

    return asyncio.run(run())


@totals.command()
def verify(
    since: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Only the days from this one on.")
    ] = None,
) -> None:
    """Recount the totals while the service runs, and show every difference. Exits with 1 if there is one."""
    from app.reports.rollup.verify import find_differences

    async def work(connection: asyncpg.Connection) -> int:
        found = 0
        async for difference in find_differences(connection, since.date() if since else None):
            found += 1
            if found <= MAX_SHOWN:
                typer.echo(
                    f"{difference.kind} {difference.key}: stored {difference.stored}, recounted {difference.recounted}"
                )
        return found

    found = _run_with_connection(work, only_read=True)
    typer.echo(f"{found} differences." if found else "The stored totals equal a recount.")
    raise typer.Exit(1 if found else 0)


@totals.command()
def rebuild(
    day_rows: Annotated[bool, typer.Option(help="Also the sums by user and day, from the ledger.")] = False,
    day: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Only this day, from what is rolled up.")
    ] = None,
) -> None:
    """Rebuild the totals and scores of every stored day while the service runs."""
    from app.reports.rollup.rebuild import rebuild_all, rebuild_day

    if day is not None:
        if day_rows:
            raise typer.BadParameter("the day rows are rebuilt for all days at once", param_hint="--day-rows")
        built = _run_with_connection(lambda connection: rebuild_day(connection, day.date()))
        typer.echo(f"{day.date()} {'built' if built else 'is not stored'}")
        raise typer.Exit(0 if built else 1)
    _run_with_connection(
        lambda connection: rebuild_all(connection, day_rows=day_rows, on_day=lambda day: typer.echo(f"{day} built"))
    )
