"""Properties of each template by itself."""

import re
from importlib.resources import files
from pathlib import Path

_TEMPLATES = [Path(str(files(package))) / "templates" for package in ("app.console", "devtools.phone")]
_PRESSED = re.compile(r'<(?:a|button|form)\b(?:"[^"]*"|\{%.*?%\}|\{\{.*?\}\}|[^>"])*>')


def test_buttons_with_requests_have_a_target() -> None:
    # Nothing is inherited (`disableInheritance`): a button without its own target would show the answer inside itself.
    paths = [path for directory in _TEMPLATES for path in directory.rglob("*.html")]
    found = [(path.name, tag) for path in paths for tag in _PRESSED.findall(path.read_text())]
    asks = [(name, tag) for name, tag in found if "hx-get=" in tag or "hx-post=" in tag]
    assert len(asks) > 60
    assert [one for one in asks if "hx-target=" not in one[1] and one[0] != "outbox.html"] == []
