"""Taking a backup with `pg_basebackup`."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg

from app.backup.programs import build_environment, give_away, run
from app.backup.repository import SEGMENT_BYTES, Backup, BackupFailed, Repository, count_bytes
from app.core.database_url import DatabaseAddress
from app.database.connections import Database, Role

Show = Callable[[str], None]

_SERVER = """
SELECT (pg_control_system()).system_identifier::text AS system_identifier, pg_is_in_recovery() AS standby,
    current_setting('server_version_num')::int AS version, current_setting('summarize_wal') AS summarize_wal,
    current_setting('archive_mode') AS archive_mode, clock_timestamp() AS at,
    pg_size_bytes(current_setting('wal_segment_size')) AS segment_bytes,
    (SELECT version_num FROM alembic_version) AS revision
"""
_DATA_KEYS = "SELECT key_id, encode(key_check, 'hex') AS key_check FROM data_keys"
_INDEX_KEYS = "SELECT encode(key_check, 'hex') AS key_check FROM index_rotations ORDER BY generation"


@dataclass(frozen=True, slots=True)
class _Server:
    """What is asked of the server before a backup."""

    facts: dict[str, Any]
    data_keys: dict[str, str]
    index_keys: list[str]


async def take_backup(repository: Repository, address: DatabaseAddress, kind: str, show: Show) -> Backup:
    """Take a backup of the cluster while it is used, and return it when it is complete on the disk.

    `kind` is `full` or `incremental`. The user of the address needs the right to replicate. Raises BackupFailed; then
    nothing is left of it.
    """
    server = await _ask_server(address)
    for left in repository.remove_interrupted():
        show(f"Removed what was left of the interrupted backup {left}.")
    parent = _find_parent(repository, server.facts) if kind == "incremental" else None
    started: datetime = server.facts["at"]
    backup_id = f"{started.astimezone(UTC):%Y%m%dT%H%M%SZ}-{kind}"
    if any(found.id == backup_id for found in repository.list_backups()):
        raise BackupFailed("Another backup began in this second: try again.")
    try:
        draft = repository.begin(backup_id)
    except FileExistsError as error:
        raise BackupFailed("Another backup is taken now: wait until it has ended.") from error
    try:
        give_away(repository.base)
        arguments = ["--pgdata", str(draft / "data"), "--checkpoint=fast", "--wal-method=stream", "--progress"]
        arguments += ["--manifest-checksums=SHA256", f"--label=xuezu {backup_id}"]
        if parent is not None:
            arguments += [f"--incremental={repository.get_data(parent.id) / 'backup_manifest'}"]
        show(f"Taking {backup_id}" + (f", what has changed since {parent.id}" if parent else ""))
        run("pg_basebackup", *arguments, environment=build_environment(address), visible=True)
        backup = Backup(
            id=backup_id,
            kind=kind,
            parent=parent.id if parent else None,
            started_at=started,
            finished_at=(await _ask_server(address)).facts["at"],
            first_segment=_read_first_segment(draft / "data"),
            system_identifier=server.facts["system_identifier"],
            postgres_version=server.facts["version"],
            revision=server.facts["revision"],
            data_keys=server.data_keys,
            index_keys=server.index_keys,
            bytes=count_bytes(draft / "data"),
        )
        repository.finish(backup)
    except BaseException:
        repository.discard(backup_id)
        raise
    return backup


async def _ask_server(address: DatabaseAddress) -> _Server:
    try:
        connection = await Database(address, address).connect(Role.COMMAND)
    except (OSError, asyncpg.PostgresError) as error:
        raise BackupFailed(f"{address} cannot be reached: {type(error).__name__}.") from error
    try:
        facts = dict(await connection.fetchrow(_SERVER))
        data_keys = {row["key_id"]: row["key_check"] for row in await connection.fetch(_DATA_KEYS)}
        index_keys = [row["key_check"] for row in await connection.fetch(_INDEX_KEYS)]
    except asyncpg.PostgresError as error:
        raise BackupFailed(f"{address} is no database of Xuezu, or its user may not read it.") from error
    finally:
        await connection.close()
    if facts["segment_bytes"] != SEGMENT_BYTES:
        raise BackupFailed("The segments of this cluster's log are not of 16 MB, which these backups need.")
    return _Server(facts, data_keys, index_keys)


def _find_parent(repository: Repository, facts: dict[str, Any]) -> Backup:
    if facts["summarize_wal"] != "on":
        raise BackupFailed(
            "An incremental backup needs summarize_wal = on: ALTER SYSTEM SET summarize_wal = on, reload, and take "
            "a full backup first."
        )
    same = [each for each in repository.list_backups() if each.system_identifier == facts["system_identifier"]]
    if not same:
        raise BackupFailed("An incremental backup needs an earlier one: take a full backup first.")
    return same[-1]


def _read_first_segment(data: Path) -> str:
    """Return the segment with which the recovery of a backup begins, from its label."""
    for line in (data / "backup_label").read_text().splitlines():
        if line.startswith("START WAL LOCATION"):
            return str(line.partition("(file ")[2].rstrip(")"))
    raise BackupFailed("pg_basebackup has written no label.")
