"""Messages to the service manager by the protocol of sd_notify(3): ready, stopping, alive.

systemd sets NOTIFY_SOCKET for a unit with `Type=notify`, and WATCHDOG_USEC where it has `WatchdogSec=`. Without them
nothing is sent. `xuezu serve --workers` speaks the same protocol with its processes (app/supervision.py).
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Callable

READY = "READY=1"
STOPPING = "STOPPING=1"
ALIVE = "WATCHDOG=1"


def notify(message: str) -> None:
    """Send one message to the service manager, if there is one. A manager that is gone is not an error."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = f"\0{address[1:]}"  # a socket in Linux's abstract namespace
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as opened:
        opened.setblocking(False)
        opened.sendto(message.encode(), address)


def get_watchdog_seconds() -> float | None:
    """Return the time within which the service manager wants a sign of life, or None."""
    given, for_process = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", "")
    if not given.isdecimal() or int(given) == 0 or for_process not in ("", str(os.getpid())):
        return None
    return int(given) / 1_000_000


@contextlib.asynccontextmanager
async def send_signs_of_life(is_alive: Callable[[], bool] = lambda: True) -> AsyncIterator[None]:
    """Send a sign of life at half the time that the service manager allows, from this event loop and while `is_alive`,
    during the block. A loop that hangs sends none, and the manager starts the process again."""
    seconds = get_watchdog_seconds()
    if seconds is None:
        yield
        return

    async def send() -> None:
        while True:
            if is_alive():
                notify(ALIVE)
            await asyncio.sleep(seconds / 2)

    sending = asyncio.create_task(send())
    try:
        yield
    finally:
        sending.cancel()
