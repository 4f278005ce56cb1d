"""How a process of the service imports it."""

import contextlib
import gc
from collections.abc import Callable, Iterator

Say = Callable[[str], None]
"""Takes a line that tells a person how a start goes on."""


def silent(_line: str) -> None:
    """Say nothing."""


@contextlib.contextmanager
def starting() -> Iterator[None]:
    """While the service is imported nobody looks for garbage: what that makes stays, and looking through all of it
    again and again is a fifth of the time that a process takes to start."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
