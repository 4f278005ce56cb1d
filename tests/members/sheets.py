"""Helpers for import tests: generated sheets, and the steps of an import over HTTP."""

import io
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import httpx
import xlsxwriter
from openpyxl.reader import excel

from tests.people import Person

HEADER = ("姓名", "手机号码", "支部名称")

Work = Callable[[], Awaitable[None]]


def xlsx(rows: Sequence[Sequence[Any]], header: Sequence[str] = HEADER) -> bytes:
    """Return a workbook of one sheet with these rows under the header."""
    content = io.BytesIO()
    book = xlsxwriter.Workbook(content, {"in_memory": True, "strings_to_formulas": False})
    sheet = book.add_worksheet()
    for number, row in enumerate([header, *rows]):
        sheet.write_row(number, 0, row)
    book.close()
    return content.getvalue()


def open_xlsx(content: bytes) -> Any:
    """Read a workbook of the service with another library."""
    load: Callable[..., Any] = excel.load_workbook
    return load(io.BytesIO(content))


async def upload(admin: Person, org_id: str, content: bytes, name: str = "members.xlsx", **form: str) -> httpx.Response:
    return await admin.post(f"/v1/orgs/{org_id}/imports", files={"file": (name, content)}, data=form)


async def check(admin: Person, org_id: str, worker: Work, content: bytes, **options: str) -> dict[str, Any]:
    """Upload a sheet and run the check. Return the import after the check."""
    uploaded = await upload(admin, org_id, content, **options)
    assert uploaded.status_code == 202, uploaded.text
    await worker()
    return await read(admin, org_id, uploaded.json()["id"])


async def merge(
    admin: Person,
    org_id: str,
    worker: Work,
    content: bytes,
    *,
    leaving: int | None = None,
    decisions: dict[str, list[int]] | None = None,
    **options: str,
) -> dict[str, Any]:
    """Upload a sheet, run the check, confirm it and run the merge. Return the import after the merge."""
    checked = await check(admin, org_id, worker, content, **options)
    assert checked["state"] == "ready", checked
    body = {"preview": checked["preview"], "leaving": leaving} | (decisions or {})
    confirmed = await admin.put(f"/v1/orgs/{org_id}/imports/{checked['id']}/confirmation", json=body)
    assert confirmed.status_code == 202, confirmed.text
    await worker()
    return await read(admin, org_id, checked["id"])


async def read(admin: Person, org_id: str, import_id: str) -> dict[str, Any]:
    found = await admin.get(f"/v1/orgs/{org_id}/imports/{import_id}")
    assert found.status_code == 200, found.text
    body: dict[str, Any] = found.json()
    return body


async def rows_of(admin: Person, org_id: str, import_id: str, **query: str) -> list[dict[str, Any]]:
    found = await admin.get(f"/v1/orgs/{org_id}/imports/{import_id}/rows", params={"limit": 200} | query)
    assert found.status_code == 200, found.text
    items: list[dict[str, Any]] = found.json()["items"]
    return items


async def list_members(admin: Person, org_id: str, **query: Any) -> list[dict[str, Any]]:
    """Return all people of the directory that match the query, from all pages."""
    items: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        params = {"limit": 200} | query | ({"cursor": cursor} if cursor else {})
        found = await admin.get(f"/v1/orgs/{org_id}/members", params=params)
        assert found.status_code == 200, found.text
        items += found.json()["items"]
        cursor = found.json()["next_cursor"]
        if cursor is None:
            return items
