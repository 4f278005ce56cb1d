"""The directory of the backups: `base/ID/data` with `base/ID/backup.json`, and `wal/NAME.gz`."""

import gzip
import json
import os
import re
import shutil
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from app.core.settings import CannotStart

SEGMENT_BYTES = 16 << 20
"""The size of a segment. A cluster that was made with another size (`initdb --wal-segsize`) is refused."""
_SEGMENT = re.compile(r"([0-9A-F]{8})([0-9A-F]{8})([0-9A-F]{8})\.gz")
_SEGMENTS_PER_FILE = (1 << 32) // SEGMENT_BYTES


class BackupFailed(CannotStart):
    """A backup or a restore could not be made. The text is a sentence that says why."""


@dataclass(frozen=True, slots=True)
class Backup:
    """A finished backup. It is stored beside its data as JSON and contains no data and no secret."""

    id: str
    kind: str
    """`full`, or `incremental`: only what has changed since its parent."""
    parent: str | None
    started_at: datetime
    finished_at: datetime
    first_segment: str
    """The segment of the log with which the recovery begins."""
    system_identifier: str
    """The identifier of the cluster. Backups of another cluster are never combined with it."""
    postgres_version: int
    """As `server_version_num`."""
    revision: str
    """The revision of the schema."""
    data_keys: dict[str, str]
    """The ids of the data keys by which values are encrypted, each with a hash of the key."""
    index_keys: list[str]
    """Hashes of the index keys, the first key first."""
    bytes: int

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return the backup of a stored text. Raises ValueError."""
        found = json.loads(text)
        for name in ("started_at", "finished_at"):
            found[name] = datetime.fromisoformat(found[name])
        return cls(**found)

    def to_json(self) -> str:
        """Return the text that is stored."""
        return json.dumps(asdict(self), default=datetime.isoformat, indent=1)


class Repository:
    """The backups and the archived log below one directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.base = directory / "base"
        self.wal = directory / "wal"

    def get_data(self, backup_id: str) -> Path:
        """Return the directory with the files of a backup."""
        return self.base / backup_id / "data"

    def list_backups(self) -> list[Backup]:
        """Return the finished backups, the oldest first. A backup that was interrupted is not among them."""
        found = []
        for path in sorted(self.base.glob("*/backup.json")):
            try:
                found.append(Backup.from_json(path.read_text()))
            except (ValueError, TypeError, KeyError) as error:
                raise BackupFailed(f"{path} is damaged: take a new backup, and remove this one.") from error
        return sorted(found, key=lambda backup: backup.finished_at)

    def find(self, backup_id: str) -> Backup:
        """Return a backup by its id. Raises BackupFailed."""
        for backup in self.list_backups():
            if backup.id == backup_id:
                return backup
        raise BackupFailed(f"There is no backup {backup_id}: `xuezu backup list` shows all.")

    def list_chain(self, backup: Backup) -> list[Backup]:
        """Return the backups that a backup consists of: the full one first, itself last. Raises BackupFailed."""
        chain = [backup]
        while chain[0].parent is not None:
            parent = self.find(chain[0].parent)
            if parent.system_identifier != backup.system_identifier:
                raise BackupFailed(f"The backups {parent.id} and {backup.id} are of two clusters.")
            chain.insert(0, parent)
        return chain

    def begin(self, backup_id: str) -> Path:
        """Make the directory of a new backup, which counts when it is finished. Return the place of its files."""
        draft = self.base / f".{backup_id}"
        draft.mkdir(parents=True)
        return draft

    def finish(self, backup: Backup) -> None:
        """Let a backup count: its files and its description are on the disk."""
        draft = self.base / f".{backup.id}"
        (draft / "backup.json").write_text(backup.to_json())
        sync(draft / "backup.json")
        sync(draft)
        draft.rename(self.base / backup.id)
        sync(self.base)

    def discard(self, backup_id: str) -> None:
        """Remove the files of a backup that was not finished."""
        shutil.rmtree(self.base / f".{backup_id}", ignore_errors=True)

    def remove_interrupted(self) -> list[str]:
        """Remove what backups have left whose process was killed. Return their ids."""
        left = [path.name.removeprefix(".") for path in self.base.glob(".*")]
        for backup_id in left:
            self.discard(backup_id)
        return left

    def remove(self, backup: Backup) -> None:
        """Remove a backup: first it stops counting, then its files go."""
        draft = self.base / f".{backup.id}"
        (self.base / backup.id).rename(draft)
        shutil.rmtree(draft)

    def list_segments(self) -> list[str]:
        """Return the names of the archived segments, in their order."""
        if not self.wal.is_dir():
            return []
        return sorted(entry.name[:-3] for entry in os.scandir(self.wal) if _SEGMENT.fullmatch(entry.name))

    def remove_segments_before(self, first: str) -> int:
        """Remove the archived segments before this one, on any timeline. Return their number."""
        old = [name for name in self.list_segments() if name[8:] < first[8:]]
        for name in old:
            (self.wal / f"{name}.gz").unlink(missing_ok=True)
        return len(old)

    def find_gaps(self, first: str) -> list[str]:
        """Return the segments that are missing between `first` and the newest archived one."""
        numbers: dict[str, set[int]] = {}
        for name in self.list_segments():
            numbers.setdefault(name[:8], set()).add(parse_segment(name))
        missing = []
        begins = parse_segment(first)
        for timeline, found in sorted(numbers.items()):
            if timeline < first[:8]:
                continue
            start = begins if timeline == first[:8] else max(begins, min(found))
            if max(found) >= start:
                missing += [format_segment(timeline, n) for n in range(start, max(found) + 1) if n not in found]
        return missing

    def find_damaged_segments(self, first: str) -> Iterator[str]:
        """Yield the segments from `first` on that cannot be unpacked or have another size."""
        for name in self.list_segments():
            if name[8:] < first[8:]:
                continue
            try:
                size = 0
                with gzip.open(self.wal / f"{name}.gz") as file:
                    while block := file.read(1 << 20):
                        size += len(block)
            except (OSError, EOFError, zlib.error):
                size = -1
            if size != SEGMENT_BYTES:
                yield name


def parse_segment(name: str) -> int:
    """Return the number of a segment within its timeline."""
    return int(name[8:16], 16) * _SEGMENTS_PER_FILE + int(name[16:24], 16)


def format_segment(timeline: str, number: int) -> str:
    """Return the name of a segment by its number."""
    return f"{timeline}{number // _SEGMENTS_PER_FILE:08X}{number % _SEGMENTS_PER_FILE:08X}"


def find_newest_before(backups: Sequence[Backup], instant: datetime | None) -> Backup | None:
    """Return the newest backup that was finished before the instant, or the newest of all."""
    fitting = [backup for backup in backups if instant is None or backup.finished_at <= instant]
    return fitting[-1] if fitting else None


def read_backup_age(directory: Path) -> float | None:
    """Return the seconds since the newest backup was finished, or None if there is none."""
    backups = Repository(directory).list_backups()
    return (datetime.now(UTC) - backups[-1].finished_at).total_seconds() if backups else None


def count_bytes(directory: Path) -> int:
    """Return the size of all files below a directory."""
    return sum(path.lstat().st_size for path in directory.rglob("*") if path.is_file())


def sync(path: Path) -> None:
    """Write a file or a directory to the disk."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
