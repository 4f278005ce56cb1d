"""The units that an import creates, as a tree."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class NewUnit:
    """A new unit with the new units under it. `name` is its path, where it is new under an existing unit."""

    name: str
    units: list[NewUnit] = field(default_factory=list)


def build_tree(paths: Iterable[str]) -> Sequence[NewUnit]:
    """Return the highest of the new units, each with those under it. A parent comes before its units in `paths`."""
    found: dict[str, NewUnit] = {}
    highest: list[NewUnit] = []
    for path in paths:
        parent_path, _, name = path.rpartition("/")
        parent = found.get(parent_path)
        found[path] = NewUnit(name if parent else path)
        (parent.units if parent else highest).append(found[path])
    return highest
