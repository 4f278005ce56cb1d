"""What a bench prints and keeps: one row a figure, each a ratio to a limit or a peer measured in the same run."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Self

from bench.taken import Round


@dataclass(frozen=True, slots=True)
class Row:
    """One figure. `ratio` is ours / reference, the median over rounds taken in turn; what has no peer is held against
    one unit (a second, a kilobyte). `cpu_…` are the same by processor time, in the same unit; a latency, a size and a
    count have none. What has no goal is only told. `note` tells the unit and what else was seen."""

    name: str
    ours: float
    reference: float
    ratio: float
    goal: float | None
    at_most: bool = False
    note: str = ""
    cpu_ours: float | None = None
    cpu_reference: float | None = None
    cpu_ratio: float | None = None

    @property
    def met(self) -> bool:
        if self.goal is None:
            return True
        ratio = self.ratio if self.cpu_ratio is None else self.cpu_ratio
        return ratio <= self.goal if self.at_most else ratio >= self.goal

    @classmethod
    def of(
        cls,
        name: str,
        ours: Sequence[Round],
        reference: Sequence[Round],
        goal: float | None,
        *,
        at_most: bool = False,
        note: str,
    ) -> Self:
        """The row of rounds: each of ours is compared with the reference taken right after it."""
        pairs = list(zip(ours, reference, strict=True))
        return cls(
            name,
            median(one.wall for one in ours),
            median(other.wall for other in reference),
            median(one.wall / other.wall for one, other in pairs),
            goal,
            at_most,
            f"{note}; CPU ms each: {_parts(ours)} / {_parts(reference)}",
            median(one.cpu for one in ours),
            median(other.cpu for other in reference),
            median(one.cpu / other.cpu for one, other in pairs),
        )

    @classmethod
    def alone(cls, name: str, ours: float, goal: float, *, note: str) -> Self:
        """The row of a figure that is to be at most so many units."""
        return cls(name, ours, 1.0, ours, goal, at_most=True, note=note)

    def __str__(self) -> str:
        sign = ("≤" if self.at_most else "≥") if self.goal is not None else " "
        goal = "" if self.goal is None else f"{self.goal:g}"
        verdict = "" if self.goal is None else "met" if self.met else "short"
        cpu = "–" if self.cpu_ratio is None else f"{self.cpu_ratio:.3g}"
        figures = f"{self.name:<24}{self.ours:>12,.4g}{self.reference:>12,.4g}{self.ratio:>10,.3g}{cpu:>11}"
        return f"{figures}  {sign} {goal:<8}{verdict:<7}{self.note}"


def _parts(rounds: Sequence[Round]) -> str:
    """The processor time of each process for one piece of work."""
    return " + ".join(f"{name} {median(one.parts[name] for one in rounds):.3g}" for name in rounds[0].parts)


HEAD = f"{'name':<24}{'ours':>12}{'reference':>12}{'ratio':>10}{'cpu ratio':>11}  {'goal':<10}{'':<7}unit and remarks"


def keep(rows: Sequence[Row], failed: Sequence[str], path: Path) -> None:
    """Keep the rows as JSON; of what could not be measured the name, without figures and not met."""
    path.parent.mkdir(parents=True, exist_ok=True)
    told = ("name", "ours", "reference", "ratio", "cpu_ours", "cpu_reference", "cpu_ratio", "goal")
    kept = [{name: asdict(row)[name] for name in told} | {"met": row.met} for row in rows]
    kept += [dict.fromkeys(told) | {"name": name, "met": False} for name in failed]
    path.write_text(json.dumps(kept, indent=2) + "\n")
