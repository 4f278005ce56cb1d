"""The contracts of import-linter name every module that they are meant for."""

import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]


@pytest.mark.parametrize(
    "contract",
    [contract for contract in CONTRACTS if "app.**.router" in contract.get("forbidden_modules", ())],
    ids=lambda c: c["name"],
)
def test_import_contract_about_routers_names_every_router(contract: dict[str, list[str]]) -> None:
    routers = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in (ROOT / "app").rglob("*.py")
        if "APIRouter(" in path.read_text() and "console" not in path.parts
    }
    unmatched = {router for router in routers if not router.endswith(".router")}
    assert unmatched == {name for name in contract["forbidden_modules"] if name.endswith("_router")}
