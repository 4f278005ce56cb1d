"""The multipart form of an upload: the sheet, the mode, and what to do with unknown units."""

from typing import Any, BinaryIO
from uuid import UUID

from fastapi import Request
from pydantic import TypeAdapter, ValidationError
from starlette.datastructures import FormData, UploadFile

from app.core.i18n import gettext
from app.core.services import SETTINGS
from app.core.text import remove_refused_characters
from app.members.imports.errors import FileTooLarge
from app.members.imports.schemas import ImportMode, UnitsOption, UnknownUnits
from app.members.imports.uploads import UNREADABLE_NAME, Upload
from app.web.errors import BodyTooLarge, Invalid, UnsupportedMediaType
from app.web.forms import read_form

MAX_UPLOAD_BYTES = 201 << 20
"""The largest `max_upload_mb`, and the other parts of the form."""

_CHOICES: tuple[tuple[str, TypeAdapter[Any], Any], ...] = (
    ("mode", TypeAdapter(ImportMode), ImportMode.ADD_AND_UPDATE),
    ("unit_id", TypeAdapter(UUID | None), None),
    ("units", TypeAdapter(UnitsOption), UnitsOption.KEEP),
    ("unknown_units", TypeAdapter(UnknownUnits), UnknownUnits.REFUSE),
    ("fill_units", TypeAdapter(bool), False),
)


async def read_upload_form(request: Request) -> Upload:
    """Return the sheet and the options of the form. Raises UnsupportedMediaType, FileTooLarge, BadRequest, and Invalid.

    The framework would read the form before it authenticates the caller. This function reads it afterwards.
    """
    return make_upload(await read_upload_parts(request))


async def read_upload_parts(request: Request) -> FormData:
    """Return the parts of the form. Raises UnsupportedMediaType, FileTooLarge, BadRequest."""
    try:
        return await _read_multipart(request)
    except BodyTooLarge:
        raise FileTooLarge(limit=SETTINGS.get(request).max_upload_mb) from None


def make_upload(form: FormData) -> Upload:
    """Return the sheet and the options of the form. Raises Invalid."""
    found: dict[str, Any] = {}
    file, wrong = _get_file(form)
    if file is not None:
        found |= {"file": file.file, "file_name": _clean_name(file)}
    for name, adapter, default in _CHOICES:
        try:
            found[name] = adapter.validate_python(form.get(name) or default)
        except ValidationError:
            wrong.append({"pointer": f"/{name}", "code": "enum", "detail": gettext("不是可选的值")})
    if (
        "mode" in found
        and "unit_id" in found
        and (found["mode"] == ImportMode.REPLACE_UNIT) == (found["unit_id"] is None)
    ):
        detail = gettext("mode 为 replace-unit 时必须给出 unit_id，其他情况不能给出")
        wrong.append({"pointer": "/unit_id", "code": "unit", "detail": detail})
    wrong += _list_extra(form, {"file", *(name for name, _, _ in _CHOICES)})
    if wrong:
        raise Invalid(errors=wrong)
    return Upload(**found)


async def read_file_form(request: Request) -> tuple[str, BinaryIO]:
    """Return the file of a form that has nothing else, and its name. Raises UnsupportedMediaType, BodyTooLarge,
    BadRequest, Invalid."""
    form = await _read_multipart(request)
    file, wrong = _get_file(form)
    wrong += _list_extra(form, {"file"})
    if wrong or file is None:
        raise Invalid(errors=wrong)
    return _clean_name(file), file.file


async def _read_multipart(request: Request) -> FormData:
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        raise UnsupportedMediaType
    return await read_form(request)


def _get_file(form: FormData) -> tuple[UploadFile | None, list[dict[str, str]]]:
    """Return the file, or None and what is wrong."""
    file = form.get("file")
    if isinstance(file, UploadFile):
        return file, []
    return None, [{"pointer": "/file", "code": "missing", "detail": gettext("缺少文件")}]


def _clean_name(file: UploadFile) -> str:
    name = (file.filename or "").replace("\\", "/").rpartition("/")[2][-200:]
    return remove_refused_characters(name) or UNREADABLE_NAME


def _list_extra(form: FormData, known: set[str]) -> list[dict[str, str]]:
    return [
        {"pointer": f"/{extra[:100]}", "code": "extra_forbidden", "detail": gettext("不接受此项")}
        for extra in sorted(set(form) - known)[:10]
    ]
