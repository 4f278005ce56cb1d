"""What a bench prints and keeps: one row a figure, each a ratio to a limit or a peer measured in the same run."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Self


@dataclass(frozen=True, slots=True)
class Row:
    """One figure. `ratio` is ours / reference, the median over rounds taken in turn; what has no peer is held against
    one unit (a second, a kilobyte). What has no goal is only told. `note` tells the unit and what else was seen."""

    name: str
    ours: float
    reference: float
    ratio: float
    goal: float | None
    at_most: bool = False
    note: str = ""

    @property
    def met(self) -> bool:
        if self.goal is None:
            return True
        return self.ratio <= self.goal if self.at_most else self.ratio >= self.goal

    @classmethod
    def of(
        cls,
        name: str,
        ours: Sequence[float],
        reference: Sequence[float],
        goal: float | None,
        *,
        at_most: bool = False,
        note: str,
    ) -> Self:
        """The row of rounds: each of ours stands beside the reference taken right after it."""
        ratio = median(one / other for one, other in zip(ours, reference, strict=True))
        return cls(name, median(ours), median(reference), ratio, goal, at_most, note)

    @classmethod
    def alone(cls, name: str, ours: float, goal: float, *, note: str) -> Self:
        """The row of a figure that is to be at most so many units."""
        return cls(name, ours, 1.0, ours, goal, at_most=True, note=note)

    def __str__(self) -> str:
        sign = ("≤" if self.at_most else "≥") if self.goal is not None else " "
        goal = "" if self.goal is None else f"{self.goal:g}"
        verdict = "met" if self.met else "short"
        figures = f"{self.name:<22}{self.ours:>12,.4g}{self.reference:>12,.4g}{self.ratio:>9.3g} {sign} {goal:<8}"
        return f"{figures}{verdict:<7}{self.note}"


HEAD = f"{'name':<22}{'ours':>12}{'reference':>12}{'ratio':>9}   {'goal':<8}met|short"


def keep(rows: Sequence[Row], failed: Sequence[str], path: Path) -> None:
    """Keep the rows as JSON; of what could not be measured the name, without figures and not met."""
    path.parent.mkdir(parents=True, exist_ok=True)
    told = ("name", "ours", "reference", "ratio", "goal")
    kept = [{name: asdict(row)[name] for name in told} | {"met": row.met} for row in rows]
    kept += [dict.fromkeys(told) | {"name": name, "met": False} for name in failed]
    path.write_text(json.dumps(kept, indent=2) + "\n")
