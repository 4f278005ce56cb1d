"""Rows are typed and pages use one mechanism, in the whole source."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

APP = Path(__file__).parents[1] / "app"
PAGING = APP / "database" / "paging.py"

# Containers of rows or values. Statements and columns are not included, because SQLAlchemy has no types for more than
# ten columns; nor is `dict`, which is a JSON document or the context of a page.
CONTAINERS = {
    *("AsyncGenerator", "AsyncIterable", "AsyncIterator", "Awaitable", "Collection", "Generator", "Iterable"),
    *("Iterator", "Mapping", "Optional", "Page", "Row", "Sequence", "Slice", "frozenset", "list", "set", "tuple"),
}

# Functions whose type cannot be annotated: overloads of SQLAlchemy, and an object that is looked up by name.
EXCEPTIONS = {
    ("database/db.py", "scalar"),
    ("core/plugins.py", "load_plugin"),
    ("database/rows.py", "one_or_404"),
    ("web/request_bodies.py", "json"),  # as Starlette declares it
}


def _returns_any(annotation: ast.expr | None) -> bool:
    """Return whether this return annotation is `Any` or a container of `Any`."""
    match annotation:
        case ast.Constant(value=str(text)):
            return _returns_any(ast.parse(text, mode="eval").body)
        case ast.Name(id="Any"):
            return True
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return _returns_any(left) or _returns_any(right)
        case ast.Starred(value=value):
            return _returns_any(value)
        case ast.Subscript(value=ast.Name(id=name), slice=inner) if name in CONTAINERS:
            return any(map(_returns_any, inner.elts if isinstance(inner, ast.Tuple) else [inner]))
        case _:
            return False


def _untyped(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and _returns_any(node.returns):
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


def test_only_paging_reads_one_row_more_than_a_page() -> None:
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
def test_untyped_return_is_detected(annotation: str, gives_any: bool) -> None:
    (function,) = ast.parse(f"def f() -> {annotation}: ...").body
    assert list(_untyped(function)) == (["f"] if gives_any else [])
