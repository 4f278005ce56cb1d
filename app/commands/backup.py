"""`xuezu backup …` and `xuezu restore`: backups of the database, and a restore to any instant."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import SecretStr

from app.core.settings import CannotStart, Settings

if TYPE_CHECKING:
    from app.backup.repository import Backup, Repository
    from app.core.database_url import DatabaseAddress

TIMES = ["%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%dT%H:%M:%S.%f%z"]

backup = typer.Typer(no_args_is_help=True, help="Backups of the database, in the directory XUEZU_BACKUP_DIR.")


def _show(line: str) -> None:
    typer.echo(line, err=True)


def _open_repository(settings: Settings) -> Repository:
    from app.backup.repository import Repository

    if settings.backup_dir is None:
        raise CannotStart("No directory for backups: set XUEZU_BACKUP_DIR.")
    return Repository(settings.backup_dir)


def _read_settings() -> tuple[Settings, Repository]:
    from app.commands.configuration import read_plain_settings

    settings = read_plain_settings()
    return settings, _open_repository(settings)


def _find_address(settings: Settings) -> DatabaseAddress:
    """Return the address of the cluster, with a user that may replicate."""
    from app.commands.configuration import complete_database_url
    from app.core.settings import read_database_url

    if settings.backup_url is not None:
        return read_database_url(settings.backup_url.get_secret_value(), "XUEZU_BACKUP_URL")
    if settings.database_url is None:
        from app.embedded import postgres, require_embedded

        require_embedded()
        server = postgres.find_running(settings.data_dir / "postgres")
        if server is not None:
            return read_database_url(server.build_url(user=postgres.SUPERUSER))
    return read_database_url(complete_database_url(settings).session_url)


@backup.command()
def full() -> None:
    """Take a full backup while the service runs."""
    _take("full")


@backup.command()
def incremental() -> None:
    """Take a backup of what has changed since the newest one, while the service runs."""
    _take("incremental")


def _take(kind: str) -> None:
    from app.backup.taking import take_backup

    settings, repository = _read_settings()
    taken = asyncio.run(take_backup(repository, _find_address(settings), kind, _show))
    typer.echo(f"{taken.id} is complete: {_format_bytes(taken.bytes)}.")
    _show("The keys (XUEZU_DATA_KEYS, XUEZU_INDEX_KEY) are not in it: keep them elsewhere, and as long as the backup.")


@backup.command(name="list")
def list_backups() -> None:
    """List the backups, the oldest first, and the archived log."""
    _, repository = _read_settings()
    for found in repository.list_backups():
        typer.echo(
            f"{found.id}  finished {found.finished_at:%Y-%m-%d %H:%M:%S} UTC  {_format_bytes(found.bytes)}"
            + (f"  since {found.parent}" if found.parent else "")
        )
    segments = repository.list_segments()
    typer.echo(f"{len(segments)} archived segments" + (f", {segments[0]} to {segments[-1]}" if segments else ""))


@backup.command()
def verify(
    backup_id: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="The backup; the newest one if left out.")
    ] = None,
) -> None:
    """Read a backup, all that it is made of and the log since then, and compare the checksums and the keys.

    Exits with 1 if it could not be restored.
    """
    from app.backup.verification import find_missing_keys, verify_backup
    from app.commands.configuration import read_settings
    from app.core.cipher import Cipher

    settings = read_settings()
    repository = _open_repository(settings)
    found = repository.find(backup_id) if backup_id else _find_newest(repository)
    wrong = list(verify_backup(repository, found, _show))
    cipher = Cipher(settings)
    wrong += find_missing_keys(found, cipher.data_key_checks, cipher.index_key_checks)
    for sentence in wrong:
        typer.echo(sentence)
    if wrong:
        raise typer.Exit(1)
    typer.echo(f"{found.id} can be restored, and the given keys open it.")


@backup.command()
def prune(
    keep: Annotated[int, typer.Option(min=1, help="How many full backups stay, with all that belongs to them.")],
    confirmed: Annotated[bool, typer.Option("--yes", help="Remove them without a question.")] = False,
) -> None:
    """Remove the oldest backups, and the archived log that only they need."""
    _, repository = _read_settings()
    backups = repository.list_backups()
    fulls = [found for found in backups if found.kind == "full"]
    if len(fulls) <= keep:
        typer.echo(f"There are {len(fulls)} full backups: nothing is removed.")
        return
    kept_from = fulls[-keep]
    old = [found for found in backups if repository.list_chain(found)[0].finished_at < kept_from.finished_at]
    for found in old:
        typer.echo(f"{found.id}  {_format_bytes(found.bytes)}")
    if not confirmed:
        typer.confirm(f"Remove these {len(old)} backups, and the log before {kept_from.first_segment}?", abort=True)
    for found in reversed(old):
        repository.remove(found)
    removed = repository.remove_segments_before(kept_from.first_segment)
    typer.echo(f"Removed {len(old)} backups and {removed} segments.")


@backup.command()
def drill(
    keep_files: Annotated[bool, typer.Option(help="Leave the restored directory, and say where it is.")] = False,
) -> None:
    """Restore the newest backup and the log into a temporary directory, check it, and remove it.

    Run it every month: a backup that was never restored is a hope. It needs as much space as the database.
    """
    from app.commands.configuration import read_settings

    settings = read_settings()
    repository = _open_repository(settings)
    directory = Path(tempfile.mkdtemp(prefix="xuezu-drill-"))
    began = datetime.now(UTC)
    try:
        _restore(settings, repository, directory / "data", None, keep_sessions=False, superuser=None)
        took = (datetime.now(UTC) - began).total_seconds()
        typer.echo(
            f"The drill succeeded in {took:.0f} s: the backup can be restored, its keys and its totals are right."
        )
    finally:
        if keep_files:
            typer.echo(f"The files are in {directory / 'data'}.")
        else:
            shutil.rmtree(directory, ignore_errors=True)


def restore(
    directory: Annotated[Path, typer.Argument(help="A new directory: the data directory of the restored PostgreSQL.")],
    instant: Annotated[
        datetime | None,
        typer.Option(
            "--to", formats=TIMES, help="The time to return to, `2026-12-01T08:30:00Z`; the newest if left out."
        ),
    ] = None,
    keep_sessions: Annotated[
        bool, typer.Option(help="Do not end the sessions, also those that were ended after this time.")
    ] = False,
    superuser: Annotated[str | None, typer.Option(help="The superuser of the cluster, if it is not postgres.")] = None,
) -> None:
    """Restore the database to a time into a new directory, and make it ready for the service.

    It verifies the files, replays the archived log, compares the keys and the totals, and ends all sessions. Then start
    PostgreSQL on the directory, and lead the service to it. The old database is not touched.
    """
    from app.commands.configuration import read_settings

    settings = read_settings()
    repository = _open_repository(settings)
    if instant is not None and instant.tzinfo is None:
        instant = instant.replace(tzinfo=UTC)
    if instant is not None and instant > datetime.now(UTC):
        raise CannotStart("This time is not over yet: leave --to out to restore the newest state.")
    used = _restore(
        settings, repository, directory.absolute(), instant, keep_sessions=keep_sessions, superuser=superuser
    )
    typer.echo(f"Restored from {used.id} into {directory}. Start PostgreSQL on it, and set XUEZU_DATABASE_URL.")


def _restore(
    settings: Settings,
    repository: Repository,
    directory: Path,
    instant: datetime | None,
    *,
    keep_sessions: bool,
    superuser: str | None,
) -> Backup:
    from app.backup.after_restore import prepare
    from app.backup.restoring import restore as restore_files

    with restore_files(repository, directory, instant, _show, superuser=superuser) as restored:
        url = restored.build_url(_find_database(settings))
        here = settings.model_copy(
            update={"database_url": SecretStr(url), "direct_url": None, "transaction_pooler": False}
        )
        asyncio.run(prepare(here, instant, _show, keep_sessions=keep_sessions))
        return restored.backup


def _find_database(settings: Settings) -> str:
    """Return the name of the service's database in the cluster."""
    from app.core.settings import read_database_url
    from app.embedded import postgres

    if settings.database_url is None:
        return postgres.DATABASE
    address = read_database_url(settings.database_url.get_secret_value())
    return address.database or address.user or postgres.DATABASE


def _find_newest(repository: Repository) -> Backup:
    backups = repository.list_backups()
    if not backups:
        raise CannotStart("There is no backup yet: take one with `xuezu backup full`.")
    return backups[-1]


def _format_bytes(number: int) -> str:
    return f"{number / 1e9:.2f} GB" if number >= 1e9 else f"{number / 1e6:.1f} MB"
