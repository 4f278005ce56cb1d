"""The phone of a form: a number, and beside it the country or region that it belongs to."""

from collections.abc import Mapping

from app.core.calling_codes import MAINLAND, add_calling_code, list_calling_codes


def read_phone(form: Mapping[str, str]) -> dict[str, str]:
    """Return the form's phone, with the code of the chosen country, as the field of a body. It is empty if no phone is
    typed.
    """
    chosen = form.get("phone_country", MAINLAND)
    known = any(found.code == chosen for found in list_calling_codes())
    phone = add_calling_code(chosen if known else MAINLAND, form.get("phone", ""))
    return {"phone": phone} if phone else {}
