"""`xuezu points …`: archive old days of the ledger."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Annotated

import typer

from app.core.calendar import today

points = typer.Typer(no_args_is_help=True, help="The ledger of points.")


@points.callback()
def _group() -> None:
    """Make `points` a group of commands although it has only one command."""


@points.command()
def archive(
    before: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="Only days before this one; the last 62 stay in any case."),
    ] = None,
) -> None:
    """Detach old days of the ledger into the schema `archive` after verifying each, while the service runs.

    The sums by user and day and the keys stay. Save a table with pg_dump before you drop it.
    """
    from app.commands.configuration import read_settings_and_database
    from app.core.settings import CannotStart
    from app.database.connections import Database, Role
    from app.points.archive import ArchiveMismatch, archive_days

    database = Database.from_url(read_settings_and_database().schema_url)

    async def run() -> int:
        connection = await database.connect(Role.COMMAND)
        count = 0
        try:
            async for day in archive_days(connection, today(), before.date() if before else None):
                typer.echo(f"{day.day}: {day.events} events, {day.points} points, now archive.{day.name}")
                count += 1
        except ArchiveMismatch as reason:
            raise CannotStart(f"This day was not archived, see `xuezu totals verify`: {reason}") from None
        finally:
            await connection.close()
        return count

    typer.echo(f"{asyncio.run(run())} days archived.")
