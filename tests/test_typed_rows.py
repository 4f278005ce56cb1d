"""Rows have types and pages have one mechanism, everywhere in the source."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

APP = Path(__file__).parents[1] / "app"
PAGING = APP / "core" / "paging.py"

# What holds rows or values. Not in it: statements and their columns, whose types SQLAlchemy gives up from ten columns
# on, and `dict`, which is a JSON document or the context of a page.
HOLDERS = {
    *("AsyncGenerator", "AsyncIterable", "AsyncIterator", "Awaitable", "Collection", "Generator", "Iterable"),
    *("Iterator", "Mapping", "Optional", "Page", "Row", "Sequence", "Slice", "frozenset", "list", "set", "tuple"),
}

# Where no annotation can say what the caller knows: overloads of SQLAlchemy, and an object that is looked up by name.
EXCEPTIONS = {
    ("database/db.py", "scalar"),
    ("core/plugins.py", "load"),
    ("database/rows.py", "one_or_404"),
}


def _gives_any(annotation: ast.expr | None) -> bool:
    """Whether a function with this return annotation gives `Any`, or something that holds `Any`."""
    match annotation:
        case ast.Constant(value=str(text)):
            return _gives_any(ast.parse(text, mode="eval").body)
        case ast.Name(id="Any"):
            return True
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return _gives_any(left) or _gives_any(right)
        case ast.Starred(value=value):
            return _gives_any(value)
        case ast.Subscript(value=ast.Name(id=name), slice=inner) if name in HOLDERS:
            return any(map(_gives_any, inner.elts if isinstance(inner, ast.Tuple) else [inner]))
        case _:
            return False


def _untyped(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and _gives_any(node.returns):
            yield node.name


def _adds_one_to_a_limit(node: ast.AST) -> bool:
    match node:
        case ast.BinOp(left=ast.Attribute(attr="limit", value=owner), op=ast.Add()):
            return "paging" in ast.unparse(owner)
        case _:
            return False


def _parsed() -> Iterator[tuple[Path, ast.Module]]:
    for path in sorted(APP.rglob("*.py")):
        yield path, ast.parse(path.read_text())


def test_functions_return_named_types() -> None:
    found = {(str(path.relative_to(APP)), name) for path, tree in _parsed() for name in _untyped(tree)}
    assert found == EXCEPTIONS


def test_only_the_pagination_reads_one_row_more_than_a_page() -> None:
    assert [
        f"{path.relative_to(APP)}:{node.lineno}"
        for path, tree in _parsed()
        if path != PAGING
        for node in ast.walk(tree)
        if isinstance(node, ast.BinOp) and _adds_one_to_a_limit(node)
    ] == []


@pytest.mark.parametrize(
    ("annotation", "gives_any"),
    [
        ("Any", True),
        ("Any | None", True),
        ("Sequence[Row[Any]]", True),
        ("Mapping[UUID, Any]", True),
        ("tuple[Any, str]", True),
        ("Row[*tuple[Any, ...]]", True),
        ('"list[Any]"', True),
        ("list[UnitRow]", False),
        ("dict[str, Any]", False),
        ("Select[*tuple[Any, ...]]", False),
        ("ColumnElement[Any]", False),
    ],
)
def test_an_untyped_return_is_seen(annotation: str, gives_any: bool) -> None:
    (function,) = ast.parse(f"def f() -> {annotation}: ...").body
    assert list(_untyped(function)) == (["f"] if gives_any else [])
