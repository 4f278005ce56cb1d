"""The multipart form of an upload: the sheet, the mode, and what to do with unknown units."""

from typing import Any

from fastapi import Request
from pydantic import TypeAdapter, ValidationError
from starlette.datastructures import UploadFile

from app.core.i18n import gettext
from app.core.text import remove_unshowable
from app.members.imports.schemas import ImportMode, UnknownUnits
from app.members.imports.uploads import UNREADABLE_NAME, Upload
from app.web.errors import Invalid, UnsupportedMediaType
from app.web.forms import read_form

MAX_UPLOAD_BYTES = 201 << 20
"""The largest `max_upload_mb`, and the other parts of the form."""

_MODE, _UNKNOWN_UNITS = TypeAdapter(ImportMode), TypeAdapter(UnknownUnits)


async def read_upload_form(request: Request) -> Upload:
    """Return the parts of the form. Raises UnsupportedMediaType, BodyTooLarge, BadRequest, and Invalid.

    The framework would read the form before it authenticates the caller. This function reads it afterwards.
    """
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        raise UnsupportedMediaType
    form = await read_form(request)
    wrong: list[dict[str, str]] = []
    found: dict[str, Any] = {}
    file = form.get("file")
    if not isinstance(file, UploadFile):
        wrong.append({"pointer": "/file", "code": "missing", "detail": gettext("缺少文件")})
    else:
        name = (file.filename or "").replace("\\", "/").rpartition("/")[2][-200:]
        found |= {"file": file.file, "file_name": remove_unshowable(name) or UNREADABLE_NAME}
    choices: tuple[tuple[str, TypeAdapter[Any], str], ...] = (
        ("mode", _MODE, ImportMode.ADD_AND_UPDATE),
        ("unknown_units", _UNKNOWN_UNITS, UnknownUnits.REFUSE),
    )
    for name, adapter, default in choices:
        try:
            found[name] = adapter.validate_python(form.get(name, default))
        except ValidationError:
            wrong.append({"pointer": f"/{name}", "code": "enum", "detail": gettext("不是可选的值")})
    for extra in sorted(set(form) - {"file", "mode", "unknown_units"})[:10]:
        wrong.append({"pointer": f"/{extra[:100]}", "code": "extra_forbidden", "detail": gettext("不接受此项")})
    if wrong:
        raise Invalid(errors=wrong)
    return Upload(**found)
