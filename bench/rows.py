"""The rows that the bench prints and stores. Each row is one figure, as a ratio to a limit or a peer measured in the
same run."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Self

from bench.cost import Round


@dataclass(frozen=True, slots=True)
class Row:
    """One figure. `ratio` is `ours` / `reference`, the median over alternating rounds.

    If a row has no peer, `reference` is one unit (a second, a kilobyte). `cpu_ours`, `cpu_reference` and `cpu_ratio`
    are the same figures by processor time, in the same unit; they are None for figures that have no processor time
    (sizes, counts, wall times). `goal` is the limit of the ratio: a maximum if `at_most`, otherwise a minimum. A row
    without a goal is only shown. `note` contains the unit and other observations.
    """

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
        """Return whether the ratio meets the goal: that by processor time if the row has one, otherwise by the
        clock."""
        if self.goal is None:
            return True
        ratio = self.ratio if self.cpu_ratio is None else self.cpu_ratio
        return ratio <= self.goal if self.at_most else ratio >= self.goal

    @classmethod
    def from_rounds(
        cls,
        name: str,
        ours: Sequence[Round],
        reference: Sequence[Round],
        goal: float | None,
        *,
        at_most: bool = False,
        note: str,
    ) -> Self:
        """Return a row that compares rounds of the service with rounds of the reference.

        By the clock, each round of the service is compared with the reference round that follows it. By processor time,
        the cheapest round of each is compared, because other load on the machine makes the same work more expensive
        (caches, shared cores), never cheaper.
        """
        best, best_reference = min(ours, key=_sum_parts), min(reference, key=_sum_parts)
        return cls(
            name,
            median(our.wall for our in ours),
            median(their.wall for their in reference),
            median(our.wall / their.wall for our, their in zip(ours, reference, strict=True)),
            goal,
            at_most,
            f"{note}; CPU ms each: {_format_parts(best)} / {_format_parts(best_reference)}",
            best.cpu,
            best_reference.cpu,
            best.cpu / best_reference.cpu,
        )

    @classmethod
    def from_figure(cls, name: str, ours: float, goal: float, *, note: str) -> Self:
        """Return the row of a figure that has no peer. `goal` is its maximum in its own unit."""
        return cls(name, ours, 1.0, ours, goal, at_most=True, note=note)

    def __str__(self) -> str:
        sign = ("≤" if self.at_most else "≥") if self.goal is not None else " "
        goal = "" if self.goal is None else f"{self.goal:.3g}" if self.goal < 1000 else f"{self.goal:,.0f}"
        verdict = "" if self.goal is None else "met" if self.met else "short"
        cpu = "–" if self.cpu_ratio is None else f"{self.cpu_ratio:.3g}"
        figures = f"{self.name:<24}{self.ours:>12,.4g}{self.reference:>12,.4g}{self.ratio:>10,.3g}{cpu:>11}"
        return f"{figures}  {sign} {goal:<8}{verdict:<7}{self.note}"


def _sum_parts(of: Round) -> float:
    """Return the processor time of one item, summed over the processes, in milliseconds."""
    return sum(of.parts.values())


def _format_parts(of: Round) -> str:
    """Return a text with the processor time of one item in each process."""
    return " + ".join(f"{name} {ms:.3g}" for name, ms in of.parts.items())


HEAD = f"""
ratio      ours / reference by the clock, the median of rounds taken in turn
cpu ratio  the same by processor time (user + system) of the process that answers, PostgreSQL and the worker, and of
           the reference and its PostgreSQL; of several rounds the cheapest. It decides whether a goal is met. Where
           there is none (–), the row is about wall time, a size or a count, and the ratio decides.

{"name":<24}{"ours":>12}{"reference":>12}{"ratio":>10}{"cpu ratio":>11}  {"goal":<10}{"":<7}unit and remarks"""


def summarize(rows: Sequence[Row], failed: Sequence[str]) -> str:
    """Return a sentence about how many goals are met."""
    with_goal = [row for row in rows if row.goal is not None]
    met = sum(row.met for row in with_goal)
    return (
        f"{met} goals met, {len(with_goal) - met} short, {len(rows) - len(with_goal)} rows without one, "
        f"{len(failed)} not measured."
    )


def store(rows: Sequence[Row], failed: Sequence[str], path: Path) -> None:
    """Write the rows to a file as JSON. A failed measurement is a row with only its name, whose goal is not met."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fields = ("name", "ours", "reference", "ratio", "cpu_ours", "cpu_reference", "cpu_ratio", "goal")
    stored = [{name: asdict(row)[name] for name in fields} | {"met": row.met} for row in rows]
    stored += [dict.fromkeys(fields) | {"name": name, "met": False} for name in failed]
    path.write_text(json.dumps(stored, indent=2) + "\n")
