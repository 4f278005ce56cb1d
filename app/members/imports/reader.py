"""Reads a file with a child process (`parser.sheet_parser`) and yields its rows."""

import asyncio
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from importlib.metadata import distribution
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import orjson

from app.members.imports.errors import SHEET_REFUSALS, FileDamaged, FileExhausting
from app.members.imports.uploads import MAX_UNPACKED

PROGRAM = Path(__file__).parent / "parser" / "sheet_parser.py"
PACKAGES = str(distribution("python-calamine").locate_file(""))
MAX_ROWS = 200_000
MEMORY_MB = 1024
CPU_SECONDS = 20
MAX_SILENCE_SECONDS = 40.0
_MAX_LINE_BYTES = 16 << 20


Cell: TypeAlias = int | bool | str | list[str]


class SheetRow(NamedTuple):
    """One row about a person: its number, and the texts of its cells.

    Rows are numbered through the sheets that are read: `row_no` is the number in the sheet plus the rows of the sheets
    before it (`reading.Reading` has them). `number` is the text of the column 编号. `marks` are codes of warnings and
    problems that cannot be seen in the texts.
    """

    row_no: int
    hidden: bool
    name: str
    phone: str
    unit: str
    party: str
    party_kind: str = ""
    post: str = ""
    number: str = ""
    marks: Sequence[str] = ()


class CellRow(NamedTuple):
    """One row of a table: its number, whether it is hidden, and the text of the cell under each heading."""

    row_no: int
    hidden: bool
    cells: Sequence[str]


class SheetReading:
    """Reads the rows of a file. After the last row, `result` says what was read (`reading.Reading`, as JSON)."""

    def __init__(self, kind: str, file: int, options: Mapping[str, Any] | None = None) -> None:
        self._kind, self._file, self._options = kind, file, options or {}
        self.result: dict[str, Any] = {}

    async def read_rows(
        self, *, max_rows: int = MAX_ROWS, memory_mb: int = MEMORY_MB, cpu_seconds: int = CPU_SECONDS
    ) -> AsyncIterator[list[SheetRow]]:
        """Yield the rows of the file descriptor, a few hundred at a time, with bounded memory.

        Raises a SheetRefused, also if a limit killed the child process; some rows may have been yielded before. The
        child process has always ended when this generator ends.
        """
        limits = (max_rows, memory_mb, cpu_seconds)
        async with aclosing(_run_parser(self._kind, self._file, self._options, limits)) as answers:
            async for answer in answers:
                if isinstance(answer, dict):
                    self.result = answer["reading"]
                    return
                yield [SheetRow._make(row) for row in answer]


async def read_table(
    kind: str, file: int, required: Sequence[str], optional: Sequence[str], limits: tuple[int, int, int]
) -> AsyncGenerator[list[CellRow]]:
    """Yield the rows under these headings, a few hundred at a time, with bounded memory.

    `limits` are the most rows, the memory in MB and the processor time in seconds. Raises a SheetRefused, also if a
    limit killed the child process. The child process has always ended when this generator ends: close it with
    `aclosing`.
    """
    options = {"table": {"required": required, "optional": optional}}
    async with aclosing(_run_parser(kind, file, options, limits)) as answers:
        async for answer in answers:
            if isinstance(answer, list):
                yield [CellRow._make((row[0], row[1], row[2:])) for row in answer]


async def _run_parser(
    kind: str, file: int, options: Mapping[str, Any], limits: tuple[int, int, int]
) -> AsyncGenerator[dict[str, Any] | list[list[Cell]]]:
    """Yield the rows that the child process writes, and at the end its final object. Raises a SheetRefused."""
    numbers = map(str, (*limits, MAX_UNPACKED >> 20))
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-S", str(PROGRAM), PACKAGES, kind, *numbers, orjson.dumps(options).decode()),
        stdin=file,
        stdout=PIPE,
        stderr=DEVNULL,  # error messages of the parser contain personal data of the sheet
        env={},
        cwd="/",
        limit=_MAX_LINE_BYTES,
    )
    try:
        while True:
            answer = await _read_answer(child)
            if isinstance(answer, dict):
                _raise_refusal(answer)
                yield answer
                return
            yield answer
    finally:
        if child.returncode is None:
            child.kill()
        await child.wait()


async def _read_answer(child: asyncio.subprocess.Process) -> dict[str, Any] | list[list[Cell]]:
    """Return the final object or the next rows. Raises FileExhausting, FileDamaged."""
    assert child.stdout is not None
    try:
        async with asyncio.timeout(MAX_SILENCE_SECONDS):
            line = await child.stdout.readline()
    except (TimeoutError, ValueError):
        raise FileExhausting from None
    if line.endswith(b"\n"):
        answer: dict[str, Any] | list[list[Cell]] = orjson.loads(line)
        return answer
    # The child ended without the final object: a limit killed it, or the parser library crashed.
    raise FileExhausting if await child.wait() < 0 else FileDamaged


def _raise_refusal(answer: dict[str, Any]) -> None:
    code = answer.pop("refused", None)
    if code is not None:
        raise SHEET_REFUSALS[code](**answer)
