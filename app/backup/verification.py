"""Verifying that the backups can be restored."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from app.backup.programs import run
from app.backup.repository import Backup, BackupFailed, Repository

Show = Callable[[str], None]


def verify_backup(repository: Repository, backup: Backup, show: Show) -> Iterator[str]:
    """Yield a sentence about everything that is wrong with a backup, the backups it is made of, and the log since then.

    Every file is read and compared with the checksums of its manifest.
    """
    try:
        chain = repository.list_chain(backup)
    except BackupFailed as error:
        yield str(error)
        return
    for part in chain:
        show(f"Reading {part.id}")
        try:
            verify_files(repository, part)
        except BackupFailed as error:
            yield f"{part.id}: {error}"
    show("Reading the archived log")
    yield from verify_log(repository, backup)


def verify_files(repository: Repository, backup: Backup) -> None:
    """Compare the files of one backup with its manifest. Raises BackupFailed."""
    run("pg_verifybackup", "--quiet", str(repository.get_data(backup.id)))


def verify_log(repository: Repository, backup: Backup) -> Iterator[str]:
    """Yield a sentence about each segment of the log since a backup that is missing or damaged."""
    missing = repository.find_gaps(backup.first_segment)
    if missing:
        yield f"The archived log has {len(missing)} gaps; the first is {missing[0]}."
    for name in repository.find_damaged_segments(backup.first_segment):
        yield f"The archived segment {name} is damaged."


def find_missing_keys(backup: Backup, data_keys: Mapping[str, bytes], index_keys: Sequence[bytes]) -> Iterator[str]:
    """Yield a sentence about each key that the backup needs and that is not given.

    `data_keys` and `index_keys` are hashes of the given keys (`Cipher.data_key_checks`, `Cipher.index_key_checks`).
    """
    for key_id, check in backup.data_keys.items():
        if key_id not in data_keys:
            yield f"XUEZU_DATA_KEYS has no key {key_id}: values that it encrypts cannot be read."
        elif data_keys[key_id].hex() != check:
            yield f"XUEZU_DATA_KEYS has another key named {key_id} than the backup."
    for number, (given, check) in enumerate(zip(index_keys, backup.index_keys, strict=False)):
        if given.hex() != check:
            yield f"XUEZU_INDEX_KEY has another key in generation {number} than the backup."
    if len(index_keys) < len(backup.index_keys):
        yield f"XUEZU_INDEX_KEY has {len(index_keys)} keys, and the backup was made with {len(backup.index_keys)}."
