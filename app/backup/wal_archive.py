"""The `archive_command` of PostgreSQL: `xuezu-wal-archive "%p" DIRECTORY`.

It stores one segment of the write-ahead log as `DIRECTORY/wal/NAME.gz`. The exit code is 0 only when the file is
complete on the disk. A segment that is there with other content is never replaced: two servers would archive to one
directory.

It imports nothing of the service: PostgreSQL runs it for each segment, and waits.
"""

import gzip
import os
import sys
import tempfile
import zlib
from pathlib import Path

LEVEL = 1
"""A segment that PostgreSQL ends early (`archive_timeout`) is mostly zeros and becomes a few kilobytes."""


def main() -> None:
    """Archive the segment of the command line. Exit with 1 and a sentence if that is not possible."""
    if len(sys.argv) != 3:
        sys.exit('usage: xuezu-wal-archive "%p" DIRECTORY')
    try:
        archive_segment(Path(sys.argv[1]), Path(sys.argv[2]))
    except (OSError, ValueError) as error:
        sys.exit(f"xuezu-wal-archive: {error}")


def archive_segment(segment: Path, directory: Path) -> None:
    """Store a segment in the directory. Raises OSError, and ValueError if another segment of this name is there."""
    archive = directory / "wal"
    archive.mkdir(parents=True, exist_ok=True)
    stored = archive / f"{segment.name}.gz"
    content = segment.read_bytes()
    if stored.exists():
        if _read(stored) != content:
            raise ValueError(f"{stored} has other content: does another server archive to this directory?")
        return
    opened, name = tempfile.mkstemp(prefix=f".{segment.name}.", dir=archive)
    draft = Path(name)
    try:
        with os.fdopen(opened, "wb") as file:
            file.write(gzip.compress(content, LEVEL, mtime=0))
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, stored)  # unlike a rename it fails where another process was faster
    except FileExistsError:
        archive_segment(segment, directory)
    finally:
        draft.unlink(missing_ok=True)
    _sync_directory(archive)


def _read(stored: Path) -> bytes | None:
    """Return the content of a stored segment, or None if it is damaged."""
    try:
        return gzip.decompress(stored.read_bytes())
    except (EOFError, gzip.BadGzipFile, zlib.error):
        return None


def _sync_directory(directory: Path) -> None:
    opened = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


if __name__ == "__main__":
    main()
