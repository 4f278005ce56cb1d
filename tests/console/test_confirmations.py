"""An act that takes something away needs a typed name or an undo."""

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from app.console.frame.confirmations import Confirmation
from app.console.frame.forms import Form, is_name_typed
from app.console.frame.notices import Undo


async def nothing(_: AsyncConnection, __: str) -> None:
    pass


def test_dangerous_confirmation_needs_a_name_or_an_undo() -> None:
    with pytest.raises(ValueError, match="Remove all"):
        Confirmation("Remove all", explanation="", button="", operation=nothing, message="")
    Confirmation("Remove all", explanation="", button="", operation=nothing, message="", name="all")
    Confirmation("Remove all", explanation="", button="", operation=nothing, message="", undo=Undo("/back", "Undo"))
    Confirmation("Agree", explanation="", button="", operation=nothing, message="", danger=False)


@pytest.mark.parametrize(
    ("name", "given", "typed"),
    [
        ("中共某县委员会（筹）", "中共某县委员会(筹)", True),
        ("Chrome 131 · Windows", "chrome131windows", True),
        ("\u0645\u0631\u064a\u0645", "\u2068\u0645\u0631\u064a\u0645\u2069", True),
        ("王伟", "王 伟", True),
        ("王伟", "王", False),
        ("王伟", "", False),
        ("…", "…", True),
        ("…", "!", False),
        ("…", "", False),
    ],
)
def test_typed_name_matches_across_keyboards(name: str, given: str, typed: bool) -> None:
    assert is_name_typed(name, Form([("name", given)])) is typed
