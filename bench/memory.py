"""The memory of the API process."""

from pathlib import Path

from bench.rows import Row
from bench.service import Measured


def memory(measured: Measured) -> list[Row]:
    """Measure the row `memory`: the peak resident memory of the API process during all earlier measurements, compared
    with its resident memory after the first request."""
    status = Path(f"/proc/{measured.pids['serve']}/status").read_text()
    peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
    first = measured.resident_first / 1024
    return [
        Row(
            "memory",
            peak / 1024,
            first / 1024,
            peak / first,
            1.5,
            at_most=True,
            note="MB; its peak / after its first request",
        )
    ]
