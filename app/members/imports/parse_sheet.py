"""Reads one sheet: the program of a child process, run by its path and never imported by the service.

The parsers of office files meet whatever somebody uploads, and one hostile file of 5 kB can abort the process it is
parsed in. So it happens here: under limits of memory and processor time that are set before anything is read, with an
empty environment, no open file but the sheet (stdin) and the pipe back (stdout), and nothing of the service imported.

    python -I -S parse_sheet.py PACKAGES FORMAT MAX_ROWS MEMORY_MB CPU_SECONDS MAX_UNPACKED_MB  < sheet

PACKAGES is the folder where the parser is installed. It writes JSON lines: arrays of rows
`[row_no, hidden, name, phone, unit, party]`, a few hundred each, and at the end one object, `{"done": true}` or
`{"refused": code, …}`. Whatever else becomes of it is for the parent to judge.

A sheet of fifty rows costs what starting costs: what reads is a module, whose bytecode is kept, and of the standard
library only what is needed is imported.
"""

import json
import os
import resource
import sys

# The service's folder is not on the path of this process; its neighbours are found last, after the standard library.
sys.path.append(os.path.dirname(__file__))  # not by pathlib, which takes a while to import
from sheet_rows import Refused, read  # type: ignore[import-not-found]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

BATCH = 500


def main() -> None:
    packages, kind, *numbers = sys.argv[1:]
    sys.path.append(packages)
    max_rows, memory, seconds, unpacked = map(int, numbers)
    limit(memory << 20, seconds)
    output = sys.stdout
    try:
        count = 0
        for batch in batches(read(kind, sys.stdin.buffer.read(), unpacked << 20, max_rows)):
            count += len(batch)
            output.write(json.dumps(batch) + "\n")
        if not count:
            raise Refused("no-rows")
        answer: dict[str, Any] = {"done": True}
    except Refused as refused:
        answer = refused.answer
    except MemoryError:
        answer = {"refused": "file-exhausting"}
    output.write(json.dumps(answer) + "\n")
    output.flush()


def limit(memory: int, seconds: int) -> None:
    """What this process may use, before it reads a byte: no dump of its memory, no file, no other process.

    What it was started with is closed too: not every event loop keeps it from a child (uvloop does not).
    """
    os.closerange(3, 1 << 20)
    for name, value in (
        ("RLIMIT_CORE", 0),
        ("RLIMIT_FSIZE", 0),
        ("RLIMIT_NPROC", 0),
        ("RLIMIT_CPU", seconds),
        ("RLIMIT_AS", memory),
    ):
        _, hard = resource.getrlimit(getattr(resource, name))
        lowest = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(getattr(resource, name), (lowest, lowest))


def batches(rows: "Iterable[list[int | str]]") -> "Iterator[list[list[int | str]]]":
    batch: list[list[int | str]] = []
    for row in rows:
        batch.append(row)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


if __name__ == "__main__":
    main()
