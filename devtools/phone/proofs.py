"""The fields by which a person proves their real name, in every form that has them."""

from collections.abc import Mapping
from typing import Annotated

from fastapi import Depends, Request
from starlette.datastructures import UploadFile

from app.auth.verification.pictures import MAX_PICTURE_BYTES, SIDES
from app.auth.verification.schemas import ID_CARD
from app.console.frame.forms import Form
from app.core.i18n import gettext

PROOF_FIELDS = ("method", "name", "id_number")
MAX_FORM_BYTES = 2 * MAX_PICTURE_BYTES + 64 * 1024


class ProofForm(Form):
    """A form with the pictures of an ID card, by the side."""

    pictures: dict[str, bytes]


async def _read_form(request: Request) -> ProofForm:
    sent = await request.form(max_files=2, max_fields=100)
    form = ProofForm([(name, value) for name, value in sent.multi_items() if isinstance(value, str)])
    files = {side: sent.get(side) for side in SIDES}
    form.pictures = {side: await file.read() for side, file in files.items() if isinstance(file, UploadFile)}
    form.pictures = {side: content for side, content in form.pictures.items() if content}
    return form


ProofFormDep = Annotated[ProofForm, Depends(_read_form)]


def list_method_names() -> Mapping[str, str]:
    """Return the names of the methods that the service brings. A plug-in's method is shown as it is."""
    return {"alipay": gettext("支付宝"), "tencent": gettext("腾讯云人脸核身"), "id-card": gettext("身份证")}


def read_proof(form: Form) -> dict[str, object]:
    """Return the fields of a `VerificationCreate` from a form. Pictures count only for an ID card: a browser sends the
    fields for them with every method."""
    fields: dict[str, object] = {name: form.get(name, "") for name in PROOF_FIELDS}
    if form.get("method") == ID_CARD and isinstance(form, ProofForm):
        fields |= form.pictures
    return fields
