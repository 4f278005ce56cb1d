"""The environment of the measurement, in one line."""

import os
import platform
import time
from pathlib import Path

import psutil

from bench.service import Measured


def describe_machine(measured: Measured) -> str:
    """Return one line of text: the machine and its load, the versions of the programs, and the size of the world."""
    memory = psutil.virtual_memory().total / (1 << 30)
    postgres = str(measured.query_value("SHOW server_version"))
    at = "full scale" if measured.scale.divisor == 1 else f"1/{measured.scale.divisor}"
    return (
        f"Machine: {os.cpu_count()} cores{_find_model()}, {memory:.0f} GB, load {os.getloadavg()[0]:.1f}; "
        f"{platform.system()}, Python {platform.python_version()}, PostgreSQL {postgres} with JIT off; "
        f"{time.strftime('%Y-%m-%d %H:%M')}. World ({at}): {measured.world.orgs:,} orgs, "
        f"{measured.world.members:,} member rows."
    )


def _find_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    return next((f" ({line.partition(': ')[2].strip()})" for line in lines if line.startswith("model name")), "")
