"""The data folder: written by one run at a time."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.core.settings import CannotStart


@contextmanager
def hold(data_dir: Path) -> Iterator[None]:
    """Hold the data folder for this process: a second holder gets CannotStart. The hold ends with the process."""
    path = data_dir / "run.lock"
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise unwritable(data_dir, error) from error
    with os.fdopen(descriptor, "r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = file.read(20).strip() or "unknown"
            raise CannotStart(
                f"The data folder {data_dir} is in use by another run (process {holder}): "
                "stop that one, or give this one a folder of its own with XUEZU_DATA_DIR=…."
            ) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


def unwritable(path: Path, error: OSError) -> CannotStart:
    """The refusal for a data folder that cannot be made or written."""
    return CannotStart(
        f"The data folder {path} cannot be written ({error.strerror}): "
        "make it writable for this user, or name another with XUEZU_DATA_DIR=…."
    )
