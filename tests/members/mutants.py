"""Mutated files: valid files with a few random edits from a fixed seed. And a fast way to parse many files."""

import io
import json
import random
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from typing import Any, NamedTuple

from app.members.imports.reader import CPU_SECONDS, MAX_ROWS, MEMORY_MB, PACKAGES, PROGRAM
from app.members.imports.uploads import MAX_UNPACKED

_TOKENS = [
    *(b"\0", b"\xff", b"&#xD800;", b"<!DOCTYPE x>", b"]]>", b"<", b'"', b"-1", b"999999999999", b"1048577", b"=1+1"),
    *("\u202e".encode(), "﻿".encode(), "𠮷".encode(), b"PK\x01\x02", b"_x0000_", b"\xd0\xcf\x11\xe0", b"true", b"s"),
]


class Mutant(NamedTuple):
    kind: str
    content: bytes


def make_mutants(seeds: list[Mutant], count: int, seed: int = 9) -> Iterator[Mutant]:
    generator = random.Random(seed)
    for number in range(count):
        kind, content = seeds[number % len(seeds)]
        inside = kind in {"xlsx", "ods"} and generator.random() < 0.6
        yield Mutant(kind, _edit_part(content, generator) if inside else _edit_bytes(content, generator))


def _edit_bytes(content: bytes, generator: random.Random) -> bytes:
    edited = bytearray(content)
    for _ in range(generator.choice((1, 1, 2, 5, 30))):
        at = generator.randrange(len(edited) + 1)
        match generator.randrange(6):
            case 0 if at < len(edited):
                edited[at] ^= 1 << generator.randrange(8)
            case 1:
                edited[at : at + 1] = generator.randbytes(1)
            case 2:
                edited[at:at] = generator.choice(_TOKENS)
            case 3:
                token = generator.choice(_TOKENS)
                edited[at : at + len(token)] = token
            case 4:
                del edited[at : at + generator.randrange(1, 40)]
            case _:
                upto = at + generator.randrange(1, 200)
                edited[at:at] = edited[at:upto]
    if generator.random() < 0.1:
        del edited[generator.randrange(len(edited) + 1) :]
    return bytes(edited)


def _edit_part(content: bytes, generator: random.Random) -> bytes:
    """Return the zip with one part changed, left out or replaced by another part, and with a valid directory."""
    source = zipfile.ZipFile(io.BytesIO(content))
    names = source.namelist()
    chosen, choice = generator.choice(names), generator.randrange(10)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as target:
        for name in names:
            part = source.read(name)
            if name == chosen:
                if choice == 0:
                    continue
                part = source.read(generator.choice(names)) if choice == 1 else _edit_bytes(part, generator)
            target.writestr(name, part)
    return packed.getvalue()


class ParserResult(NamedTuple):
    """The result of the parser process for a file: the rows, the final object if there is one, and the exit code."""

    rows: list[list[Any]]
    answer: dict[str, Any] | None
    ended: int


def parse_all(files: list[Mutant]) -> list[ParserResult]:
    """Parse each file with the program of the parser process.

    One interpreter forks for each file, because a new interpreter for each file takes forty times as long.
    """
    with tempfile.TemporaryFile() as stored:
        for kind, content in files:
            stored.write(f"{kind} {len(content)}\n".encode() + content)
        stored.seek(0)
        forked = subprocess.run(
            [sys.executable, "-I", "-c", _FORKER, str(PROGRAM), PACKAGES, *_LIMITS],
            stdin=stored,
            stdout=subprocess.PIPE,
            check=True,
        )
    return [_parse_result(line) for line in forked.stdout.splitlines()]


def _parse_result(line: bytes) -> ParserResult:
    output, ended = json.loads(line)
    answers = [json.loads(line) for line in output.splitlines() if line]
    last = answers.pop() if answers and isinstance(answers[-1], dict) else None
    return ParserResult([row for batch in answers for row in batch], last, ended)


_LIMITS = [*(str(number) for number in (MAX_ROWS, MEMORY_MB, CPU_SECONDS, MAX_UNPACKED >> 20)), "{}"]
_FORKER = """
import json, os, runpy, sys, tempfile
import python_calamine
program, packages, *limits = sys.argv[1:]
main = runpy.run_path(program)["main"]
while header := sys.stdin.buffer.readline():
    kind, length = header.decode().split()
    with tempfile.TemporaryFile() as sheet:
        sheet.write(sys.stdin.buffer.read(int(length)))
        sheet.seek(0)
        answer, write_end = os.pipe()
        child = os.fork()
        if not child:
            for there, file in enumerate((sheet.fileno(), write_end, os.open(os.devnull, os.O_WRONLY))):
                os.dup2(file, there)
            sys.stdin, sys.stdout = open(0, closefd=False), open(1, "w", closefd=False)
            sys.argv = [program, packages, kind, *limits]
            try:
                main()
                os._exit(0)
            except BaseException:
                os._exit(1)
        os.close(write_end)
        with open(answer) as pipe:
            output = pipe.read()
        print(json.dumps([output, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])]), flush=True)
"""
