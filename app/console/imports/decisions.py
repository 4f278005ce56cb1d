"""The fields that decide about undecided rows: `row-` with the id of the row, and the decision."""

from collections.abc import Mapping

from app.members.imports.schemas import RowDecision

_DECISIONS = frozenset(RowDecision)


def read_decisions(fields: Mapping[str, str]) -> dict[str, str]:
    """Return the fields that decide about a row. Others are left out."""
    return {
        name: value
        for name, value in fields.items()
        if name.startswith("row-") and parse_number(name[4:]) is not None and value in _DECISIONS
    }


def list_rows_by_decision(decisions: Mapping[str, str]) -> dict[RowDecision, list[int]]:
    """Return the ids of the rows with each decision."""
    return {
        decision: [int(name[4:]) for name, value in decisions.items() if value == decision] for decision in RowDecision
    }


def parse_number(given: str) -> int | None:
    """Return a typed number of at most nine digits, or None."""
    return int(given) if given.isascii() and given.isdecimal() and len(given) < 10 else None
