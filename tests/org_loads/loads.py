"""Steps of a load of orgs over HTTP."""

import csv
import io
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from tests.acts import Json, get_body, list_all
from tests.people import Person

HEADER = ("组织名称", "所在地区代码", "上级组织", "组织类型", "编号", "主管理员姓名", "主管理员手机号码")
LOADS = "/v1/operator/org-loads"

Work = Callable[[], Awaitable[None]]
Rows = Sequence[Sequence[Any]]


def make_csv(rows: Rows, header: Sequence[str] = HEADER) -> bytes:
    """Return a sheet of orgs as CSV. A row may leave out the last columns."""
    text = io.StringIO(newline="")
    csv.writer(text).writerows([header, *([*row, *[""] * (len(header) - len(row))] for row in rows)])
    return text.getvalue().encode()


async def upload(operator: Person, content: bytes, name: str = "orgs.csv") -> Json:
    """Upload a sheet. Return the load."""
    load: Json = get_body(await operator.post(LOADS, files={"file": (name, content)}), 202)
    return load


async def read(operator: Person, load: Json) -> Json:
    found: Json = get_body(await operator.get(f"{LOADS}/{load['id']}"))
    return found


async def check(operator: Person, worker: Work, rows: Rows) -> Json:
    """Upload a sheet with these rows and run the check. Return the load."""
    load = await upload(operator, make_csv(rows))
    await worker()
    return await read(operator, load)


async def confirm(operator: Person, worker: Work, load: Json) -> Json:
    """Confirm the load's preview and run the job. Return the load."""
    get_body(await operator.put(f"{LOADS}/{load['id']}/confirmation", json={"preview": load["preview"]}), 202)
    await worker()
    return await read(operator, load)


async def load_orgs(operator: Person, worker: Work, rows: Rows) -> Json:
    """Upload, check, confirm and load. Return the load, which is done."""
    load = await confirm(operator, worker, await check(operator, worker, rows))
    assert load["state"] == "done", load
    return load


async def reverse(operator: Person, worker: Work, load: Json, *, only_unused: bool = False) -> Json:
    """Reverse the load and run the job. Return the load."""
    get_body(await operator.put(f"{LOADS}/{load['id']}/reversal", json={"only_unused": only_unused}), 202)
    await worker()
    return await read(operator, load)


async def list_rows(operator: Person, load: Json, **params: Any) -> list[Json]:
    return await list_all(operator, f"{LOADS}/{load['id']}/rows", **params)


async def list_outcomes(operator: Person, load: Json) -> dict[int, Any]:
    """Return the outcome of each row, or the codes of its problems."""
    rows = await list_rows(operator, load)
    return {row["row_no"]: [one["code"] for one in row["problems"]] or row["outcome"] for row in rows}
