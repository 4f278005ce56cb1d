"""Helpers for the start of a process."""

import contextlib
import gc
from collections.abc import Callable, Iterator

GC_THRESHOLD = 10_000
"""The number of new objects after which the collector runs. Python's 700 are reached by a few requests, and by thirty
rows of an import."""

ShowLine = Callable[[str], None]
"""A function that shows one line about the progress of a start."""


def show_nothing(_line: str) -> None:
    """Ignore the line."""


@contextlib.contextmanager
def starting() -> Iterator[None]:
    """Disable the garbage collector while the service is imported. Imported objects stay, and repeated scans of them
    take a fifth of the time of a start."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
