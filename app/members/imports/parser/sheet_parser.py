"""The program of the child process that parses one sheet. The service runs it by its path and never imports it.

Users upload arbitrary files, and one hostile file of 5 kB can abort the process that parses it. Therefore a child
process parses the file: it limits its memory and processor time before it reads anything, has an empty environment,
has no open files except the sheet (stdin) and the pipe to the parent (stdout), and imports nothing of the service.

    python -I -S sheet_parser.py PACKAGES FORMAT MAX_ROWS MEMORY_MB CPU_SECONDS MAX_UNPACKED_MB OPTIONS  < sheet

PACKAGES is the directory where the parser library is installed, OPTIONS a JSON object (`workbooks.Options`). The
program writes JSON lines: arrays of a few hundred rows `[row_no, hidden, name, phone, unit, party, party_kind, post,
number, marks]`, and at the end one object, `{"done": true, "reading": …}` or `{"refused": code, …}`. If the program
ends without this object, the parent decides what to report.

With the option `table` (`{"required": […], "optional": […]}`, headings) `tables` reads the file, and a row is `[row_no,
hidden, one text for each heading]`.

The start takes most of the time of a small sheet. Therefore the reading code is in modules, whose bytecode is cached,
and the program imports only the necessary parts of the standard library.
"""

import json
import os
import resource
import sys

# The package of this program is not on the path of the process. It comes last, after the standard library.
sys.path.append(os.path.dirname(os.path.dirname(__file__)))  # pathlib takes long to import
from parser.refusals import Refused  # type: ignore[import-not-found]  # found by the path above
from parser.tables import TableReader  # type: ignore[import-not-found]  # found by the path above
from parser.workbooks import FileReader, Options  # type: ignore[import-not-found]  # found by the path above

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    Row = list[int | bool | str | list[str]]

BATCH_ROWS = 500


def main() -> None:
    packages, kind, *numbers, options = sys.argv[1:]
    sys.path.append(packages)
    max_rows, memory, seconds, unpacked = map(int, numbers)
    apply_limits(memory << 20, seconds)
    output = sys.stdout
    try:
        count = 0
        given = json.loads(options)
        sheet = (kind, sys.stdin.buffer.read(), unpacked << 20, max_rows)
        if "table" in given:
            file = TableReader(*sheet, **given["table"])
            rows = file.read_rows()
        else:
            file = FileReader(*sheet, Options(given))
            rows = file.read_people()
        for batch in make_batches(rows):
            count += len(batch)
            output.write(json.dumps(batch) + "\n")
        if not count:
            raise Refused("no-rows")
        answer: dict[str, Any] = {"done": True, "reading": file.describe()}
    except Refused as refused:
        answer = refused.answer
    except MemoryError:
        answer = {"refused": "file-exhausting"}
    output.write(json.dumps(answer) + "\n")
    output.flush()


def apply_limits(memory: int, seconds: int) -> None:
    """Limit this process: memory in bytes, processor time in seconds, no core dump, no file writes, no new process.

    It also closes all inherited file descriptors, because some event loops (uvloop) pass them to a child.
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


def make_batches(rows: "Iterable[Row]") -> "Iterator[list[Row]]":
    batch: list[Row] = []
    for row in rows:
        batch.append(row)
        if len(batch) == BATCH_ROWS:
            yield batch
            batch = []
    if batch:
        yield batch


if __name__ == "__main__":
    main()
