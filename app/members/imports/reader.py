"""Has a sheet read in a child process and takes its rows as they come."""

import asyncio
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator
from importlib.metadata import distribution
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from app.members.imports.errors import SHEET_REFUSALS, FileDamaged, FileExhausting
from app.members.imports.uploads import MAX_UNPACKED

PROGRAM = Path(__file__).with_name("parse_sheet.py")
PACKAGES = str(distribution("python-calamine").locate_file(""))
MAX_ROWS = 200_000
MEMORY_MB = 1024
CPU_SECONDS = 20
SILENCE_SECONDS = 40.0
_LONGEST_LINE = 16 << 20


class SheetRow(NamedTuple):
    """One row as typed: its number in the sheet, and the text of its cells."""

    row_no: int
    hidden: bool
    name: str
    phone: str
    unit: str
    party: str


async def read_sheet(
    kind: str, file: int, *, max_rows: int = MAX_ROWS, memory_mb: int = MEMORY_MB, cpu_seconds: int = CPU_SECONDS
) -> AsyncIterator[list[SheetRow]]:
    """The rows of the sheet behind a file descriptor, a few hundred at a time, in bounded memory.

    Raises a SheetRefused, also where the child was killed by a limit, after whatever rows came before. The child is
    gone when this ends, in whichever way.
    """
    limits = (max_rows, memory_mb, cpu_seconds, MAX_UNPACKED >> 20)
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-S", str(PROGRAM), PACKAGES, kind, *map(str, limits)),
        stdin=file,
        stdout=PIPE,
        stderr=DEVNULL,  # a parser's last words quote what it was reading
        env={},
        cwd="/",
        limit=_LONGEST_LINE,
    )
    try:
        while True:
            answer = await _next_answer(child)
            if isinstance(answer, dict):
                _judge(answer)
                return
            yield [SheetRow._make(row) for row in answer]
    finally:
        if child.returncode is None:
            child.kill()
        await child.wait()


async def _next_answer(child: asyncio.subprocess.Process) -> dict[str, Any] | list[list[int | str]]:
    """The refusal, or the next rows."""
    assert child.stdout is not None
    try:
        async with asyncio.timeout(SILENCE_SECONDS):
            line = await child.stdout.readline()
    except (TimeoutError, ValueError):
        raise FileExhausting from None
    if line.endswith(b"\n"):
        answer: dict[str, Any] | list[list[int | str]] = orjson.loads(line)
        return answer
    # It ended without an answer: a limit killed it, or a parser took it down with it.
    raise FileExhausting if await child.wait() < 0 else FileDamaged


def _judge(answer: dict[str, Any]) -> None:
    code = answer.pop("refused", None)
    if code is not None:
        raise SHEET_REFUSALS[code](**answer)
