"""The scripts of the pages: one behaviour a file, bound by data attributes that occur in templates."""

import re
from pathlib import Path

import app.console
import devtools.phone
from app.console.frame import assets

_STATIC = Path(app.console.__file__).parent / "static"
_ROOTS = (Path(app.console.__file__).parent, Path(devtools.phone.__file__).parent)
_ATTRIBUTE = re.compile(r"data-[a-z][a-z-]*")


def read_scripts() -> str:
    scripts = [*_STATIC.glob("**/*.js"), *_ROOTS[1].glob("static/*.js")]
    return "\n".join(script.read_text("utf-8") for script in scripts)


def test_every_behaviour_is_served_and_begins_with_its_description() -> None:
    files = sorted((_STATIC / "js").glob("*.js"))
    assert {file.stem for file in files} == set(assets._BEHAVIOURS)
    for file in files:
        head = file.read_text("utf-8").partition("\n\n")[0]
        assert head.startswith("// "), file
        assert "data-" in head or "data attribute" in head or "hx-" in head, file


def test_every_data_attribute_of_a_script_occurs_in_a_template_and_the_reverse() -> None:
    templates = "\n".join(page.read_text("utf-8") for root in _ROOTS for page in root.glob("**/*.html"))
    scripts = read_scripts()
    # `element.dataset.fileName` is the attribute `data-file-name`.
    in_dataset = {
        "data-" + re.sub("[A-Z]", lambda letter: f"-{letter[0].lower()}", name)
        for name in re.findall(r"dataset\??\.(\w+)", scripts)
    }
    in_scripts = set(_ATTRIBUTE.findall(scripts)) | in_dataset
    in_templates = set(_ATTRIBUTE.findall(templates))
    assert in_scripts - in_templates == set(), "no behaviour without a template"
    assert in_templates - in_scripts == set(), "no attribute without a behaviour"
