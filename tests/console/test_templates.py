"""Properties of each template by itself, and of the context that it is rendered with."""

import re
from collections import Counter
from collections.abc import Iterator, Set
from functools import cache
from typing import Any, get_type_hints

import pytest
from fastapi import Request
from jinja2 import UndefinedError, meta, nodes

from app.console import site as console
from app.console.frame.templates import Context, _environment, build_request_values, render_page
from devtools.phone import site as phone

_PRESSED = re.compile(r'<(?:a|button|form)\b(?:"[^"]*"|\{%.*?%\}|\{\{.*?\}\}|[^>"])*>')
_REQUEST = Request({"type": "http", "method": "GET", "path": "/console/", "query_string": b"", "headers": []})
_ALWAYS = {*_environment.globals, *build_request_values(_REQUEST), "self"}
_SITES = (console, phone)  # imported for their contexts


@cache
def list_templates() -> dict[str, nodes.Template]:
    """Return all templates by name, parsed."""
    loader = _environment.loader
    assert loader is not None
    return {name: _environment.parse(read_source(name)) for name in loader.list_templates()}


def read_source(template: str) -> str:
    loader = _environment.loader
    assert loader is not None
    return loader.get_source(_environment, template)[0]


def list_contexts(base: type[Context] = Context) -> Iterator[type[Context]]:
    """Return the contexts of the pages. Those of tests are left out."""
    for context in base.__subclasses__():
        if context.__module__.startswith(("app.", "devtools.")):
            yield context
            yield from list_contexts(context)


def list_references(template: str) -> set[str]:
    """Return the templates that a template extends, includes or imports."""
    return {other for other in meta.find_referenced_templates(list_templates()[template]) if other} - {template}


@cache
def find_names(template: str) -> Set[str]:
    """Return the names that a template and all that it extends, includes or imports read and do not set."""
    tree = list_templates()[template]
    local = {name.name for name in tree.find_all(nodes.Name) if name.ctx != "load"}
    others = set[str]().union(*(find_names(other) for other in list_references(template))) - local
    return (meta.find_undeclared_variables(tree) | others) - find_set_names(template) - _ALWAYS


@cache
def find_set_names(template: str) -> Set[str]:
    """Return the names that a template and those that it extends set for all blocks: variables and macros."""
    tree = list_templates()[template]
    found = {
        assignment.target.name
        for assignment in tree.find_all(nodes.Assign)
        if isinstance(assignment.target, nodes.Name)
    }
    found |= {macro.name for macro in tree.find_all(nodes.Macro)}
    found |= {
        imported
        for statement in tree.find_all(nodes.FromImport)
        for imported in statement.names
        if isinstance(imported, str)
    }
    parents = [
        statement.template.value
        for statement in tree.find_all(nodes.Extends)
        if isinstance(statement.template, nodes.Const)
    ]
    return found.union(*(find_set_names(parent) for parent in parents))


def test_each_rendered_template_has_one_context() -> None:
    rendered = Counter(context.template for context in set(list_contexts()) if "template" in vars(context))
    referenced = {other for template in list_templates() for other in list_references(template)}
    assert set(rendered) <= set(list_templates())
    assert [template for template, count in rendered.items() if count > 1] == []
    assert set(list_templates()) - set(rendered) - referenced == set()


def test_template_reads_only_names_of_its_context() -> None:
    unknown = {
        context.template: names
        for context in list_contexts()
        if hasattr(context, "template") and (names := find_names(context.template) - set(context.variables))
    }
    assert unknown == {}


def test_context_has_no_field_that_its_template_does_not_read() -> None:
    unread = {
        (context.template, name)
        for context in list_contexts()
        if "template" in vars(context)
        for name in {**vars(context).get("__annotations__", {}), **vars(context)}
        if name in context.variables and name not in find_names(context.template)
    }
    assert unread == set()


def test_every_field_of_a_context_is_typed() -> None:
    loose = {
        (context.__name__, name)
        for context in list_contexts()
        for name, kind in get_type_hints(context).items()
        if kind in {Any, object, dict} and name in context.variables
    }
    assert loose == {("PhoneExistsDialog", "member")}  # as the problem carries it


def test_name_without_value_fails_to_render() -> None:
    class Empty(Context, template="frame/done.html"):
        pass

    with pytest.raises(UndefinedError, match="'message' is undefined"):
        render_page(_REQUEST, Empty())


def test_buttons_with_requests_have_a_target() -> None:
    # Nothing is inherited (`disableInheritance`): a button without its own target would show the answer inside itself.
    found = [(name, tag) for name in list_templates() for tag in _PRESSED.findall(read_source(name))]
    asks = [(name, tag) for name, tag in found if "hx-get=" in tag or "hx-post=" in tag]
    assert len(asks) > 40
    assert [ask for ask in asks if "hx-target=" not in ask[1] and ask[0] != "phone/outbox.html"] == []
