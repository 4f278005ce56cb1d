"""The data directory. One run uses it at a time."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.core.settings import CannotStart


@contextmanager
def lock_data_dir(data_dir: Path) -> Iterator[None]:
    """Lock the data directory for this process (flock); the lock ends with the process.

    Raises CannotStart if another process has the lock, or if the directory cannot be written.
    """
    path = data_dir / "run.lock"
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise build_directory_error(data_dir, error) from error
    with os.fdopen(descriptor, "r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = file.read(20).strip() or "unknown"
            raise CannotStart(
                f"The data directory {data_dir} is in use by another run (process {owner}): "
                "stop that one, or give this one a directory of its own with XUEZU_DATA_DIR=…."
            ) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


def build_directory_error(path: Path, error: OSError) -> CannotStart:
    """Return the error for a data directory that cannot be created or written."""
    return CannotStart(
        f"The data directory {path} cannot be written ({error.strerror}): "
        "make it writable for this user, or name another with XUEZU_DATA_DIR=…."
    )
