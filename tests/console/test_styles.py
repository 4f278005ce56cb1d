"""The stylesheets and the templates use the same classes, and each stylesheet belongs to a cascade layer."""

import re
from importlib.resources import files

from app.console.frame.assets import read_asset_text
from tests.console.test_templates import list_templates, read_source

_ATTRIBUTE = re.compile(r'\sclass=(?:"((?:\{\{.*?\}\}|\{%.*?%\}|[^"{])*)"|([\w-]+))')
_EXPRESSION = re.compile(r"\{\{.*?\}\}|\{%.*?%\}")
_COMPARED = re.compile(r"== '\w+'")
_LITERAL = re.compile(r"'([\w -]*)'(?!:)")
_OF_BODY = re.compile(r"block body_class %\}([\w ]+)\{")
_IN_SELECTOR = re.compile(r"\.([a-z][\w-]*)")
_ICON = re.compile(r"icon\('\w+', '([\w ]+)'\)")
_STYLES = {file.name: file.read_text() for file in files("app.console").joinpath("static/css").iterdir()}
_SCRIPTS = [file.read_text() for file in files("app.console").joinpath("static/js").iterdir()]
_OF_HTMX = {"htmx-request"}


def read_rules() -> str:
    """Return all stylesheets without comments and declarations: their selectors and at-rules."""
    return re.sub(r"/\*.*?\*/|\{[^{}]*\}", "{}", "\n".join(_STYLES.values()), flags=re.DOTALL)


def find_styled_classes() -> set[str]:
    return set(_IN_SELECTOR.findall(re.sub(r"@media[^{]*", "", read_rules())))


def find_template_classes() -> set[str]:
    """Return the classes that templates give. One that ends with a hyphen is the begin of a class."""
    found = set[str]()
    for source in map(read_source, list_templates()):
        found |= {name for given in _ICON.findall(source) + _OF_BODY.findall(source) for name in given.split()}
        for quoted, bare in _ATTRIBUTE.findall(source):
            for expression in _EXPRESSION.findall(quoted):
                found |= {
                    name for literal in _LITERAL.findall(_COMPARED.sub("", expression)) for name in literal.split()
                }
            words = re.sub(r"-\{\{.*?\}\}", "- ", quoted)
            found |= {*_EXPRESSION.sub(" ", words).split(), *bare.split()}
    return found


def find_script_classes() -> set[str]:
    return {name for source in _SCRIPTS for name in re.findall(r'classList\.\w+\("([\w-]+)"', source)}


def test_every_class_of_a_rule_is_used() -> None:
    used = find_template_classes() | find_script_classes() | _OF_HTMX
    begins = tuple(name for name in used if name.endswith("-"))
    assert {name for name in find_styled_classes() - used if not name.startswith(begins)} == set()


def test_every_class_of_a_template_has_a_rule() -> None:
    styled = find_styled_classes()
    begins = {name[: name.rindex("-") + 1] for name in styled if "-" in name}
    assert find_template_classes() - styled - begins == set()


def test_every_stylesheet_is_served_in_its_layer() -> None:
    served = read_asset_text("console.css")
    order = re.match(r"/\*.*?\*/\s*@layer ([\w, ]+);", served, re.DOTALL)
    assert order is not None
    for name, content in _STYLES.items():
        layers = re.findall(r"^@layer (\w+) \{", content, re.MULTILINE)
        assert len(layers) == 1, name
        assert layers[0] in order[1].split(", "), name
        assert content.strip().endswith("}"), name
        assert content in served, name
