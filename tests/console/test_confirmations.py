"""What takes something from somebody is confirmed by a name, or taken back."""

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from app.console.frame.confirmations import Confirmation
from app.console.frame.forms import Form, is_name_typed
from app.console.frame.notices import Undo


async def nothing(_: AsyncConnection, __: str) -> None:
    pass


def test_a_dangerous_question_has_a_name_or_can_be_undone() -> None:
    with pytest.raises(ValueError, match="Remove all"):
        Confirmation("Remove all", explanation="", button="", operation=nothing, message="")
    Confirmation("Remove all", explanation="", button="", operation=nothing, message="", name="all")
    Confirmation("Remove all", explanation="", button="", operation=nothing, message="", undo=Undo("/back"))
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
def test_a_name_may_be_typed_as_any_keyboard_has_it(name: str, given: str, typed: bool) -> None:
    assert is_name_typed(name, Form([("name", given)])) is typed
