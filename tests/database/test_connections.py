"""A reading route gets a connection without a transaction; a writing route gets the transaction of its request."""

import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends

from app.database.db import ReadableDb, ReadConnection, ReadDb, TransactionalRoute, WriteDb
from tests.processes import ROOT


async def _reads(db: ReadDb) -> None: ...


async def _writes(db: WriteDb) -> None: ...


async def _either(db: ReadableDb) -> None: ...


async def _reads_nested(_: Annotated[None, Depends(_reads)]) -> None: ...


async def _writes_nested(_: Annotated[None, Depends(_writes)]) -> None: ...


@pytest.mark.parametrize("endpoint", [_writes, _writes_nested])
def test_reading_route_with_a_transaction_is_refused_at_creation(endpoint: Any) -> None:
    router = APIRouter(route_class=TransactionalRoute)
    with pytest.raises(TypeError, match=r"/things reads \(GET\) but asks for WriteDb"):
        router.get("/things")(endpoint)


@pytest.mark.parametrize("endpoint", [_reads, _reads_nested])
def test_writing_route_with_a_read_connection_is_refused_at_creation(endpoint: Any) -> None:
    router = APIRouter(route_class=TransactionalRoute)
    with pytest.raises(TypeError, match=r"/things writes \(PATCH\) but asks for ReadDb"):
        router.patch("/things")(endpoint)


def test_dependency_of_both_kinds_of_routes_is_accepted() -> None:
    router = APIRouter(route_class=TransactionalRoute)
    router.get("/things")(_either)
    router.post("/things")(_either)


def test_read_connection_has_only_read_methods() -> None:
    offered = {name for name in vars(ReadConnection) if not name.startswith("_")}
    assert offered == {"execute", "scalar", "scalars", "fetch", "close", "close_with"}


@pytest.mark.long
def test_transaction_in_a_reading_route_is_a_type_error(tmp_path: Path) -> None:
    calls = ("db.begin()", "db.begin_nested()", "db.commit()", "operation(db)")
    written = tmp_path / "route.py"
    written.write_text(
        "from sqlalchemy.ext.asyncio import AsyncConnection\n"
        "from app.database.db import ReadDb\n"
        "async def operation(db: AsyncConnection) -> None: ...\n"
        "async def route(db: ReadDb) -> None:\n" + "".join(f"    await {call}\n" for call in calls)
    )
    command = (sys.executable, "-m", "mypy", written)  # as `make check` runs it, so that its cache serves
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout
    refused = [f'"ReadConnection" has no attribute "{name}"' for name in ("begin", "begin_nested", "commit")]
    for reason in (*refused, 'incompatible type "ReadConnection"; expected "AsyncConnection"', "Found 4 errors"):
        assert reason in found, found
